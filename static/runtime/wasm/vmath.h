// Elementary functions on f32x4 (and double, for pow, sin and cos): there is no libm here.
// Largest error against the exact value, in ULP of the result, as tests/runtime/kernels.test.js holds them to:
// exp 1, log 1, tanh 2, erf 2, sigmoid 3, pow 1, sin and cos 1 for |x| <= 1e6.
#pragma once
#include "simd.h"

// A constant in memory, one instruction to use: V8 makes a v128.const of three wherever it stands.
#define K(x) ({ static const float k_ = (x); const float *at_ = &k_; __asm__("" : "+r"(at_)); load_splat(at_); })

// e^x; overflow gives inf, underflow goes through denormals to 0, NaN stays.
INLINE f32x4 v_exp(f32x4 x) {
  x = clamp(x, K(-110.f), K(130.f));
  // added to 1.5 * 2^23, a number is rounded to a whole one, which its last bits then hold
  f32x4 magic = K(12582912.f), t = madd(magic, x, K(1.44269504088896341f)), n = sub(t, magic);
  f32x4 r = madd(madd(x, n, K(-0.693359375f)), n, K(2.12194440e-4f));
  f32x4 p = K(1.9875691500e-4f);
  p = madd(K(1.3981999507e-3f), p, r);
  p = madd(K(8.3334519073e-3f), p, r);
  p = madd(K(4.1665795894e-2f), p, r);
  p = madd(K(1.6666665459e-1f), p, r);
  p = madd(K(5.0000001201e-1f), p, r);
  p = add(madd(r, p, mul(r, r)), K(1.f));
  // 2^n in two factors, so that neither leaves the range of normal numbers
  i32x4 whole = wasm_i32x4_sub(t, magic), half = wasm_i32x4_shr(whole, 1), one = K(1.f);
  f32x4 s0 = wasm_i32x4_add(wasm_i32x4_shl(half, 23), one);
  f32x4 s1 = wasm_i32x4_add(wasm_i32x4_shl(wasm_i32x4_sub(whole, half), 23), one);
  return mul(mul(p, s0), s1);
}

// Natural logarithm; log(0) = -inf, of a negative NaN, denormals included.
INLINE f32x4 v_log(f32x4 x) {
  f32x4 tiny = wasm_f32x4_lt(x, K(1.17549435e-38f));
  f32x4 v = select(tiny, mul(x, K(33554432.f)), x);
  i32x4 e = wasm_i32x4_sub(wasm_i32x4_shr(v, 23), select(tiny, isplat(126 + 25), isplat(126)));
  f32x4 m = wasm_v128_or(wasm_v128_and(v, isplat(0x007fffff)), isplat(0x3f000000));
  f32x4 low = wasm_f32x4_lt(m, K(0.707106781186547524f));
  e = wasm_i32x4_add(e, low); // low is -1 where true
  m = sub(add(m, wasm_v128_and(m, low)), K(1.f));
  f32x4 fe = wasm_f32x4_convert_i32x4(e), z = mul(m, m), p = K(7.0376836292e-2f);
  p = madd(K(-1.1514610310e-1f), p, m);
  p = madd(K(1.1676998740e-1f), p, m);
  p = madd(K(-1.2420140846e-1f), p, m);
  p = madd(K(1.4249322787e-1f), p, m);
  p = madd(K(-1.6668057665e-1f), p, m);
  p = madd(K(2.0000714765e-1f), p, m);
  p = madd(K(-2.4999993993e-1f), p, m);
  p = madd(K(3.3333331174e-1f), p, m);
  p = mul(mul(p, m), z);
  p = add(p, mul(fe, K(-2.12194440e-4f)));
  p = sub(p, mul(z, K(0.5f)));
  f32x4 y = add(add(m, p), mul(fe, K(0.693359375f)));
  y = select(wasm_f32x4_eq(x, K(__builtin_inff())), x, y);
  y = select(wasm_f32x4_eq(x, K(0.f)), K(-__builtin_inff()), y);
  return select(wasm_f32x4_ge(x, K(0.f)), y, K(__builtin_nanf("")));
}

// log(1 + x) for x >= 0: the rounding of 1 + x is put right to first order.
INLINE f32x4 v_log1p(f32x4 x) {
  f32x4 u = add(K(1.f), x);
  f32x4 fix = div(sub(x, sub(u, K(1.f))), u);
  return select(wasm_f32x4_eq(x, K(__builtin_inff())), x, add(v_log(u), fix));
}

INLINE f32x4 v_copysign(f32x4 magnitude, f32x4 sign) {
  return select(isplat((int)0x80000000), sign, magnitude);
}

