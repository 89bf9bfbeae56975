// conv2d_int8 where every channel reads itself only: 8 channels at a time, window places in pairs, one product each.
#include "../../wasm/requant.h"

// Narrow: pixels within 0..MOST, and the magnitudes of any three rows of a window add up to 258 at most. So the sums of a
// window of five rows lie within 2^16 of each other, and 16 bits tell them: counted from the least one. The numbers are the same.
#ifdef __wasm_relaxed_simd__
enum { NARROW = 1 };
#else
enum { NARROW = 0 };
#endif
enum { MOST = 127 };
enum { SPAN = 7 }; // pixels at a time: their sums and a row of weights fill the registers of V8

// src [C][taps], 1 or 2 bytes -> dst [C/8][taps/2][16]: of each pair of places the channels 0..3, then 4..7, the two
// places side by side; zeros past C and past the last place.
// Narrow: k x k, [C/8]: what makes the least sum of each channel 0, in 16 bits, then [k/2][k][8][2] bytes: of each pair of rows
// and each column the channels 0..7, the two rows side by side; zeros past C and past the last row.
typedef struct { const void *src; int16_t *dst; int C, taps, bytes, narrow; } PackDepthwiseInt8;
static void pack_narrow(const PackDepthwiseInt8 *a) {
  int8_t *d = (int8_t *)a->dst;
  const int k = a->narrow;
  for (int c = 0; c < a->C; c += 8) {
    for (int i = c; i < c + 8; i++, d += 2) {
      int raise = 0;
      for (int t = 0; t < (i < a->C ? a->taps : 0); t++) raise -= MOST * imin(((const int8_t *)a->src)[i * a->taps + t], 0);
      *(uint16_t *)d = (uint16_t)raise;
    }
    for (int r = 0; r < k; r += 2)
      for (int s = 0; s < k; s++)
        for (int i = 0; i < 16; i++) {
          int channel = c + i / 2, row = r + i % 2;
          *d++ = channel >= a->C || row >= k ? 0 : ((const int8_t *)a->src)[channel * a->taps + row * k + s];
        }
  }
}
KERNEL(pack_depthwise_int8, PackDepthwiseInt8) {
  if (NARROW && a->narrow) {
    pack_narrow(a);
    return 0;
  }
  int16_t *d = a->dst;
  for (int c = 0; c < a->C; c += 8)
    for (int t = 0; t < a->taps; t += 2)
      for (int i = 0; i < 16; i++) {
        int row = c + i / 2, tap = t + i % 2, at = row * a->taps + tap;
        if (row >= a->C || tap >= a->taps) *d++ = 0;
        else *d++ = a->bytes == 2 ? ((const int16_t *)a->src)[at] : ((const int8_t *)a->src)[at];
      }
  return 0;
}

// x int8 [N][PH][PW][C] with its border, w from pack_depthwise_int8, scale and bias per channel with 8 spare at the end.
typedef struct {
  const int8_t *x; const int16_t *w; const float *scale; const int *bias; const int8_t *res; int8_t *y;
  int N, C, PH, PW, OH, OW, kh, kw, sh, sw, dh, dw, narrow;
  Ending end;
} DepthwiseInt8;

enum { MAX_PLACES = 128 };

