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

// The window as constants where the compiler may know them.
typedef struct { int kh, kw, dh, dw, sw; } Taps;

// R output rows x V vectors from column 0 of p on, of which n columns count. Eight chains hide the latency of an add.
INLINE void span(const Depthwise *a, const int R, const int V, const Taps t, const float *p, const float *w, f32x4 bias,
                 const float *res, float *y, int n) {
  f32x4 acc[2][4], lo = act_lo(a->act), hi = act_hi(a->act);
  UNROLL for (int q = 0; q < R; q++) UNROLL for (int v = 0; v < V; v++) acc[q][v] = bias;
  for (int r = 0; r < t.kh; r++)
    for (int j = 0; j < t.kw; j++) {
      const float *x = p + (j * t.dw % t.sw * a->PH + r * t.dh) * a->pitch + j * t.dw / t.sw;
      f32x4 k = load_splat(w + r * t.kw + j);
      UNROLL for (int q = 0; q < R; q++)
        UNROLL for (int v = 0; v < V; v++) {
          acc[q][v] = madd(acc[q][v], k, load(x + q * a->sh * a->pitch + 4 * v));
          ORDER(acc[q][v]);
        }
    }
  UNROLL for (int q = 0; q < R; q++)
    UNROLL for (int v = 0; v < V; v++) {
      int at = q * a->OW + 4 * v, left = n - 4 * v;
      if (res) acc[q][v] = add(acc[q][v], load_n(res + at, left));
      store_n(y + at, clamp(acc[q][v], lo, hi), left);
    }
}
INLINE void row_end(const Depthwise *a, const int R, const Taps t, const float *p, const float *w, f32x4 bias,
                    const float *res, float *y, int n) {
  switch ((n + 3) / 4) {
    case 1: span(a, R, 1, t, p, w, bias, res, y, n); break;
    case 2: span(a, R, 2, t, p, w, bias, res, y, n); break;
    case 3: span(a, R, 3, t, p, w, bias, res, y, n); break;
    case 4: span(a, R, 4, t, p, w, bias, res, y, n); break;
  }
}
INLINE void rows(const Depthwise *a, const Taps t, const float *w, f32x4 bias, const float *res, float *y) {
  int oy = 0, two = a->OW <= 16;
  for (; two && oy + 2 <= a->OH; oy += 2) {
    int at = oy * a->OW;
    row_end(a, 2, t, a->plane + oy * a->sh * a->pitch, w, bias, res ? res + at : 0, y + at, a->OW);
  }
  for (; oy < a->OH; oy++) {
    const float *p = a->plane + oy * a->sh * a->pitch;
    int i = 0, at = oy * a->OW;
    for (; i + 16 <= a->OW; i += 16) span(a, 1, 4, t, p + i, w, bias, res ? res + at + i : 0, y + at + i, 16);
    row_end(a, 1, t, p + i, w, bias, res ? res + at + i : 0, y + at + i, a->OW - i);
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
      if (unit && square == 3 && a->sw == 1) rows(a, (Taps){3, 3, 1, 1, 1}, w, bias, res, y);
      else if (unit && square == 3 && a->sw == 2) rows(a, (Taps){3, 3, 1, 1, 2}, w, bias, res, y);
      else if (unit && square == 5 && a->sw == 1) rows(a, (Taps){5, 5, 1, 1, 1}, w, bias, res, y);
      else if (unit && square == 5 && a->sw == 2) rows(a, (Taps){5, 5, 1, 1, 2}, w, bias, res, y);
      else rows(a, (Taps){a->kh, a->kw, a->dh, a->dw, a->sw}, w, bias, res, y);
      if (a->act.kind) unary_span(y, y, P, a->act);
    }
  }
  return 0;
}
