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
enum { END_HARD_SWISH = 4 }; // as in ops/unary: with CLAMP = 0 the one that is done in registers

typedef struct {
  const float *x, *bias, *res;
  float *y;
  const int *taps;             // floats from a pixel to what each tap reads
  int T, K, O, xc, yc;         // taps, channels per tap, output channels; floats from one block of channels to the next
  Activation act;
} BlockedTile;

// The activation of n vectors in registers, where it can be done there.
INLINE void end_vectors(const int n, f32x4 *v, const Activation *t) {
  if (t->kind == 0) {
    f32x4 lo = splat(t->alpha), hi = splat(t->beta);
    UNROLL for (int i = 0; i < n; i++) v[i] = clamp(v[i], lo, hi);
  } else if (t->kind == END_HARD_SWISH) {
    f32x4 zero = splat(0.f), top = splat(t->alpha / t->beta), rate = splat(1 / t->beta), start = splat(t->gamma / t->beta);
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
// One tile. STEP: floats from pixel to pixel of x: 4 in blocked pictures; 1 in plain planes, where K is 1. SHORT: one tap, one
// chain, whole blocks of channels; without the other loops V8 keeps all sums in registers from the start.
INLINE void blocked_tile(const int MR, const int STEP, const int SHORT, const BlockedTile *t, const float *x, const float *w, int n) {
  f32x4 acc[2 * TILE_PIXELS], sum[2 * TILE_PIXELS];
  f32x4 b0 = load(t->bias + n), b1 = load(t->bias + n + 4);
  UNROLL for (int m = 0; m < MR; m++) acc[2 * m] = b0, acc[2 * m + 1] = b1;
  int run = 0, split = 0, tap = 0;
  if (SHORT) {
    x += t->taps[0];
    for (int c = t->K >> 2; c; c--, x += t->xc, w += 32) UNROLL for (int i = 0; i < 4; i++) tile_step(MR, 4, acc, x + i, w + 8 * i);
    tap = 1;
  }
  if (STEP == 1) { // three at a time: the loop itself costs as much as a tap
    for (; tap + 3 <= t->T; tap += 3, w += 24) UNROLL for (int i = 0; i < 3; i++) tile_step(MR, 1, acc, x + t->taps[tap + i], w + 8 * i);
    for (; tap < t->T; tap++, w += 8) tile_step(MR, 1, acc, x + t->taps[tap], w);
  }
  if (!SHORT && STEP == 4) for (; tap < t->T; tap++) {
    const float *A = x + t->taps[tap];
    for (int left = t->K; left > 0; left -= CHAIN) {
      int k = imin(left, CHAIN);
      if (run + k > CHAIN) {
        UNROLL for (int i = 0; i < 2 * MR; i++) sum[i] = split ? add(sum[i], acc[i]) : acc[i], acc[i] = splat(0.f);
        __asm__ volatile("" : : "r"(sum) : "memory"); // kept in memory: registers are for the sums at hand
        split = 1, run = 0;
      }
      run += k;
      for (int c = k >> 2; c; c--, A += t->xc, w += 32) UNROLL for (int i = 0; i < 4; i++) tile_step(MR, 4, acc, A + i, w + 8 * i);
      for (int i = k & 3; i; i--, A++, w += 8) tile_step(MR, 4, acc, A, w);
    }
  }
  if (split) UNROLL for (int i = 0; i < 2 * MR; i++) acc[i] = add(acc[i], sum[i]);
  int both = t->O - n > 4, at = n / 4 * t->yc;
  if (t->res) {
    const float *res = t->res + at;
    UNROLL for (int m = 0; m < MR; m++) acc[2 * m] = add(acc[2 * m], load(res + 4 * m));
    if (both) UNROLL for (int m = 0; m < MR; m++) acc[2 * m + 1] = add(acc[2 * m + 1], load(res + t->yc + 4 * m));
  }
  end_vectors(2 * MR, acc, &t->act);
  float *y = t->y + at;
  UNROLL for (int m = 0; m < MR; m++) store(y + 4 * m, acc[2 * m]);
  if (both) UNROLL for (int m = 0; m < MR; m++) store(y + t->yc + 4 * m, acc[2 * m + 1]);
}
