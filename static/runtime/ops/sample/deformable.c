// What each window of a picture holds, its pixels read at shifted places.
#include "../../wasm/corners.h"

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
        Corners four = corners(row, column, a->H, a->W);
        const float *x = a->x + ng * each * P;
        float *y = a->y + (ng * each * taps + tap) * places + m;
        for (int c = 0; c < each; c++, x += P, y += taps * places) {
          float v = between(x, &four);
          *y = share ? v * share[m] : v;
        }
      }
    }
  return 0;
}
