// conv2d on blocked pictures, and what goes with it: packed weights, borders, the first layer from plain planes.
#include "../../wasm/blocked.h"

// src[o][i][t] -> dst[ceil(O/B)][t][i][B], lanes past O are 0.
typedef struct { const float *src; float *dst; int O, I, T, B; } PackBlocks;
// Eight whole rows, four elements of each at a time.
static void pack_eight(const float *src, float *dst, int I, int T) {
  int Q = I * T, q = 0, i = 0, t = 0;
  for (; q < Q; q += 4) {
    f32x4 v[8];
    for (int r = 0; r < 8; r++) v[r] = load_n(src + r * Q + q, Q - q);
    transpose4(v), transpose4(v + 4);
    for (int j = 0; j < imin(4, Q - q); j++, ++t == T ? t = 0, i++ : 0) {
      float *d = dst + 8 * (t * I + i);
      store(d, v[j]), store(d + 4, v[4 + j]);
    }
  }
}
// Rows from n on, one element at a time; `all`: taps of src.
static void pack_any(const float *src, float *d, int n, int O, int I, int T, int all, int B) {
  for (; n < O; n += B)
    for (int t = 0; t < T; t++)
      for (int i = 0; i < I; i++)
        for (int b = 0; b < B; b++) *d++ = n + b < O ? src[((n + b) * I + i) * all + t] : 0;
}
KERNEL(pack_blocks, PackBlocks) {
  int whole = a->B == 8 ? a->O / 8 * 8 : 0, size = a->I * a->T;
  float *d = a->dst + whole * size;
  for (int n = 0; n < whole; n += 8) pack_eight(a->src + n * size, a->dst + n * size, a->I, a->T);
  pack_any(a->src, d, whole, a->O, a->I, a->T, a->T, a->B);
  return 0;
}
// The same with only `T` of `all` taps, from `first` on.
typedef struct { const float *src; float *dst; int O, I, T, B, all, first; } PackTaps;
KERNEL(pack_taps, PackTaps) {
  pack_any(a->src + a->first, a->dst, 0, a->O, a->I, a->T, a->all, a->B);
  return 0;
}

// The weights of a transposed convolution src[i][o][t] as eights of columns [n/8][i][8]; blocked: n = t*4*ceil(O/4) + o,
// else n = o*T + t. I = 0: a bias src[o], once for every t. Columns past the last are 0.
typedef struct { const float *src; float *dst; int I, O, T, blocked; } PackTransposed;
KERNEL(pack_transposed, PackTransposed) {
  int lanes = a->blocked ? (a->O + 3) / 4 * 4 : a->O, all = lanes * a->T;
  float *d = a->dst;
  for (int n = 0; n < all; n += 8)
    for (int i = 0; i < imax(a->I, 1); i++)
      for (int m = n; m < n + 8; m++) {
        int o = a->blocked ? m % lanes : m / a->T, t = a->blocked ? m / lanes : m % a->T;
        int at = a->I ? (i * a->O + o) * a->T + t : o;
        *d++ = m < all && o < a->O ? a->src[at] : 0;
      }
  return 0;
}

// Copies N pictures of C planes [H][W] of `width` floats a pixel into a border of zeros, column i to phase i % sw, so that
// pixels a stride apart lie side by side: y[N][PH][C][phases][PW]; row i of y is row i*rs - top of x. What a window needs
// of all planes lies together that way: far apart, it would come from as many places of memory.
typedef struct { const float *x; float *y; int N, C, H, W, PH, PW, top, left, sw, phases, rs, width; } Border;

