// Functions of one element that models use rarely: one at a time, in double. Also the classes of a float.
#include "../../wasm/simd.h"

// The order of ops/unary/index.js; parameters in alpha and beta.
enum {
  SOFTSIGN, TANH_SHRINK, SOFTSHRINK, HARD_SHRINK, THRESHOLDED_RELU, LOGSIGMOID, CELU, SELU, STANH, EXPM1, LOG1P, LOG2, LOG10,
  TAN, ASIN, ACOS, ATAN, SINH, COSH, ASINH, ACOSH, ATANH
};

// Called, not copied: twenty functions share these, and none is in a hurry.
#define SHARED static __attribute__((noinline))

static const double LN2 = 0.6931471805599453, HALF_PI = 1.5707963267948966;

SHARED double d_expm1(double x) {
  if (x > -1e-5 && x < 1e-5) return x + 0.5 * x * x;
  if (x > 690) x = 690; // beyond every float
  if (x < -690) x = -690;
  return d_exp2(x * 1.4426950408889634) - 1;
}
SHARED double d_log(double x) {
  if (!(x > 0)) return x == 0 ? -__builtin_inf() : __builtin_nan("");
  return x == __builtin_inf() ? x : d_log2(x) * LN2;
}
SHARED double d_log1p(double x) { return x > -1e-5 && x < 1e-5 ? x - 0.5 * x * x : d_log(1 + x); }
SHARED double d_tanh(double x) {
  double t = d_expm1(2 * (x > 20 ? 20 : x < -20 ? -20 : x));
  return t / (t + 2);
}
SHARED double d_asinh(double x) {
  double t = __builtin_fabs(x);
  double y = t > 1e9 ? d_log(t) + LN2 : d_log1p(t + t * t / (1 + __builtin_sqrt(t * t + 1)));
  return __builtin_copysign(y, x);
}
SHARED double d_atan(double x) {
  double t = __builtin_fabs(x), start = 0, sign = 1;
  if (t > 1) t = 1 / t, start = HALF_PI, sign = -1;
  double turn = 0;
  if (t > 0.2679491924311227) { // tan(pi/12): turned by pi/6
    t = (t * 1.7320508075688772 - 1) / (t + 1.7320508075688772);
    turn = HALF_PI / 3;
  }
  double z = t * t, p = 1.0 / 19;
  UNROLL for (int i = 17; i >= 1; i -= 2) p = 1.0 / i - z * p;
  return __builtin_copysign(start + sign * (turn + t * p), x);
}
static double d_asin(double x) { return d_atan(x / __builtin_sqrt((1 - x) * (1 + x))); }

float atan2_f32(float y, float x) {
  if (x != x || y != y) return x + y;
  double at, p = y, q = x, inf = __builtin_inf();
  if (q - q != 0 && p - p != 0) at = q > 0 ? HALF_PI / 2 : 3 * HALF_PI / 2; // both infinite
  else if (p == 0) at = __builtin_copysign(1.0, q) > 0 ? 0 : 2 * HALF_PI;
  else if (q == 0 || p - p != 0) at = HALF_PI;
  else if (q == inf) at = 0;
  else {
    at = d_atan(__builtin_fabs(p / q));
    if (q < 0) at = 2 * HALF_PI - at;
  }
  return __builtin_copysignf((float)at, y);
}

static double special_1(int kind, double x, double alpha, double beta) {
  double t;
  switch (kind) {
    case SOFTSIGN: return x / (1 + __builtin_fabs(x));
    case TANH_SHRINK: return x - d_tanh(x);
    case SOFTSHRINK: return x > alpha ? x - alpha : x < -alpha ? x + alpha : x != x ? x : 0;
    case HARD_SHRINK: return x > -alpha && x < alpha ? 0 : x;
    case THRESHOLDED_RELU: return x > alpha ? x : beta;
    case LOGSIGMOID: return (x < 0 ? x : 0) - d_log1p(d_expm1(-__builtin_fabs(x)) + 1);
    case CELU: return x > 0 ? x : alpha * d_expm1(x / alpha);
    case SELU: return alpha * (x > 0 ? x : beta * d_expm1(x));
    case STANH: return beta * d_tanh(alpha * x);
    case EXPM1: return d_expm1(x);
    case LOG1P: return d_log1p(x);
    case LOG2: return d_log(x) / LN2;
    case LOG10: return d_log(x) * 0.4342944819032518;
    case TAN: return s_sin((float)x, 0) / s_sin((float)x, 1);
    case ASIN: return d_asin(x);
    case ACOS: return HALF_PI - d_asin(x);
    case ATAN: return d_atan(x);
    case SINH: t = d_expm1(x); return 0.5 * (t + t / (t + 1));
    case COSH: t = d_expm1(x) + 1; return 0.5 * (t + 1 / t);
    case ASINH: return d_asinh(x);
    case ACOSH: return d_log1p(x - 1 + __builtin_sqrt((x - 1) * (x + 1)));
    case ATANH: return 0.5 * (d_log1p(x) - d_log1p(-x));
  }
  return x;
}

typedef struct { const float *x; float *y; int n; Activation f; } Unary;
KERNEL(special, Unary) {
  for (int i = 0; i < a->n; i++) a->y[i] = (float)special_1(a->f.kind, a->x[i], a->f.alpha, a->f.beta);
  return 0;
}

// 1 where x[i] is NaN (0), infinite (1), finite (2).
typedef struct { const float *x; uint8_t *y; int n, kind; } Classify;
KERNEL(classify, Classify) {
  for (int i = 0; i < a->n; i++) {
    float x = a->x[i];
    int finite = x - x == 0, nan = x != x;
    a->y[i] = (uint8_t)(a->kind == 0 ? nan : a->kind == 1 ? !finite && !nan : finite);
  }
  return 0;
}
