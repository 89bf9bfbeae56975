// What each window of a picture holds, its pixels read at shifted places.
#include "../../wasm/simd.h"

// y[n][c][tap][place] = x[n][c] at (place*stride - pad + tap*dilation + offset), linear between pixels, zero outside,
// times mask. offset[n][g][tap][down, right][OH*OW], mask[n][g][tap][OH*OW] or 0; C/G channels share a part g.
typedef struct {
  const float *x, *offset, *mask;
  float *y;
  int N, C, H, W, G, OH, OW, kh, kw, sh, sw, ph, pw, dh, dw;
} DeformableColumns;

KERNEL(deformable_columns, DeformableColumns) {
  int P = a->H * a->W, places = a->OH * a->OW, taps = a->kh * a->kw, each = a->C / a->G;
  for (int ng = 0; ng < a->N * a->G; ng++)
    for (int tap = 0; tap < taps; tap++) {
      const float *down = a->offset + (ng * taps + tap) * 2 * places, *right = down + places;
      const float *share = a->mask ? a->mask + (ng * taps + tap) * places : 0;
      for (int m = 0; m < places; m++) {
        float row = (float)(m / a->OW * a->sh - a->ph + tap / a->kw * a->dh) + down[m];
        float column = (float)(m % a->OW * a->sw - a->pw + tap % a->kw * a->dw) + right[m];
        float top = __builtin_floorf(row), left = __builtin_floorf(column), fy = row - top, fx = column - left, weight[4];
        int at[4];
        for (int k = 0; k < 4; k++) {
          float c = left + (float)(k & 1), r = top + (float)(k >> 1); // compared as floats: far outside no int holds them
          int inside = c >= 0 && c < (float)a->W && r >= 0 && r < (float)a->H;
          at[k] = inside ? (int)r * a->W + (int)c : 0;
          weight[k] = inside ? (k & 1 ? fx : 1 - fx) * (k >> 1 ? fy : 1 - fy) : 0;
        }
        const float *x = a->x + ng * each * P;
        float *y = a->y + (ng * each * taps + tap) * places + m;
        for (int c = 0; c < each; c++, x += P, y += taps * places) {
          float v = 0;
          for (int k = 0; k < 4; k++) if (weight[k] != 0) v += x[at[k]] * weight[k];
          *y = share ? v * share[m] : v;
        }
      }
    }
  return 0;
}
