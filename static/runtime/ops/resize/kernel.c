// Bilinear and bicubic resize by tables that the plan computed.
#include "../../wasm/simd.h"

// y[o][h][w][i] = mix of the rows y0[h], y1[h] (weight fy[h] for y1) and the columns x0[w], x1[w] (fx[w]).
typedef struct {
  const float *x;
  float *y;
  const int *y0, *y1;
  const float *fy;
  const int *x0, *x1;
  const float *fx;
  int outer, H, W, OH, OW, inner;
} Bilinear;

INLINE float mix(float p, float q, float t) { return p * (1 - t) + q * t; }

INLINE f32x4 mix4(f32x4 p, f32x4 q, f32x4 t) { return add(mul(p, sub(splat(1.f), t)), mul(q, t)); }

KERNEL(bilinear, Bilinear) {
  int n = a->inner;
  Share my = share(a->outer * a->OH, part, parts);
  float *y = a->y + my.from * a->OW * n;
  for (int u = my.from; u < my.to; u++) {
    int o = u / a->OH, h = u % a->OH;
    const float *top = a->x + (o * a->H + a->y0[h]) * a->W * n, *bottom = a->x + (o * a->H + a->y1[h]) * a->W * n;
    float fy = a->fy[h];
    for (int w = 0; w < a->OW; w++) {
      int p = a->x0[w] * n, q = a->x1[w] * n, i = 0;
      float fx = a->fx[w];
      for (; i + 4 <= n; i += 4, y += 4) {
        f32x4 t = splat(fx), up = mix4(load(top + p + i), load(top + q + i), t);
        store(y, mix4(up, mix4(load(bottom + p + i), load(bottom + q + i), t), splat(fy)));
      }
      for (; i < n; i++) *y++ = mix(mix(top[p + i], top[q + i], fx), mix(bottom[p + i], bottom[q + i], fx), fy);
    }
  }
  return 0;
}

// y[o][h][w][i] = sum of 4 x 4 pixels: rows ay[4h..4h+4) with weights wy, columns ax[4w..4w+4) with weights wx.
typedef struct {
  const float *x;
  float *y;
  const int *ay;
  const float *wy;
  const int *ax;
  const float *wx;
  int outer, H, W, OH, OW, inner;
} Bicubic;
KERNEL(bicubic, Bicubic) {
  int n = a->inner;
  float *y = a->y;
  for (int o = 0; o < a->outer; o++)
    for (int h = 0; h < a->OH; h++)
      for (int w = 0; w < a->OW; w++)
        for (int i = 0; i < n; i++) {
          const float *x = a->x + o * a->H * a->W * n + i, *wx = a->wx + 4 * w;
          const int *ax = a->ax + 4 * w;
          float v = 0;
          for (int r = 0; r < 4; r++) {
            const float *row = x + a->ay[4 * h + r] * a->W * n;
            float s = 0;
            for (int c = 0; c < 4; c++) s += row[ax[c] * n] * wx[c];
            v += s * a->wy[4 * h + r];
          }
          *y++ = v;
        }
  return 0;
}
