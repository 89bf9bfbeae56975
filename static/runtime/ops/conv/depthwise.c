// Depthwise convolution: every output channel reads one input channel. Vectors run along the width.
#include "../../wasm/simd.h"

// y[n][c*mult + j] = act(conv(x[n][c], w[c*mult + j]) + bias + res); w as in the model, [C*mult][kh*kw].
// Each plane is copied with its zero border to `plane`, column i to phase i % sw, so that a stride reads side by side:
// [sw][PH][pitch] floats, PH >= (OH-1)*sh + (kh-1)*dh + 1, pitch >= OW rounded up to 4 + (kw-1)*dw/sw.
typedef struct {
  const float *x, *w, *bias, *res;
  float *y, *plane;
  int N, C, mult, H, W, OH, OW, kh, kw, sh, sw, dh, dw, top, left, PH, pitch;
  Activation act;
} Depthwise;

// One row to one phase; columns outside the picture are 0.
static void spread_row(const Depthwise *a, const float *x, float *y, int phase) {
  int s = a->sw, first = phase - a->left, i = 0; // y[i] = x[first + i*s]
  for (; i < a->pitch && first + i * s < 0; i++) y[i] = 0;
  int n = imin(a->pitch, (a->W - first + s - 1) / s);
  if (s == 1)
    for (; i + 4 <= n; i += 4) store(y + i, load(x + first + i));
  if (s == 2)
    for (; i + 5 <= n; i += 4) {
      const float *p = x + first + 2 * i;
      store(y + i, wasm_i32x4_shuffle(load(p), load(p + 4), 0, 2, 4, 6));
    }
  for (; i < n; i++) y[i] = x[first + i * s];
  for (; i < a->pitch; i++) y[i] = 0;
}
static void spread_plane(const Depthwise *a, const float *x) {
  for (int phase = 0; phase < a->sw; phase++)
    for (int r = 0; r < a->PH; r++) {
      float *y = a->plane + (phase * a->PH + r) * a->pitch;
      int row = r - a->top;
      if (row >= 0 && row < a->H) spread_row(a, x + row * a->W, y, phase);
      else for (int i = 0; i < a->pitch; i += 4) store_n(y + i, splat(0.f), a->pitch - i);
    }
}

// V vectors of one output row from column 0 of p; KH, KW and unit dilation may be known to the compiler.
INLINE void accumulate(const Depthwise *a, const int V, int kh, int kw, int dh, int dw, int sw, const float *p,
                       const float *w, f32x4 *acc) {
  for (int r = 0; r < kh; r++)
    for (int j = 0; j < kw; j++) {
      const float *x = p + (j * dw % sw * a->PH + r * dh) * a->pitch + j * dw / sw;
      f32x4 k = load_splat(w + r * kw + j);
      UNROLL for (int v = 0; v < V; v++) {
        acc[v] = madd(acc[v], k, load(x + 4 * v));
        ORDER(acc[v]);
      }
    }
}
INLINE void span(const Depthwise *a, const int V, int kh, int kw, int dh, int dw, int sw, const float *p, const float *w,
                 f32x4 bias, const float *res, float *y, int n) {
  f32x4 acc[4], lo = act_lo(a->act), hi = act_hi(a->act);
  UNROLL for (int v = 0; v < V; v++) acc[v] = bias;
  accumulate(a, V, kh, kw, dh, dw, sw, p, w, acc);
  UNROLL for (int v = 0; v < V; v++) {
    if (res) acc[v] = add(acc[v], load_n(res + 4 * v, n - 4 * v));
    store_n(y + 4 * v, clamp(acc[v], lo, hi), n - 4 * v);
  }
}
INLINE void rows(const Depthwise *a, int kh, int kw, int dh, int dw, int sw, const float *w, f32x4 bias,
                 const float *res, float *y) {
  for (int oy = 0; oy < a->OH; oy++) {
    const float *p = a->plane + oy * a->sh * a->pitch;
    int i = 0, at = oy * a->OW;
    for (; i + 16 <= a->OW; i += 16)
      span(a, 4, kh, kw, dh, dw, sw, p + i, w, bias, res ? res + at + i : 0, y + at + i, 16);
    for (; i < a->OW; i += 4)
      span(a, 1, kh, kw, dh, dw, sw, p + i, w, bias, res ? res + at + i : 0, y + at + i, a->OW - i);
  }
}

KERNEL(depthwise, Depthwise) {
  int P = a->OH * a->OW, taps = a->kh * a->kw;
  int unit = a->dh == 1 && a->dw == 1, square = a->kh == a->kw ? a->kh : 0;
  for (int nc = 0; nc < a->N * a->C; nc++) {
    spread_plane(a, a->x + nc * a->H * a->W);
    for (int j = 0; j < a->mult; j++) {
      int out = nc * a->mult + j, c = out % (a->C * a->mult);
      const float *w = a->w + c * taps, *res = a->res ? a->res + out * P : 0;
      float *y = a->y + out * P;
      f32x4 bias = splat(a->bias ? a->bias[c] : 0);
      if (unit && square == 3 && a->sw == 1) rows(a, 3, 3, 1, 1, 1, w, bias, res, y);
      else if (unit && square == 3 && a->sw == 2) rows(a, 3, 3, 1, 1, 2, w, bias, res, y);
      else if (unit && square == 5 && a->sw == 1) rows(a, 5, 5, 1, 1, 1, w, bias, res, y);
      else if (unit && square == 5 && a->sw == 2) rows(a, 5, 5, 1, 1, 2, w, bias, res, y);
      else rows(a, a->kh, a->kw, a->dh, a->dw, a->sw, w, bias, res, y);
      if (a->act.kind) unary_span(y, y, P, a->act);
    }
  }
  return 0;
}
