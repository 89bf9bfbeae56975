// A picture read at any places.
#include "../../wasm/simd.h"

enum { ZEROS, BORDER, REFLECTION };

// y[n][c][m] = x[n][c] at grid[n][m] = (column, row), -1 and 1 being the ends: the centres of the outer pixels (corners)
// or their outer edges. Between pixels linear, or the nearest one. Outside: zeros, the border, or reflected back in.
typedef struct {
  const float *x, *grid;
  float *y;
  int N, C, H, W, places, padding, nearest, corners;
} GridSample;

static float place(float at, int size, int padding, int corners) {
  float top = (float)(size - 1), x = corners ? (at + 1) / 2 * top : ((at + 1) * (float)size - 1) / 2;
  if (padding == ZEROS) return x;
  if (padding == REFLECTION) {
    float span = corners ? 2 * top : 2 * (float)size, t = __builtin_fabsf(corners ? x : x + 0.5f);
    float rest = t - __builtin_floorf(t / (span > 1 ? span : 1)) * span;
    x = (rest < span - rest ? rest : span - rest) - (corners ? 0 : 0.5f);
  }
  return x > 0 ? x < top ? x : top : 0;
}

KERNEL(grid_sample, GridSample) {
  int P = a->H * a->W;
  for (int n = 0; n < a->N; n++)
    for (int m = 0; m < a->places; m++) {
      const float *g = a->grid + (n * a->places + m) * 2, *x = a->x + n * a->C * P;
      float *y = a->y + n * a->C * a->places + m;
      float column = place(g[0], a->W, a->padding, a->corners), row = place(g[1], a->H, a->padding, a->corners);
      float left = a->nearest ? __builtin_rintf(column) : __builtin_floorf(column);
      float top = a->nearest ? __builtin_rintf(row) : __builtin_floorf(row);
      float fx = a->nearest ? 0 : column - left, fy = a->nearest ? 0 : row - top, weight[4];
      int at[4];
      for (int k = 0; k < 4; k++) {
        float c = left + (float)(k & 1), r = top + (float)(k >> 1); // compared as floats: far outside no int holds them
        int inside = c >= 0 && c < (float)a->W && r >= 0 && r < (float)a->H;
        at[k] = inside ? (int)r * a->W + (int)c : 0;
        weight[k] = inside ? (k & 1 ? fx : 1 - fx) * (k >> 1 ? fy : 1 - fy) : 0;
      }
      for (int c = 0; c < a->C; c++, x += P, y += a->places) {
        float v = 0;
        for (int k = 0; k < 4; k++) if (weight[k] != 0) v += x[at[k]] * weight[k];
        *y = v;
      }
    }
  return 0;
}
