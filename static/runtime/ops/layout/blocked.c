// Between plain planes [N][C][P] and blocked pictures [N][ceil(C/4)][P][4], and what only blocked pictures need.
#include "../../wasm/blocked.h"

typedef struct { const float *x; float *y; int N, C, P; } Relayout;

// Lanes past C become 0.
KERNEL(to_blocked, Relayout) {
  int P = a->P, blocks = (a->C + 3) / 4;
  Share my = share(a->N * blocks, part, parts);
  for (int u = my.from; u < my.to; u++) {
    int n = u / blocks, c = u % blocks * 4, lanes = imin(4, a->C - c), p = 0;
    const float *x = a->x + (n * a->C + c) * P;
    float *y = a->y + u * P * 4;
    for (; p + 4 <= P; p += 4) {
      f32x4 v[4];
      UNROLL for (int j = 0; j < 4; j++) v[j] = j < lanes ? load(x + j * P + p) : splat(0.f);
      transpose4(v);
      UNROLL for (int j = 0; j < 4; j++) store(y + 4 * (p + j), v[j]);
    }
    for (; p < P; p++) for (int j = 0; j < 4; j++) y[4 * p + j] = j < lanes ? x[j * P + p] : 0;
  }
  return 0;
}
KERNEL(to_plain, Relayout) {
  int P = a->P, blocks = (a->C + 3) / 4;
  Share my = share(a->N * blocks, part, parts);
  for (int u = my.from; u < my.to; u++) {
    int n = u / blocks, c = u % blocks * 4, lanes = imin(4, a->C - c), p = 0;
    const float *x = a->x + u * P * 4;
    float *y = a->y + (n * a->C + c) * P;
    for (; p + 4 <= P; p += 4) {
      f32x4 v[4];
      UNROLL for (int j = 0; j < 4; j++) v[j] = load(x + 4 * (p + j));
      transpose4(v);
      UNROLL for (int j = 0; j < 4; j++) if (j < lanes) store(y + j * P + p, v[j]);
    }
    for (; p < P; p++) for (int j = 0; j < lanes; j++) y[j * P + p] = x[4 * p + j];
  }
  return 0;
}
