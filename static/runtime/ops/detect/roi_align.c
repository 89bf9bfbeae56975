// Means of bilinear samples over the bins of boxes.
#include "../../wasm/simd.h"

// y[r][c] = [ph][pw] bins of box r of picture n: x[n][c] sampled on a grid of `ratio` x `ratio` per bin, or (0) about one
// sample per pixel. num[n] boxes belong to picture n. Boxes are scaled, and `aligned` ones moved by half a pixel.
typedef struct {
  const float *x, *rois;
  const void *num;
  float *y;
  int N, C, H, W, R, ph, pw, ratio, aligned, wide;
  float scale;
} RoiAlign;
typedef struct { int low, high; float a, b; } Tap; // two pixels and their weights

// Sample k of `count` in bin p of an axis of `size` pixels.
static Tap tap(float start, float bin, int p, int k, int count, int size) {
  float at = start + bin * (p + (k + .5f) / count);
  Tap t = { 0, 0, 0, 0 };
  if (!(at >= -1.f && at <= size)) return t;
  if (at <= 0) at = 0;
  t.low = (int)at;
  if (t.low >= size - 1) at = t.low = size - 1;
  t.high = imin(t.low + 1, size - 1);
  t.a = t.high - at;
  t.b = 1 - t.a;
  return t;
}
static int samples(float extent, int bins, int ratio) {
  float n = __builtin_ceilf(extent / bins);
  return ratio ? ratio : n > 0 ? (int)n : 0;
}
static void one_box(const RoiAlign *a, const float *x, const float *box, float *y) {
  float shift = a->aligned ? .5f : 0.f, left = box[0] * a->scale - shift, top = box[1] * a->scale - shift;
  float w = box[2] * a->scale - shift - left, h = box[3] * a->scale - shift - top;
  if (!a->aligned) {
    w = w < 1.f ? 1.f : w;
    h = h < 1.f ? 1.f : h;
  }
  int across = samples(w, a->pw, a->ratio), down = samples(h, a->ph, a->ratio), plane = a->H * a->W, bins = a->ph * a->pw;
  for (int i = 0; i < a->C * bins; i++) y[i] = across && down ? 0.f : __builtin_nanf("");
  for (int q = 0; q < bins; q++)
    for (int j = 0; j < down; j++) {
      Tap v = tap(top, h / a->ph, q / a->pw, j, down, a->H);
      for (int i = 0; i < across; i++) {
        Tap u = tap(left, w / a->pw, q % a->pw, i, across, a->W);
        const float *p = x + v.low * a->W, *r = x + v.high * a->W;
        for (int c = 0; c < a->C; c++, p += plane, r += plane)
          y[c * bins + q] += u.a * v.a * p[u.low] + u.b * v.a * p[u.high] + u.a * v.b * r[u.low] + u.b * v.b * r[u.high];
      }
    }
  if (across && down)
    for (int i = 0; i < a->C * bins; i++) y[i] *= 1.f / (across * down);
}
KERNEL(roi_align, RoiAlign) {
  int r = 0;
  for (int n = 0; n < a->N; n++) {
    int64_t count = a->wide ? ((const int64_t *)a->num)[n] : ((const int32_t *)a->num)[n];
    if (count < 0 || count > a->R - r) return BAD_COUNT;
    for (int end = r + (int)count; r < end; r++)
      one_box(a, a->x + n * a->C * a->H * a->W, a->rois + 4 * r, a->y + r * a->C * a->ph * a->pw);
  }
  return r == a->R ? 0 : BAD_COUNT;
}