// R pixels side by side x 8 channels; offset: of each place of the window, in bytes.
INLINE void span_int8(const DepthwiseInt8 *a, const int R, const int pairs, const int8_t *x, int step, const int *offset,
                      const int16_t *w, int c, const int8_t *res, int8_t *y, int n, const Rounder *r) {
  i32x4 acc[4][2];
  i32x4 b0 = wasm_v128_load(a->bias + c), b1 = wasm_v128_load(a->bias + c + 4);
  UNROLL for (int m = 0; m < R; m++) acc[m][0] = b0, acc[m][1] = b1;
  for (int t = 0; t < pairs; t++, w += 16) {
    v128_t w0 = wasm_v128_load(w), w1 = wasm_v128_load(w + 8);
    const int8_t *p = x + offset[2 * t], *q = x + offset[2 * t + 1];
    UNROLL for (int m = 0; m < R; m++) {
      v128_t u = load8(p + m * step), v = load8(q + m * step);
      acc[m][0] = wasm_i32x4_add(acc[m][0], wasm_i32x4_dot_i16x8(wasm_i16x8_shuffle(u, v, 0, 8, 1, 9, 2, 10, 3, 11), w0));
      ORDER(acc[m][0]);
      acc[m][1] = wasm_i32x4_add(acc[m][1], wasm_i32x4_dot_i16x8(wasm_i16x8_shuffle(u, v, 4, 12, 5, 13, 6, 14, 7, 15), w1));
      ORDER(acc[m][1]);
    }
  }
  finish_rows(R, R, 0, acc, a->scale + c, res, y, a->C, n, &a->end, r);
}
INLINE void row_int8(const DepthwiseInt8 *a, const int pairs, const int8_t *x, const int *offset, const int16_t *w, int c,
                     const int8_t *res, int8_t *y, const Rounder *r) {
  int n = imin(8, a->C - c), step = a->sw * a->C, i = 0;
  for (; i + 4 <= a->OW; i += 4)
    span_int8(a, 4, pairs, x + i * step, step, offset, w, c, res ? res + i * a->C : 0, y + i * a->C, n, r);
  for (; i + 2 <= a->OW; i += 2)
    span_int8(a, 2, pairs, x + i * step, step, offset, w, c, res ? res + i * a->C : 0, y + i * a->C, n, r);
  if (i < a->OW) span_int8(a, 1, pairs, x + i * step, step, offset, w, c, res ? res + i * a->C : 0, y + i * a->C, n, r);
}

