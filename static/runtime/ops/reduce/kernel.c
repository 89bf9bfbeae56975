// Reductions and arg_max over the middle of x[outer][n][inner].
#include "../../wasm/simd.h"

enum { SUM, MAX, MIN, PROD };

// y[outer][inner] = factor * (x[o][0][i] op x[o][1][i] op ...)
typedef struct { const void *x; void *y; int outer, n, inner, op; float factor; } Reduce;

INLINE f32x4 combine(int op, f32x4 p, f32x4 q) {
  return op == SUM ? add(p, q) : op == MAX ? wasm_f32x4_max(p, q) : op == MIN ? wasm_f32x4_min(p, q) : mul(p, q);
}
INLINE float combine1(int op, float p, float q) {
  return wasm_f32x4_extract_lane(combine(op, splat(p), splat(q)), 0);
}
static float reduce_row(const float *x, int n, int op) {
  float r = x[0];
  int i = 1;
  if (n >= 16) {
    f32x4 s0 = load(x), s1 = load(x + 4), s2 = load(x + 8), s3 = load(x + 12);
    for (i = 16; i + 16 <= n; i += 16) {
      s0 = combine(op, s0, load(x + i));
      s1 = combine(op, s1, load(x + i + 4));
      s2 = combine(op, s2, load(x + i + 8));
      s3 = combine(op, s3, load(x + i + 12));
    }
    s0 = combine(op, combine(op, s0, s1), combine(op, s2, s3));
    s0 = combine(op, s0, wasm_i32x4_shuffle(s0, s0, 2, 3, 0, 1));
    r = combine1(op, wasm_f32x4_extract_lane(s0, 0), wasm_f32x4_extract_lane(s0, 1));
  }
  for (; i < n; i++) r = combine1(op, r, x[i]);
  return r;
}
KERNEL(reduce, Reduce) {
  const float *x = a->x;
  float *y = a->y;
  for (int o = 0; o < a->outer; o++, x += a->n * a->inner, y += a->inner) {
    if (a->inner == 1) {
      *y = reduce_row(x, a->n, a->op) * a->factor;
      continue;
    }
    for (int i = 0; i < a->inner; i += 4) {
      int lanes = a->inner - i;
      f32x4 s = load_n(x + i, lanes);
      for (int k = 1; k < a->n; k++) s = combine(a->op, s, load_n(x + k * a->inner + i, lanes));
      store_n(y + i, mul(s, splat(a->factor)), lanes);
    }
  }
  return 0;
}

#define INTEGERS(T, U, name) \
  KERNEL(name, Reduce) { \
    const T *x = a->x; \
    T *y = a->y; \
    for (int o = 0; o < a->outer; o++, x += a->n * a->inner) \
      for (int i = 0; i < a->inner; i++) { \
        T r = x[i]; \
        for (int k = 1; k < a->n; k++) { \
          T v = x[k * a->inner + i]; \
          r = a->op == SUM ? (T)((U)r + (U)v) : a->op == MAX ? (r > v ? r : v) : a->op == MIN ? (r < v ? r : v) : (T)((U)r * (U)v); \
        } \
        *y++ = r; \
      } \
    return 0; \
  }
INTEGERS(int32_t, uint32_t, reduce_i32)
INTEGERS(int64_t, uint64_t, reduce_i64)
INTEGERS(uint8_t, uint8_t, reduce_u8)

// Position of the first largest (or smallest) value, a NaN before all; as int64 or int32; float, int32 and int64 input.
typedef struct { const void *x; void *y; int outer, n, inner, from, wide, smallest; } ArgMax;
#define SCAN(T) \
  { \
    const T *p = (const T *)a->x + o * a->n * a->inner + i; \
    for (int k = 1; k < a->n; k++) { \
      T v = p[k * a->inner], top = p[best * a->inner]; \
      if ((a->smallest ? v < top : v > top) || (v != v && top == top)) best = k; \
    } \
    break; \
  }
KERNEL(arg_max, ArgMax) {
  for (int o = 0, at = 0; o < a->outer; o++)
    for (int i = 0; i < a->inner; i++, at++) {
      int best = 0;
      switch (a->from) {
        case 0: SCAN(float)
        case 1: SCAN(int32_t)
        case 2: SCAN(int64_t)
      }
      if (a->wide) ((int64_t *)a->y)[at] = best;
      else ((int32_t *)a->y)[at] = best;
    }
  return 0;
}
