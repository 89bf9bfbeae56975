// Between the pixels of a picture.
#pragma once
#include "simd.h"

// The four pixels around a place [row][column] of a picture [H][W], and what they weigh there; outside they weigh nothing.
typedef struct { int at[4]; float weight[4]; } Corners;
INLINE Corners corners(float row, float column, int H, int W) {
  float top = __builtin_floorf(row), left = __builtin_floorf(column), fy = row - top, fx = column - left;
  Corners f;
  for (int k = 0; k < 4; k++) {
    float c = left + (float)(k & 1), r = top + (float)(k >> 1); // compared as floats: far outside no int holds them
    int inside = c >= 0 && c < (float)W && r >= 0 && r < (float)H;
    f.at[k] = inside ? (int)r * W + (int)c : 0;
    f.weight[k] = inside ? (k & 1 ? fx : 1 - fx) * (k >> 1 ? fy : 1 - fy) : 0;
  }
  return f;
}
// Pixels that weigh nothing are not read: they may be no numbers.
INLINE float between(const float *x, const Corners *f) {
  float v = 0;
  for (int k = 0; k < 4; k++) if (f->weight[k] != 0) v += x[f->at[k]] * f->weight[k];
  return v;
}
