// Normalisations and prelu.
#include "../../wasm/simd.h"

// y[o][c][i] = x * a + b with a = scale / sqrt(variance + epsilon), b = bias - mean * a; y may be x.
typedef struct {
  const float *x, *scale, *bias, *mean, *variance;
  float *y;
  int outer, C, inner;
  float epsilon;
} BatchNorm;
KERNEL(batch_norm, BatchNorm) {
  const float *x = a->x;
  float *y = a->y;
  Share my = share(a->outer * a->C, part, parts);
  x += my.from * a->inner, y += my.from * a->inner;
  for (int r = my.from; r < my.to; r++, x += a->inner, y += a->inner) {
    int c = r % a->C;
    float p = a->scale[c] / __builtin_sqrtf(a->variance[c] + a->epsilon), q = a->bias[c] - a->mean[c] * p;
    int i = 0;
    for (; i + 4 <= a->inner; i += 4) store(y + i, madd(splat(q), splat(p), load(x + i)));
    if (i < a->inner) store_tail(y + i, madd(splat(q), splat(p), load_tail(x + i, a->inner - i)), a->inner - i);
  }
  return 0;
}

// Mean of x[0..n), and 1 / sqrt(variance + epsilon).
static float mean_of(const float *x, int n) {
  f32x4 s[4];
  int i = 0;
  UNROLL for (int j = 0; j < 4; j++) s[j] = splat(0.f);
  for (; i + 16 <= n; i += 16) UNROLL for (int j = 0; j < 4; j++) s[j] = add(s[j], load(x + i + 4 * j));
  for (; i < n; i += 4) s[0] = add(s[0], load_n(x + i, n - i));
  return sum4(add(add(s[0], s[1]), add(s[2], s[3]))) / n;
}
static float rate_of(const float *x, int n, float mean, float epsilon) {
  f32x4 q[4], m = splat(mean);
  int i = 0;
  UNROLL for (int j = 0; j < 4; j++) q[j] = splat(0.f);
  for (; i + 16 <= n; i += 16)
    UNROLL for (int j = 0; j < 4; j++) {
      f32x4 d = sub(load(x + i + 4 * j), m);
      q[j] = madd(q[j], d, d);
    }
  for (; i + 4 <= n; i += 4) {
    f32x4 d = sub(load(x + i), m);
    q[0] = madd(q[0], d, d);
  }
  float squares = sum4(add(add(q[0], q[1]), add(q[2], q[3])));
  for (; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
  return 1 / __builtin_sqrtf(squares / n + epsilon);
}

// Rows of n to mean 0 and variance 1, then * scale[i] + bias[i] (either may be 0: left out); y may be x.
typedef struct { const float *x, *scale, *bias; float *y; int rows, n; float epsilon; } LayerNorm;
KERNEL(layer_norm, LayerNorm) {
  int n = a->n;
  Share my = share(a->rows, part, parts);
  for (int r = my.from; r < my.to; r++) {
    const float *x = a->x + r * n;
    float *y = a->y + r * n, mean = mean_of(x, n), rate = rate_of(x, n, mean, a->epsilon);
    f32x4 m = splat(mean), k = splat(rate);
    int i = 0;
    if (a->scale && a->bias)
      for (; i + 4 <= n; i += 4) store(y + i, add(mul(mul(sub(load(x + i), m), k), load(a->scale + i)), load(a->bias + i)));
    for (; i < n; i += 4) {
      f32x4 v = mul(sub(load_n(x + i, n - i), m), k);
      if (a->scale) v = mul(v, load_n(a->scale + i, n - i));
      if (a->bias) v = add(v, load_n(a->bias + i, n - i));
      store_n(y + i, v, n - i);
    }
  }
  return 0;
}

// x[N][C][P]: each group of C / groups planes to mean 0 and variance 1, then * scale[c] + bias[c] (0: left out); y may be x.
typedef struct { const float *x, *scale, *bias; float *y; int N, C, groups, P; float epsilon; } GroupNorm;
KERNEL(group_norm, GroupNorm) {
  int P = a->P, members = a->C / a->groups, n = members * P;
  Share my = share(a->N * a->groups, part, parts);
  for (int g = my.from; g < my.to; g++) {
    const float *x = a->x + g * n;
    float *y = a->y + g * n, mean = mean_of(x, n), rate = rate_of(x, n, mean, a->epsilon);
    for (int m = 0; m < members; m++, x += P, y += P) {
      int c = g % a->groups * members + m;
      f32x4 k = splat(a->scale ? a->scale[c] : 1), b = splat(a->bias ? a->bias[c] : 0);
      int i = 0;
      for (; i + 4 <= P; i += 4) store(y + i, madd(b, mul(sub(load(x + i), splat(mean)), splat(rate)), k));
      if (i < P) store_tail(y + i, madd(b, mul(sub(load_tail(x + i, P - i), splat(mean)), splat(rate)), k), P - i);
    }
  }
  return 0;
}

// y[o][c][i] = x > 0 ? x : x * alpha[c]; y may be x.
typedef struct { const float *x, *alpha; float *y; int outer, C, inner; } Prelu;
KERNEL(prelu, Prelu) {
  int rows = a->inner == 1 ? a->outer : a->outer * a->C, n = a->inner == 1 ? a->C : a->inner;
  Share my = share(rows, part, parts);
  for (int r = my.from; r < my.to; r++) {
    const float *x = a->x + r * n;
    float *y = a->y + r * n;
    f32x4 one = splat(a->alpha[r % a->C]);
    for (int i = 0; i < n; i += 4) {
      f32x4 v = load_n(x + i, n - i), k = a->inner == 1 ? load_n(a->alpha + i, n - i) : one;
      store_n(y + i, select(wasm_f32x4_gt(v, splat(0.f)), v, mul(v, k)), n - i);
    }
  }
  return 0;
}
