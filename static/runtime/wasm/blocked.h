// Blocked pictures, [N][ceil(C/4)][H*W][4]: four channels of a pixel lie side by side, lanes past C hold anything.
// The register tile of every convolution on them: TILE_PIXELS pixels x 8 output channels.
//   y[p][o] = act(sum_t sum_k x[p + taps[t]][k] * w[t][k][o] + bias[o] + res[p][o])
#pragma once
#include "simd.h"

// Of the 15 registers that V8 has to give: 12 sums, two of w, a splat of x. Without a fused multiply-add the product
// needs one more, so a row less.
#ifdef __wasm_relaxed_simd__
enum { TILE_PIXELS = 6 };
#else
enum { TILE_PIXELS = 5 };
#endif
enum { CHAIN = 256 }; // products added up before they join the sum: rounding grows with the longer of the two chains
enum { END_HARD_SWISH = 4, END_NONE = -1 }; // the first as in ops/unary: with CLAMP = 0 the one that is done in registers

typedef struct {
  const float *x, *bias, *res;
  float *y;
  const int *taps;             // floats from a pixel to what each tap reads
  int T, K, O, xc, yc, rc;     // taps, channels per tap, output channels; floats from one block of channels to the next
  Activation act;
} BlockedTile;

// An activation as end_vectors takes it: divisions are done once, not in every tile, and a clamp that clamps nothing not at all.
INLINE Activation prepared(Activation t) {
  if (t.kind == 0 && t.alpha == -__builtin_inff() && t.beta == __builtin_inff()) t.kind = END_NONE;
  return t.kind == END_HARD_SWISH ? (Activation){t.kind, t.alpha / t.beta, 1 / t.beta, t.gamma / t.beta} : t;
}
// The prepared activation of n vectors in registers, where it can be done there.
INLINE void end_vectors(const int n, f32x4 *v, const Activation *t) {
  if (t->kind == 0) {
    f32x4 lo = splat(t->alpha), hi = splat(t->beta);
    UNROLL for (int i = 0; i < n; i++) v[i] = clamp(v[i], lo, hi);
  } else if (t->kind == END_HARD_SWISH) {
    f32x4 zero = splat(0.f), top = splat(t->alpha), rate = splat(t->beta), start = splat(t->gamma);
    UNROLL for (int i = 0; i < n; i++) v[i] = mul(v[i], clamp(madd(start, v[i], rate), zero, top));
  }
}
INLINE int ends_in_registers(const Activation *t) { return t->kind == 0 || t->kind == END_HARD_SWISH; }

// One product of all pixels of the tile: channel i of each against eight weights.
INLINE void tile_step(const int MR, const int STEP, f32x4 *acc, const float *x, const float *w) {
  f32x4 w0 = load(w), w1 = load(w + 4);
  UNROLL for (int m = 0; m < MR; m++) {
    f32x4 v = load_splat(x + STEP * m);
    acc[2 * m] = madd(acc[2 * m], v, w0);
    ORDER(acc[2 * m]);
    acc[2 * m + 1] = madd(acc[2 * m + 1], v, w1);
    ORDER(acc[2 * m + 1]);
  }
}
// n channels, whole blocks. V8 computes every distance of a splat's load from its pointer by an instruction of its own, once a
// turn of the loop: so x goes on from channel to channel, and only the distances of the pixels are left.
INLINE void tile_channels(const int MR, const int n, f32x4 *acc, const float **x, const float **w, int xc) {
  UNROLL for (int i = 0; i < n; i++) {
    tile_step(MR, 4, acc, *x, *w + 8 * i);
    *x += i % 4 == 3 ? xc - 3 : 1;
    ORDER(*x);
  }
  *w += 8 * n;
}
// The end of a tile: residual, activation, result. res, y: where its first block of channels begins. A clamp stores its own
// results: where the kinds of activations meet again, V8 moves all sums to other registers.
INLINE void end_tile(const int MR, const BlockedTile *t, f32x4 *acc, const float *res, float *y, int both) {
  if (res) {
    UNROLL for (int m = 0; m < MR; m++) acc[2 * m] = add(acc[2 * m], load(res + 4 * m));
    if (both) UNROLL for (int m = 0; m < MR; m++) acc[2 * m + 1] = add(acc[2 * m + 1], load(res + t->rc + 4 * m));
  }
  if (t->act.kind == 0) {
    f32x4 lo = splat(t->act.alpha), hi = splat(t->act.beta);
    UNROLL for (int m = 0; m < MR; m++) store(y + 4 * m, clamp(acc[2 * m], lo, hi));
    if (both) UNROLL for (int m = 0; m < MR; m++) store(y + t->yc + 4 * m, clamp(acc[2 * m + 1], lo, hi));
    return;
  }
  if (t->act.kind == END_HARD_SWISH) end_vectors(2 * MR, acc, &t->act);
  UNROLL for (int m = 0; m < MR; m++) store(y + 4 * m, acc[2 * m]);
  if (both) UNROLL for (int m = 0; m < MR; m++) store(y + t->yc + 4 * m, acc[2 * m + 1]);
}

