// softmax and log_softmax along any axis.
#include "../../wasm/simd.h"

// Over the middle of x[outer][n][inner]; y may be x.
typedef struct { const float *x; float *y; int outer, n, inner, log; } Softmax;

static void row(const float *x, float *y, int n, int log) {
  float m = x[0];
  int i = 0;
  if (n >= 4) {
    f32x4 v = load(x);
    for (i = 4; i + 4 <= n; i += 4) v = max2(v, load(x + i));
    m = max4(v);
  }
  for (; i < n; i++) m = x[i] > m ? x[i] : m;
  f32x4 top = splat(m), s = splat(0.f);
  for (i = 0; i + 4 <= n; i += 4) {
    f32x4 e = v_exp(sub(load(x + i), top));
    s = add(s, e);
    if (!log) store(y + i, e);
  }
  float total = sum4(s);
  if (i < n) {
    f32x4 e = v_exp(sub(load_tail(x + i, n - i), top));
    if (!log) store_tail(y + i, e, n - i);
    f32x4 lanes = wasm_i32x4_lt(wasm_i32x4_const(0, 1, 2, 3), isplat(n - i));
    total += sum4(wasm_v128_and(e, lanes));
  }
  f32x4 t = log ? v_log(splat(total)) : splat(1 / total);
  i = 0;
  if (!log) for (; i + 4 <= n; i += 4) store(y + i, mul(load(y + i), t));
  for (; i < n; i += 4) {
    f32x4 v = log ? sub(sub(load_n(x + i, n - i), top), t) : mul(load_n(y + i, n - i), t);
    store_n(y + i, v, n - i);
  }
}

// Four neighbouring columns at a time.
static void columns(const float *x, float *y, int n, int inner, int lanes, int log) {
  f32x4 m = load_n(x, lanes), s = splat(0.f);
  for (int k = 1; k < n; k++) m = max2(m, load_n(x + k * inner, lanes));
  for (int k = 0; k < n; k++) {
    f32x4 e = v_exp(sub(load_n(x + k * inner, lanes), m));
    s = add(s, e);
    if (!log) store_n(y + k * inner, e, lanes);
  }
  if (log) s = v_log(s);
  for (int k = 0; k < n; k++) {
    f32x4 v = log ? sub(sub(load_n(x + k * inner, lanes), m), s) : div(load_n(y + k * inner, lanes), s);
    store_n(y + k * inner, v, lanes);
  }
}

KERNEL(softmax, Softmax) {
  Share my = share(a->outer, part, parts);
  for (int o = my.from; o < my.to; o++) {
    const float *x = a->x + o * a->n * a->inner;
    float *y = a->y + o * a->n * a->inner;
    if (a->inner == 1) row(x, y, a->n, a->log);
    else for (int i = 0; i < a->inner; i += 4) columns(x + i, y + i, a->n, a->inner, a->inner - i, a->log);
  }
  return 0;
}