#ifdef __wasm_relaxed_simd__
// Two rows of the window: sums of SPAN pixels x 8 channels in 16 bits. Each column of the picture is read once.
INLINE void two_rows(const int k, const int stride, const int8_t *p, const int8_t *q, int C, const int8_t *w, v128_t sums[SPAN]) {
  v128_t weights[5];
  UNROLL for (int s = 0; s < k; s++) weights[s] = wasm_v128_load(w + 16 * s);
  UNROLL for (int j = 0; j < (SPAN - 1) * stride + k; j++, p += C, q += C) {
    v128_t x = wasm_i8x16_shuffle(wasm_v128_load64_zero(p), wasm_v128_load64_zero(q), 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    UNROLL for (int m = 0; m < SPAN; m++) {
      int s = j - m * stride;
      if (s < 0 || s >= k) continue;
      sums[m] = wasm_i16x8_add(sums[m], wasm_i16x8_relaxed_dot_i8x16_i7x16(weights[s], x));
      ORDER(sums[m]);
    }
  }
}
// SPAN pixels x 8 channels from x on, in 32 bits.
INLINE void span_narrow(const DepthwiseInt8 *a, const int k, const int stride, const int8_t *x, const int8_t *w, int c, i32x4 sums[SPAN][2]) {
  v128_t raise = wasm_v128_load(w), part[SPAN];
  UNROLL for (int m = 0; m < SPAN; m++) part[m] = raise;
  w += 16;
  for (int r = 0; r < k; r += 2, w += 16 * k)
    two_rows(k, stride, x + r * a->PW * a->C, x + (r + 1 < k ? r + 1 : r) * a->PW * a->C, a->C, w, part);
  i32x4 b0 = wasm_i32x4_sub(wasm_v128_load(a->bias + c), wasm_u32x4_extend_low_u16x8(raise));
  i32x4 b1 = wasm_i32x4_sub(wasm_v128_load(a->bias + c + 4), wasm_u32x4_extend_high_u16x8(raise));
  UNROLL for (int m = 0; m < SPAN; m++) {
    sums[m][0] = wasm_i32x4_add(b0, wasm_u32x4_extend_low_u16x8(part[m]));
    sums[m][1] = wasm_i32x4_add(b1, wasm_u32x4_extend_high_u16x8(part[m]));
  }
}
// Out of line: the sums come from four kinds of spans.
static __attribute__((noinline)) void finish_span(i32x4 sums[SPAN][2], const DepthwiseInt8 *a, int c, int8_t *y, const Rounder *r) {
  finish_rows(SPAN, SPAN, 0, sums, a->scale + c, 0, y, a->C, imin(8, a->C - c), &a->end, r);
}
INLINE void row_narrow(const DepthwiseInt8 *a, const int k, const int stride, const int8_t *x, const int8_t *w, int c, int8_t *y,
                       const Rounder *r) {
  for (int i = 0; i < a->OW; i += SPAN) {
    int at = imin(i, a->OW - SPAN); // some of the last ones may be done twice
    i32x4 sums[SPAN][2];
    span_narrow(a, k, stride, x + at * stride * a->C, w, c, sums);
    finish_span(sums, a, c, y + at * a->C, r);
  }
}
// A column of the window, three rows of 8 channels: their bytes side by side, four per channel.
INLINE void column(const int8_t *x, int row, v128_t out[2]) {
  v128_t p = wasm_v128_load64_zero(x), q = wasm_v128_load64_zero(x + row), s = wasm_v128_load64_zero(x + 2 * row);
  v128_t above = wasm_i8x16_shuffle(p, q, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  v128_t below = wasm_i8x16_shuffle(s, s, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  out[0] = wasm_i16x8_shuffle(above, below, 0, 8, 1, 9, 2, 10, 3, 11);
  out[1] = wasm_i16x8_shuffle(above, below, 4, 12, 5, 13, 6, 14, 7, 15);
}
// What one window of 3 x 3 leaves to those right of it, in 8 channels.
typedef struct { v128_t weights[3][2]; i32x4 now[2], next[2]; const int8_t *x; int C, row; const int *bias; } Slide;
// One pixel's sums.
INLINE void slide(const int stride, Slide *s, i32x4 sums[2]) {
  v128_t u[2], v[2];
  column(s->x, s->row, u);
  if (stride == 2) column(s->x + s->C, s->row, v);
  s->x += stride * s->C;
  UNROLL for (int h = 0; h < 2; h++) {
    sums[h] = s->now[h];
    if (stride == 2) {
      add_four(sums + h, s->weights[1][h], u[h]);
      add_four(sums + h, s->weights[2][h], v[h]);
      s->now[h] = wasm_v128_load(s->bias + 4 * h);
      add_four(s->now + h, s->weights[0][h], v[h]);
    }
    else {
      add_four(sums + h, s->weights[2][h], u[h]);
      s->now[h] = s->next[h];
      add_four(s->now + h, s->weights[1][h], u[h]);
      s->next[h] = wasm_v128_load(s->bias + 4 * h);
      add_four(s->next + h, s->weights[0][h], u[h]);
    }
  }
}
INLINE Slide slide_from(const DepthwiseInt8 *a, const int stride, const int8_t *x, const int8_t *w, int c) {
  Slide s = {.x = x, .C = a->C, .row = a->PW * a->C, .bias = a->bias + c};
  UNROLL for (int i = 0; i < 3; i++) {
    v128_t p = wasm_v128_load(w + 16 + 16 * i), q = wasm_v128_load(w + 64 + 16 * i);
    s.weights[i][0] = wasm_i16x8_shuffle(p, q, 0, 8, 1, 9, 2, 10, 3, 11);
    s.weights[i][1] = wasm_i16x8_shuffle(p, q, 4, 12, 5, 13, 6, 14, 7, 15);
  }
  v128_t u[2];
  column(s.x, s.row, u);
  s.x += s.C;
  UNROLL for (int h = 0; h < 2; h++) {
    s.now[h] = s.next[h] = wasm_v128_load(s.bias + 4 * h);
    add_four(s.now + h, s.weights[0][h], u[h]);
  }
  if (stride == 2) return s;
  column(s.x, s.row, u);
  s.x += s.C;
  UNROLL for (int h = 0; h < 2; h++) add_four(s.now + h, s.weights[1][h], u[h]), add_four(s.next + h, s.weights[0][h], u[h]);
  return s;
}
// A row of 8 channels where adds_four, 3 x 3: each column of the picture is read once.
INLINE void row_four(const DepthwiseInt8 *a, const int stride, const int8_t *x, const int8_t *w, int c, int8_t *y, const Rounder *round) {
  const Rounder r = *round;
  const float *scale = a->scale + c;
  Slide s = slide_from(a, stride, x, w, c);
  int left = a->OW;
  for (; left >= 2; left -= 2, y += 2 * s.C) {
    i32x4 p[2], q[2];
    slide(stride, &s, p);
    v128_t words = ended(0, 1, p, load(scale), load(scale + 4), 0, &a->end, &r);
    slide(stride, &s, q);
    v128_t bytes = to_bytes(words, ended(0, 1, q, load(scale), load(scale + 4), 0, &a->end, &r), &r);
    wasm_v128_store64_lane(y, bytes, 0);
    wasm_v128_store64_lane(y + s.C, bytes, 1);
  }
  if (!left) return;
  i32x4 p[2];
  slide(stride, &s, p);
  store8(y, ended(0, 1, p, load(scale), load(scale + 4), 0, &a->end, &r), 8, &r);
}
static void rows_narrow(const DepthwiseInt8 *a, const Rounder *r, Share my) {
  const int four = adds_four() && a->kh == 3 && !a->end.kind && a->C % 8 == 0 && is_near(a->scale, a->bias, a->C, MOST * 258, &a->end);
  const int pairs = (a->kh + 1) / 2, kind = a->kh + a->sw;
  for (int row = my.from; row < my.to; row++) {
    const int8_t *x = a->x + (row / a->OH * a->PH + row % a->OH * a->sh) * a->PW * a->C, *w = (const int8_t *)a->w;
    for (int c = 0; c < a->C; c += 8, w += 16 * (1 + pairs * a->kw)) {
      int8_t *y = a->y + row * a->OW * a->C + c;
      if (four && a->sw == 1) row_four(a, 1, x + c, w, c, y, r);
      else if (four) row_four(a, 2, x + c, w, c, y, r);
      else if (kind == 4) row_narrow(a, 3, 1, x + c, w, c, y, r);
      else if (kind == 5) row_narrow(a, 3, 2, x + c, w, c, y, r);
      else if (kind == 6) row_narrow(a, 5, 1, x + c, w, c, y, r);
      else row_narrow(a, 5, 2, x + c, w, c, y, r);
    }
  }
}
#else
static void rows_narrow(const DepthwiseInt8 *a, const Rounder *r, Share my) { (void)a, (void)r, (void)my; }
#endif

KERNEL(depthwise_int8, DepthwiseInt8) {
  Rounder r = rounder(a->end.to);
  Share my = share(a->N * a->OH, part, parts);
  if (NARROW && a->narrow) {
    rows_narrow(a, &r, my);
    return 0;
  }
  int taps = a->kh * a->kw, pairs = (taps + 1) / 2, offset[MAX_PLACES + 1];
  for (int i = 0; i < taps; i++) offset[i] = (i / a->kw * a->dh * a->PW + i % a->kw * a->dw) * a->C;
  offset[taps] = 0; // beside the last place where they are odd, with weights of 0
  for (int row = my.from; row < my.to; row++) {
    const int8_t *x = a->x + (row / a->OH * a->PH + row % a->OH * a->sh) * a->PW * a->C;
    int at = row * a->OW * a->C;
    for (int c = 0; c < a->C; c += 8) {
      const int16_t *w = a->w + c * 2 * pairs;
      const int8_t *res = a->res ? a->res + at + c : 0;
      if (pairs == 5) row_int8(a, 5, x + c, offset, w, c, res, a->y + at + c, &r);
      else if (pairs == 13) row_int8(a, 13, x + c, offset, w, c, res, a->y + at + c, &r);
      else row_int8(a, pairs, x + c, offset, w, c, res, a->y + at + c, &r);
    }
  }
  return 0;
}