INLINE f32x4 v_tanh(f32x4 x) {
  f32x4 t = wasm_f32x4_abs(x), z = mul(x, x), p = K(-5.70498872745e-3f);
  p = madd(K(2.06390887954e-2f), p, z);
  p = madd(K(-5.37397155531e-2f), p, z);
  p = madd(K(1.33314422036e-1f), p, z);
  p = madd(K(-3.33332819422e-1f), p, z);
  f32x4 small = madd(x, mul(p, z), x);
  f32x4 large = sub(K(1.f), div(K(2.f), add(v_exp(add(t, t)), K(1.f))));
  return select(wasm_f32x4_lt(t, K(0.625f)), small, v_copysign(large, x));
}

// Error function: two polynomials that meet at 475/512.
INLINE f32x4 v_erf(f32x4 x) {
  f32x4 t = wasm_f32x4_abs(x), s = mul(x, x);
  f32x4 r = madd(K(3.83197126e-4f), K(-1.72853470e-5f), t);
  r = madd(madd(K(2.42546219e-2f), K(-3.88396438e-3f), t), r, s);
  r = madd(K(-1.06777877e-1f), r, t);
  r = madd(K(-6.34846687e-1f), r, t);
  r = madd(K(-1.28717512e-1f), r, t);
  r = sub(mul(r, t), t);
  f32x4 large = v_copysign(sub(K(1.f), v_exp(r)), x);
  f32x4 q = K(-5.96761703e-4f);
  q = madd(K(4.99119423e-3f), q, s);
  q = madd(K(-2.67681349e-2f), q, s);
  q = madd(K(1.12819925e-1f), q, s);
  q = madd(K(-3.76125336e-1f), q, s);
  q = madd(K(1.28379166e-1f), q, s);
  // the large branch overflows to NaN far out only through inf - inf, where erf is 1
  large = select(wasm_f32x4_gt(t, K(4.f)), v_copysign(K(1.f), x), large);
  return select(wasm_f32x4_gt(t, K(0.927734375f)), large, madd(x, q, x));
}

INLINE f32x4 v_sigmoid(f32x4 x) { return div(K(1.f), add(K(1.f), v_exp(wasm_f32x4_neg(x)))); }

INLINE double bits_double(uint64_t u) { double d; __builtin_memcpy(&d, &u, 8); return d; }
INLINE uint64_t double_bits(double d) { uint64_t u; __builtin_memcpy(&u, &d, 8); return u; }

// log2(x) of a finite x > 0.
INLINE double d_log2(double x) {
  uint64_t u = double_bits(x);
  int e = (int)(u >> 52) - 1023;
  double m = bits_double((u & 0xfffffffffffffull) | 0x3ff0000000000000ull);
  if (m > 1.4142135623730951) m *= 0.5, e++;
  double s = (m - 1) / (m + 1), z = s * s, p = 1.0 / 19;
  UNROLL for (int i = 17; i >= 1; i -= 2) p = p * z + 1.0 / i;
  return e + p * s * 2.8853900817779268;
}
// 2^x for |x| < 1000.
INLINE double d_exp2(double x) {
  double n = __builtin_rint(x), r = (x - n) * 0.6931471805599453, p = 1;
  UNROLL for (int i = 12; i >= 1; i--) p = 1 + p * r / i;
  return p * bits_double((uint64_t)((int)n + 1023) << 52);
}
// C's pow.
INLINE float s_pow(float x, float y) {
  if (y == 0 || x == 1) return 1;
  if (x != x || y != y) return x + y;
  float t = __builtin_fabsf(x), inf = __builtin_inff();
  int whole = __builtin_floorf(y) == y, odd = whole && __builtin_fabsf(y) < 16777216.f && ((int)y & 1);
  if (__builtin_fabsf(y) == inf) return t == 1 ? 1 : (t > 1) == (y > 0) ? inf : 0;
  float r;
  if (t == 0) r = y > 0 ? 0 : inf;
  else if (t == inf) r = y > 0 ? inf : 0;
  else {
    if (x < 0 && !whole) return __builtin_nanf("");
    double e = y * d_log2(t);
    r = e > 200 ? inf : e < -200 ? 0 : (float)d_exp2(e);
  }
  return odd ? __builtin_copysignf(r, x) : r;
}
// sin(x + quarter * pi/2), to an ULP for |x| <= 1e6.
INLINE float s_sin(float x, int quarter) {
  double k = __builtin_rint(x * 0.63661977236758134);
  double r = (x - k * 1.57079631090164184570) - k * 1.58932547735281966916e-08, z = r * r, p;
  int q = (int)(int64_t)k + quarter;
  if (q & 1) { // cosine
    p = 1 - z / 132;
    p = 1 - z / 90 * p;
    p = 1 - z / 56 * p;
    p = 1 - z / 30 * p;
    p = 1 - z / 12 * p;
    p = 1 - z / 2 * p;
  } else {
    p = 1 - z / 156;
    p = 1 - z / 110 * p;
    p = 1 - z / 72 * p;
    p = 1 - z / 42 * p;
    p = 1 - z / 20 * p;
    p = r * (1 - z / 6 * p);
  }
  return q & 2 ? -p : p;
}
