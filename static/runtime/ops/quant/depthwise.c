// conv2d_int8 where every channel reads itself only: 8 channels at a time, window places in pairs, one product each.
#include "../../wasm/requant.h"

// src [C][taps], 1 or 2 bytes -> dst [C/8][taps/2][16]: of each pair of places the channels 0..3, then 4..7, the two
// places side by side; zeros past C and past the last place.
typedef struct { const void *src; int16_t *dst; int C, taps, bytes; } PackDepthwiseInt8;
KERNEL(pack_depthwise_int8, PackDepthwiseInt8) {
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
  int N, C, PH, PW, OH, OW, kh, kw, sh, sw, dh, dw;
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
  finish_rows(R, R, acc, a->scale + c, res, y, a->C, n, &a->end, r);
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

KERNEL(depthwise_int8, DepthwiseInt8) {
  Rounder r = rounder(a->end.to);
  int taps = a->kh * a->kw, pairs = (taps + 1) / 2, offset[MAX_PLACES + 1];
  for (int i = 0; i < taps; i++) offset[i] = (i / a->kw * a->dh * a->PW + i % a->kw * a->dw) * a->C;
  offset[taps] = 0; // beside the last place where they are odd, with weights of 0
  Share my = share(a->N * a->OH, part, parts);
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
