// y = f(x), element by element, and casts.
#include "../../wasm/simd.h"

// The order of ops/activation.js; parameters in alpha, beta, gamma.
enum {
  CLAMP, SIGMOID, TANH, SWISH, HARD_SWISH, HARD_SIGMOID, LEAKY_RELU, ELU, GELU, GELU_TANH, MISH, SOFTPLUS, EXP, LOG,
  SQRT, RSQRT, SQUARE, ABS, FLOOR, CEIL, ROUND, SIGN, RECIPROCAL, SIN, COS, ERF, POW, AFFINE, AFFINE_AFTER
};

#define SPAN(f) \
  for (; i + 4 <= n; i += 4) { \
    f32x4 x = load(from + i); \
    store(to + i, f); \
  } \
  break
#define EACH(f) \
  for (; i < n; i++) { \
    float x = from[i]; \
    to[i] = f; \
  } \
  break

INLINE f32x4 gelu_tanh(f32x4 x) {
  f32x4 t = mul(K(0.7978845608028654f), madd(x, mul(K(0.044715f), x), mul(x, x)));
  return mul(mul(K(0.5f), x), add(K(1.f), v_tanh(t)));
}
// x * tanh(log(1 + e^x)) = x * (n^2 + 2n) / (n^2 + 2n + 2), n = e^x
INLINE f32x4 mish(f32x4 x) {
  f32x4 n = v_exp(min2(x, K(20.f))), p = mul(n, add(n, K(2.f)));
  return mul(x, div(p, add(p, K(2.f))));
}
INLINE f32x4 softplus(f32x4 x, f32x4 beta, f32x4 threshold) {
  f32x4 t = mul(x, beta);
  // log(1 + e^t) = max(t, 0) + log(1 + e^-|t|)
  f32x4 y = add(max2(t, K(0.f)), v_log1p(v_exp(wasm_f32x4_neg(wasm_f32x4_abs(t)))));
  return select(wasm_f32x4_gt(t, threshold), x, div(y, beta));
}
INLINE f32x4 sign(f32x4 x) {
  f32x4 one = K(1.f), p = wasm_v128_and(wasm_f32x4_gt(x, K(0.f)), one), q = wasm_v128_and(wasm_f32x4_lt(x, K(0.f)), one);
  return select(wasm_f32x4_eq(x, x), sub(p, q), x);
}
INLINE f32x4 hard_sigmoid(f32x4 x, f32x4 slope, f32x4 offset) { return clamp(madd(offset, x, slope), K(0.f), K(1.f)); }

void unary_span(const float *from, float *to, int n, Activation t) {
  f32x4 alpha = splat(t.alpha), beta = splat(t.beta), gamma = splat(t.gamma), zero = K(0.f), one = K(1.f);
  int i = 0;
  switch (t.kind) {
    case CLAMP: SPAN(clamp(x, alpha, beta));
    case SIGMOID: SPAN(v_sigmoid(x));
    case TANH: SPAN(v_tanh(x));
    case SWISH: SPAN(mul(x, v_sigmoid(mul(x, alpha))));
    case HARD_SWISH: SPAN(div(mul(x, clamp(add(x, gamma), zero, alpha)), beta));
    case HARD_SIGMOID: SPAN(hard_sigmoid(x, alpha, beta));
    case LEAKY_RELU: SPAN(select(wasm_f32x4_lt(x, zero), mul(x, alpha), x));
    case ELU: SPAN(select(wasm_f32x4_lt(x, zero), mul(alpha, sub(v_exp(x), one)), x));
    case GELU: SPAN(mul(mul(x, K(0.5f)), add(one, v_erf(mul(x, K(0.70710678118654752f))))));
    case GELU_TANH: SPAN(gelu_tanh(x));
    case MISH: SPAN(mish(x));
    case SOFTPLUS: SPAN(softplus(x, alpha, beta));
    case EXP: SPAN(v_exp(x));
    case LOG: SPAN(v_log(x));
    case SQRT: SPAN(wasm_f32x4_sqrt(x));
    case RSQRT: SPAN(div(one, wasm_f32x4_sqrt(x)));
    case SQUARE: SPAN(mul(x, x));
    case ABS: SPAN(wasm_f32x4_abs(x));
    case FLOOR: SPAN(wasm_f32x4_floor(x));
    case CEIL: SPAN(wasm_f32x4_ceil(x));
    case ROUND: SPAN(wasm_f32x4_nearest(x));
    case SIGN: SPAN(sign(x));
    case RECIPROCAL: SPAN(div(one, x));
    case SIN: EACH(s_sin(x, 0));
    case COS: EACH(s_sin(x, 1));
    case ERF: SPAN(v_erf(x));
    case POW: EACH(s_pow(x, t.alpha));
    case AFFINE: SPAN(madd(beta, x, alpha));
    case AFFINE_AFTER: SPAN(mul(add(x, beta), alpha));
  }
  if (i < n) { // the last one to three
    float last[4];
    store(last, load_tail(from + i, n - i));
    unary_span(last, last, 4, t);
    store_tail(to + i, load(last), n - i);
  }
}

