// Max and average pooling of any window: windows come as tables, so that padding, ceil_mode and adaptive bins are one case.
#include "../../wasm/simd.h"

// y[p][i][j] = max or sum / (area_h[i] * area_w[j]) over x[p][top[i]..bottom[i])[left[j]..right[j]); row: scratch, W floats.
typedef struct {
  const float *x;
  float *y, *row;
  const int *top, *bottom, *area_h, *left, *right, *area_w;
  int planes, H, W, OH, OW, average;
} Pool;

// The rows of a window's height reduced to one row.
static void reduce_rows(const Pool *a, const float *x, int top, int bottom) {
  for (int j = 0; j < a->W; j += 4) {
    int n = a->W - j;
    f32x4 v = load_n(x + top * a->W + j, n);
    for (int r = top + 1; r < bottom; r++) {
      f32x4 w = load_n(x + r * a->W + j, n);
      v = a->average ? add(v, w) : wasm_f32x4_max(v, w);
    }
    store_n(a->row + j, v, n);
  }
}

KERNEL(pool, Pool) {
  float *y = a->y;
  for (int p = 0; p < a->planes; p++) {
    const float *x = a->x + p * a->H * a->W;
    for (int i = 0; i < a->OH; i++) {
      reduce_rows(a, x, a->top[i], a->bottom[i]);
      for (int j = 0; j < a->OW; j++) {
        float v = a->row[a->left[j]];
        for (int c = a->left[j] + 1; c < a->right[j]; c++) {
          float w = a->row[c];
          v = a->average ? v + w : w > v || w != w ? w : v;
        }
        *y++ = a->average ? v / (float)(a->area_h[i] * a->area_w[j]) : v;
      }
    }
  }
  return 0;
}
