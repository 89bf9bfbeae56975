// A picture read at any places.
#include "../../wasm/corners.h"

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
      if (a->nearest) column = __builtin_rintf(column), row = __builtin_rintf(row);
      Corners four = corners(row, column, a->H, a->W);
      for (int c = 0; c < a->C; c++, x += P, y += a->places) *y = between(x, &four);
    }
  return 0;
}