INLINE void border_row(const Border *a, const float *x, float *y, int phase, const int width) {
  int s = a->sw, first = phase - a->left, i = 0; // y[i] = x[first + i*s]
  for (; i < a->PW && first + i * s < 0; i++)
    if (width == 4) store(y + 4 * i, splat(0.f));
    else y[i] = 0;
  int n = imax(i, imin(a->PW, (a->W - first + s - 1) / s));
  if (width == 4) {
    for (; i < n; i++) store(y + 4 * i, load(x + 4 * (first + i * s)));
    for (; i < a->PW; i++) store(y + 4 * i, splat(0.f));
    return;
  }
  if (s == 1)
    for (; i + 4 <= n; i += 4) store(y + i, load(x + first + i));
  if (s == 2)
    for (; i + 5 <= n; i += 4) {
      const float *p = x + first + 2 * i;
      store(y + i, wasm_i32x4_shuffle(load(p), load(p + 4), 0, 2, 4, 6));
    }
  for (; i < n; i++) y[i] = x[first + i * s];
  for (; i < a->PW; i++) y[i] = 0;
}
KERNEL(border, Border) {
  Share my = share(a->N * a->PH * a->C * a->phases, part, parts);
  int phase = my.from % a->phases, c = my.from / a->phases % a->C, nr = my.from / a->phases / a->C, line = a->PW * a->width;
  float *y = a->y + my.from * line;
  for (int u = my.from; u < my.to; u++, y += line) {
    int row = nr % a->PH * a->rs - a->top;
    if (row < 0 || row >= a->H) {
      int i = 0;
      for (; i + 4 <= line; i += 4) store(y + i, splat(0.f));
      for (; i < line; i++) y[i] = 0;
    } else {
      const float *x = a->x + ((nr / a->PH * a->C + c) * a->H + row) * a->W * a->width;
      if (a->width == 4) border_row(a, x, y, phase, 4);
      else border_row(a, x, y, phase, 1);
    }
    if (++phase == a->phases) phase = 0, ++c == a->C ? c = 0, nr++ : 0;
  }
  return 0;
}

// How many floats of pixels pass by one panel of weights before the next panel's turn. Where all weights stay in a
// first-level cache, the pixels should too; otherwise they stay in a second-level cache. Several tiles in any case: the
// planes of many pictures lie a multiple of 4096 bytes apart, in the same few places of a cache, so that a line is best
// written to its end before the next plane's turn.
enum { NEAR = 6144, FEW = 3072, MANY = 32768, LEAST = 4, GATHERED = 6144, LEAST_GATHERED = 2 };

#define CASE(rows) \
  case rows: \
    if (SHORT) short_tiles(rows, STEP, t, w, n, count, next); \
    else long_tile(rows, t, w, n); \
    break
INLINE void any_tiles(const int STEP, const int SHORT, const BlockedTile *t, int rows, const float *w, int n, int count, int next) {
  switch (rows) {
    CASE(1);
    CASE(2);
    CASE(3);
    CASE(4);
    CASE(5);
#ifdef __wasm_relaxed_simd__
    CASE(6);
#endif
  }
}

// Tiles of pixels: every row cut into `per` pieces as even as can be, the first `big` of them one pixel longer.
typedef struct { int per, small, big; } Cut;

// Where a tile begins, and its pixels.
typedef struct { int image, row, i, at, rows; } Spot;
INLINE Spot spot(const ConvBlocked *a, Cut cut, int u) {
  int i = u % cut.per;
  return (Spot){u / cut.per / a->OH, u / cut.per % a->OH, i, i * cut.small + imin(i, cut.big), cut.small + (i < cut.big)};
}
// On past `count` tiles of the same size.
INLINE void skip(const ConvBlocked *a, Cut cut, Spot *s, int count) {
  s->at += s->rows * count;
  s->i += count;
  if (s->i == cut.per) s->i = s->at = 0, ++s->row == a->OH ? s->row = 0, s->image++ : 0;
  s->rows = cut.small + (s->i < cut.big);
}
INLINE void next(const ConvBlocked *a, Cut cut, Spot *s) { skip(a, cut, s, 1); }
INLINE const float *pixels(const int STEP, const ConvBlocked *a, Spot s) {
  return a->x + s.image * a->xn + s.row * a->xrow + STEP * s.at;
}

// Tiles [first, last): [tile][block of channels][pixel][4].
static void gather(const ConvBlocked *a, Cut cut, int first, int last, float *y) {
  Spot s = spot(a, cut, first);
  for (int u = first; u < last; u++, next(a, cut, &s)) {
    const float *x = pixels(4, a, s);
    for (int k = 0; k < a->K; k += 4, x += a->xc, y += 4 * s.rows)
      for (int m = 0; m < s.rows; m++) store(y + 4 * m, load(x + 4 * m));
  }
}

