// Pooling of blocked pictures [N*blocks][H][W][4].
#include "../../wasm/simd.h"

// y[b][i][j] = max or sum / (area_h[i] * area_w[j]) over x[b][top[i]..bottom[i])[left[j]..right[j]).
typedef struct {
  const float *x;
  float *y;
  const int *top, *bottom, *area_h, *left, *right, *area_w;
  int planes, H, W, OH, OW, average;
} Pool;

KERNEL(pool_blocked, Pool) {
  Share my = share(a->planes * a->OH, part, parts);
  float *y = a->y + my.from * a->OW * 4;
  for (int u = my.from; u < my.to; u++) {
    int i = u % a->OH, top = a->top[i], rows = a->bottom[i] - top;
    const float *line = a->x + (u / a->OH * a->H + top) * a->W * 4;
    for (int j = 0; j < a->OW; j++, y += 4) {
      const float *x = line + a->left[j] * 4;
      int columns = a->right[j] - a->left[j];
      f32x4 v = a->average ? splat(0.f) : load(x);
      for (int r = 0; r < rows; r++, x += a->W * 4)
        for (int c = 0; c < columns; c++) v = a->average ? add(v, load(x + 4 * c)) : wasm_f32x4_max(v, load(x + 4 * c));
      store(y, a->average ? div(v, splat((float)(a->area_h[i] * a->area_w[j]))) : v);
    }
  }
  return 0;
}

// y[b] = the largest of x[b][0..P), or factor times their sum.
typedef struct { const float *x; float *y; int planes, P, average; float factor; } PoolWhole;
KERNEL(pool_whole, PoolWhole) {
  Share my = share(a->planes, part, parts);
  for (int u = my.from; u < my.to; u++) {
    const float *x = a->x + u * a->P * 4;
    f32x4 v[4];
    int p = 0;
    UNROLL for (int i = 0; i < 4; i++) v[i] = a->average ? splat(0.f) : load(x);
    if (a->average)
      for (; p + 4 <= a->P; p += 4) UNROLL for (int i = 0; i < 4; i++) v[i] = add(v[i], load(x + 4 * (p + i)));
    for (; p < a->P; p++) v[0] = a->average ? add(v[0], load(x + 4 * p)) : wasm_f32x4_max(v[0], load(x + 4 * p));
    store(a->y + 4 * u, a->average ? mul(add(add(v[0], v[1]), add(v[2], v[3])), splat(a->factor)) : v[0]);
  }
  return 0;
}