// `count` tiles side by side, their sums short enough for one chain: finding each tile by itself costs as much as four
// channels. STEP: floats from pixel to pixel of x: 4 in blocked pictures, of one tap and whole blocks of channels, two at least;
// 1 in plain planes, where K is 1. next: floats of x from tile to tile.
INLINE void short_tiles(const int MR, const int STEP, const BlockedTile *t, const float *w, int n, int count, int next) {
  const float *first = t->x, *bias = t->bias + n, *res = t->res ? t->res + n / 4 * t->rc : 0;
  float *y = t->y + n / 4 * t->yc;
  int both = t->O - n > 4, xc = t->xc;
  if (STEP == 4) first += t->taps[0];
  for (; count; count--, first += next, y += 4 * MR, res = res ? res + 4 * MR : 0) {
    f32x4 acc[2 * TILE_PIXELS];
    UNROLL for (int m = 0; m < MR; m++) acc[2 * m] = load(bias), acc[2 * m + 1] = load(bias + 4);
    const float *x = first, *v = w;
    if (STEP == 4) {
      if (t->K & 4) tile_channels(MR, 4, acc, &x, &v, xc);
      int c = t->K >> 3;
      do tile_channels(MR, 8, acc, &x, &v, xc);
      while (--c);
    } else {
      int tap = 0; // three at a time: the loop itself costs as much as a tap
      for (; tap + 3 <= t->T; tap += 3, v += 24) UNROLL for (int i = 0; i < 3; i++) tile_step(MR, 1, acc, x + t->taps[tap + i], v + 8 * i);
      for (; tap < t->T; tap++, v += 8) tile_step(MR, 1, acc, x + t->taps[tap], v);
    }
    end_tile(MR, t, acc, res, y, both);
  }
}

// One tile of any number of taps and channels.
INLINE void long_tile(const int MR, const BlockedTile *t, const float *w, int n) {
  f32x4 acc[2 * TILE_PIXELS], sum[2 * TILE_PIXELS];
  f32x4 b0 = load(t->bias + n), b1 = load(t->bias + n + 4);
  UNROLL for (int m = 0; m < MR; m++) acc[2 * m] = b0, acc[2 * m + 1] = b1;
  int run = 0, split = 0;
  for (int tap = 0; tap < t->T; tap++) {
    const float *A = t->x + t->taps[tap];
    for (int left = t->K; left > 0; left -= CHAIN) {
      int k = imin(left, CHAIN);
      if (run + k > CHAIN) {
        UNROLL for (int i = 0; i < 2 * MR; i++) sum[i] = split ? add(sum[i], acc[i]) : acc[i], acc[i] = splat(0.f);
        __asm__ volatile("" : : "r"(sum) : "memory"); // kept in memory: registers are for the sums at hand
        split = 1, run = 0;
      }
      run += k;
      for (int c = k >> 3; c; c--) tile_channels(MR, 8, acc, &A, &w, t->xc);
      if (k & 4) tile_channels(MR, 4, acc, &A, &w, t->xc);
      for (int i = k & 3; i; i--, A++, w += 8) tile_step(MR, 4, acc, A, w);
    }
  }
  if (split) UNROLL for (int i = 0; i < 2 * MR; i++) acc[i] = add(acc[i], sum[i]);
  end_tile(MR, t, acc, t->res ? t->res + n / 4 * t->rc : 0, t->y + n / 4 * t->yc, t->O - n > 4);
}

// y = act(conv(x, w) + bias + res): N pictures of OH rows of OW pixels. w from pack_blocks with B = 8, bias padded to 8.
// x begins at the first pixel that the first tap reads; xn, xc, xrow: floats from picture to picture, from one block of
// channels to the next, and between what the first pixels of two rows of y read; yc, rc: as xc, of y and res. `across`: parts share the output
// channels instead of the pixels. Where the planes of x get in each other's way in a first-level cache, the pixels of some
// tiles are first gathered, for each part in its own `room` floats at `gathered` (0: not needed); only with one tap.
typedef struct {
  const float *x, *w, *bias, *res;
  float *y, *gathered;
  const int *taps;
  int N, T, K, O, OH, OW, xn, xc, xrow, yc, rc, across, room;
  Activation act;
} ConvBlocked;
int conv_blocked(const ConvBlocked *a, int part, int parts);