INLINE void conv_share(const int STEP, const int SHORT, const ConvBlocked *a, Cut cut, Share tiles, Share channels, float *gathered) {
  int blocks = (a->O + 3) / 4, size = a->T * a->K, all = size * (channels.to - channels.from), depth = STEP == 4 ? a->K : a->T;
  int group = imax(LEAST, (all <= NEAR ? FEW : MANY) / (depth * TILE_PIXELS));
  if (gathered) group = imax(LEAST_GATHERED, GATHERED / (depth * TILE_PIXELS));
  BlockedTile t = {.taps = a->taps, .T = a->T, .K = a->K, .O = a->O, .xc = a->xc, .yc = a->yc, .rc = a->rc, .bias = a->bias, .act = prepared(a->act)};
  for (int first = tiles.from; first < tiles.to; first += group) {
    int last = imin(first + group, tiles.to);
    if (gathered) gather(a, cut, first, last, gathered);
    for (int n = channels.from; n < channels.to; n += 8) {
      const float *w = a->w + n * size, *from = gathered;
      Spot s = spot(a, cut, first);
      for (int u = first, count; u < last; u += count, skip(a, cut, &s, count)) {
        int at = 4 * (s.row * a->OW + s.at), size_x = gathered ? (a->K + 3) / 4 * 4 * s.rows : STEP * s.rows;
        count = SHORT ? imin((s.i < cut.big ? cut.big : cut.per) - s.i, last - u) : 1;
        t.x = pixels(STEP, a, s);
        if (gathered) t.x = from, t.xc = 4 * s.rows, from += size_x * count;
        t.y = a->y + s.image * blocks * a->yc + at;
        t.res = a->res ? a->res + s.image * blocks * a->rc + at : 0;
        any_tiles(STEP, SHORT, &t, s.rows, w, n, count, size_x);
      }
    }
  }
}

// What registers do not end: the blocks of one share, row by row.
static void end_rows(const ConvBlocked *a, Cut cut, Share tiles, Share channels) {
  if (ends_in_registers(&a->act)) return;
  int blocks = (a->O + 3) / 4;
  for (int u = tiles.from; u < tiles.to;) {
    Spot s = spot(a, cut, u);
    int end = imin(cut.per, s.i + tiles.to - u), stop = end * cut.small + imin(end, cut.big);
    for (int b = channels.from / 4; b < imin(blocks, (channels.to + 3) / 4); b++) {
      float *y = a->y + (s.image * blocks + b) * a->yc + 4 * (s.row * a->OW + s.at);
      unary_span(y, y, 4 * (stop - s.at), a->act);
    }
    u += end - s.i;
  }
}

static inline void conv_part(const int STEP, const int SHORT, const ConvBlocked *a, int part, int parts) {
  int per = (a->OW + TILE_PIXELS - 1) / TILE_PIXELS, all = a->N * a->OH * per, panels8 = (a->O + 7) / 8;
  Cut cut = {per, a->OW / per, a->OW % per};
  Share tiles = a->across ? (Share){0, all} : share(all, part, parts);
  Share mine = a->across ? share(panels8, part, parts) : (Share){0, panels8};
  Share channels = {mine.from * 8, mine.to * 8};
  conv_share(STEP, SHORT, a, cut, tiles, channels, a->gathered ? a->gathered + part * a->room : 0);
  end_rows(a, cut, tiles, channels);
}
KERNEL(conv_blocked, ConvBlocked) {
  if (a->T == 1 && a->K >= 8 && a->K <= CHAIN && a->K % 4 == 0) conv_part(4, 1, a, part, parts);
  else conv_part(4, 0, a, part, parts);
  return 0;
}
// x as plain planes with a border, taps over channels too, K = 1: for pictures of up to four channels.
KERNEL(conv_entry, ConvBlocked) {
  conv_part(1, 1, a, part, parts);
  return 0;
}