typedef struct { const float *x; float *y; int n; Activation f; } Unary;
KERNEL(unary, Unary) {
  Share my = share((a->n + 3) / 4, part, parts);
  unary_span(a->x + 4 * my.from, a->y + 4 * my.from, imin(a->n, 4 * my.to) - 4 * my.from, a->f);
  return 0;
}

// The same kinds on integers, where they have a meaning; parameters are 64-bit.
typedef struct { int64_t alpha, beta; const void *x; void *y; int n, kind; } UnaryInt;
#define INTEGERS(T, name) \
  KERNEL(name, UnaryInt) { \
    const T *from = a->x; \
    T *to = a->y, p = (T)a->alpha, q = (T)a->beta; \
    for (int i = 0; i < a->n; i++) { \
      T x = from[i]; \
      switch (a->kind) { \
        case CLAMP: x = x < p ? p : x; x = x > q ? q : x; break; \
        case SQUARE: x = x * x; break; \
        case ABS: x = x < 0 ? -x : x; break; \
        case SIGN: x = (x > 0) - (x < 0); break; \
        case AFFINE: x = x * p + q; break; \
        case AFFINE_AFTER: x = (x + q) * p; break; \
      } \
      to[i] = x; \
    } \
    return 0; \
  }
INTEGERS(int32_t, unary_i32)
INTEGERS(int64_t, unary_i64)

typedef struct { const uint8_t *x; uint8_t *y; int n; } Bytes;
KERNEL(logical_not, Bytes) {
  for (int i = 0; i < a->n; i++) a->y[i] = !a->x[i];
  return 0;
}

// dtype codes as in ops/dtype.js; a float outside an integer's range saturates, NaN gives 0.
enum { F32, I32, I64, U8, BOOL, I8 };
typedef struct { const void *x; void *y; int n, from, to; } Cast;
#define STORE(T) for (int i = 0; i < n; i++) ((T *)y)[i] = (T)x[i]; return
#define CAST_FROM(T, name) \
  static void name(const T *x, void *y, int n, int to) { \
    switch (to) { \
      case F32: STORE(float); \
      case I32: STORE(int32_t); \
      case I64: STORE(int64_t); \
      case U8: STORE(uint8_t); \
      case BOOL: for (int i = 0; i < n; i++) ((uint8_t *)y)[i] = x[i] != 0; return; \
      case I8: STORE(int8_t); \
    } \
  }
CAST_FROM(float, cast_f32)
CAST_FROM(int32_t, cast_i32)
CAST_FROM(int64_t, cast_i64)
CAST_FROM(uint8_t, cast_u8)
CAST_FROM(int8_t, cast_i8)
KERNEL(cast, Cast) {
  switch (a->from) {
    case F32: cast_f32(a->x, a->y, a->n, a->to); break;
    case I32: cast_i32(a->x, a->y, a->n, a->to); break;
    case I64: cast_i64(a->x, a->y, a->n, a->to); break;
    case I8: cast_i8(a->x, a->y, a->n, a->to); break;
    default: cast_u8(a->x, a->y, a->n, a->to);
  }
  return 0;
}
