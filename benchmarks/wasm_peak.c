// The most multiply-adds that one core does in registers: twelve independent chains, as many as hide the latency.
#include <wasm_simd128.h>

#define UNROLL _Pragma("clang loop unroll(full)")

// n * 4 * 12 * 4 multiply-adds. Strict: a product and a sum, as the build without relaxed SIMD has to.
#define PEAK(name, madd) \
  __attribute__((export_name(#name))) float name(int n, float x, float y) { \
    v128_t a[12], p = wasm_f32x4_splat(x), q = wasm_f32x4_splat(y); \
    UNROLL for (int i = 0; i < 12; i++) a[i] = wasm_f32x4_splat((float)i); \
    for (; n; n--) \
      UNROLL for (int j = 0; j < 4; j++) UNROLL for (int i = 0; i < 12; i++) { \
        a[i] = madd; \
        __asm__ volatile("" : "+r"(a[i])); \
      } \
    UNROLL for (int i = 1; i < 12; i++) a[0] = wasm_f32x4_add(a[0], a[i]); \
    return wasm_f32x4_extract_lane(a[0], 0); \
  }
PEAK(relaxed, wasm_f32x4_relaxed_madd(a[i], p, q))
PEAK(strict, wasm_f32x4_add(wasm_f32x4_mul(a[i], p), q))