// Up to four output channels of a multiple of four input channels, which lie in lanes here: w [O][taps][K].
enum { FEW_PIXELS = 4 };
INLINE f32x4 few_sums(const int MR, const ConvBlocked *a, const float *x, const float *w) {
  f32x4 acc[FEW_PIXELS][2];
  UNROLL for (int m = 0; m < FEW_PIXELS; m++) acc[m][0] = acc[m][1] = splat(0.f);
  for (int t = 0; t < a->T; t++) {
    const float *A = x + a->taps[t], *B = A + a->xc;
    int k = a->K;
    for (; k >= 8; k -= 8, A += 2 * a->xc, B += 2 * a->xc, w += 8) {
      f32x4 w0 = load(w), w1 = load(w + 4);
      UNROLL for (int m = 0; m < MR; m++) {
        acc[m][0] = madd(acc[m][0], load(A + 4 * m), w0);
        ORDER(acc[m][0]);
        acc[m][1] = madd(acc[m][1], load(B + 4 * m), w1);
        ORDER(acc[m][1]);
      }
    }
    if (k) {
      f32x4 w0 = load(w);
      UNROLL for (int m = 0; m < MR; m++) acc[m][0] = madd(acc[m][0], load(A + 4 * m), w0);
      w += 4;
    }
  }
  f32x4 s[FEW_PIXELS];
  UNROLL for (int m = 0; m < FEW_PIXELS; m++) s[m] = add(acc[m][0], acc[m][1]);
  transpose4(s);
  return add(add(s[0], s[1]), add(s[2], s[3]));
}
static f32x4 few(const ConvBlocked *a, int rows, const float *x, const float *w) {
  switch (rows) {
    case 1: return few_sums(1, a, x, w);
    case 2: return few_sums(2, a, x, w);
    case 3: return few_sums(3, a, x, w);
    default: return few_sums(4, a, x, w);
  }
}
KERNEL(conv_few, ConvBlocked) {
  int per = (a->OW + FEW_PIXELS - 1) / FEW_PIXELS;
  Cut cut = {per, a->OW / per, a->OW % per};
  Share tiles = share(a->N * a->OH * per, part, parts);
  f32x4 bias = load(a->bias);
  Activation act = prepared(a->act);
  Spot s = spot(a, cut, tiles.from);
  for (int u = tiles.from; u < tiles.to; u++, next(a, cut, &s)) {
    int y = 4 * ((s.image * a->OH + s.row) * a->OW + s.at);
    f32x4 v[FEW_PIXELS];
    for (int o = 0; o < FEW_PIXELS; o++) v[o] = o < a->O ? few(a, s.rows, pixels(4, a, s), a->w + o * a->T * a->K) : splat(0.f);
    transpose4(v);
    for (int m = 0; m < s.rows; m++) {
      f32x4 r = add(v[m], bias);
      if (a->res) r = add(r, load(a->res + y + 4 * m));
      end_vectors(1, &r, &act);
      store(a->y + y + 4 * m, r);
    }
  }
  end_rows(a, cut, tiles, (Share){0, a->O});
  return 0;
}

// The products of a transposed convolution whose windows do not overlap, x [N][taps*blocks][H*W][4] (tap-major), to
// their places: y [N][blocks][H*kh][W*kw][4].
typedef struct { const float *x; float *y; int N, blocks, H, W, kh, kw; } Spread;
KERNEL(spread, Spread) {
  int P = a->H * a->W, taps = a->kh * a->kw;
  Share my = share(a->N * a->blocks * a->H, part, parts);
  for (int u = my.from; u < my.to; u++) {
    int h = u % a->H, b = u / a->H % a->blocks, n = u / a->H / a->blocks;
    float *y = a->y + u * a->kh * a->W * a->kw * 4;
    for (int r = 0; r < a->kh; r++)
      for (int s = 0; s < a->kw; s++) {
        const float *x = a->x + ((n * taps + r * a->kw + s) * a->blocks + b) * P * 4 + h * a->W * 4;
        float *d = y + (r * a->W * a->kw + s) * 4;
        for (int w = 0; w < a->W; w++) store(d + w * a->kw * 4, load(x + 4 * w));
      }
  }
  return 0;
}
// The same to plain planes, x [N][ceil(O*taps/4)][H*W][4] (channel-major): y [N][O][H*kh][W*kw], then act.
typedef struct { const float *x; float *y; int N, O, H, W, kh, kw; Activation act; } SpreadPlanes;
KERNEL(spread_planes, SpreadPlanes) {
  int P = a->H * a->W, taps = a->kh * a->kw, blocks = (a->O * taps + 3) / 4, line = a->W * a->kw;
  Share my = share(a->N * a->O * a->H, part, parts);
  for (int u = my.from; u < my.to; u++) {
    int h = u % a->H, o = u / a->H % a->O, n = u / a->H / a->O;
    float *y = a->y + u * a->kh * line;
    for (int t = 0; t < taps; t++) {
      int lane = o * taps + t;
      const float *x = a->x + (n * blocks + lane / 4) * P * 4 + h * a->W * 4 + lane % 4;
      float *d = y + t / a->kw * line + t % a->kw;
      for (int w = 0; w < a->W; w++) d[w * a->kw] = x[4 * w];
    }
    unary_span(y, y, a->kh * line, a->act);
  }
  return 0;
}
