// The vocabulary of the kernels: f32x4 values, exported kernels, the order barrier. C11, freestanding, WASM SIMD128; with
// -mrelaxed-simd a multiply-add rounds once where the machine can.
//
// A kernel takes a pointer to a struct of 4-byte fields (pointers, int, float) that the plan filled in, in the order of
// the struct, and which part of how many it is to do: parts touch different results, and their sum is the whole. One
// that cannot be divided is only ever called as part 0 of 1. It returns 0, or a positive number when the data is at
// fault (see backends/wasm.js).
#pragma once
#include <stdint.h>
#include <wasm_simd128.h>

#define KERNEL(name, Args) __attribute__((export_name(#name))) int name(const Args *a, int part, int parts)
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")
// LLVM regroups multiply-adds by accumulator and V8 keeps that order, spilling registers; this pins the written order.
#define ORDER(v) __asm__ volatile("" : "+r"(v))

enum { MAX_RANK = 12 };
enum { BAD_INDEX = 1, BAD_COUNT = 2 }; // an index tensor points outside its axis; counts do not add up

typedef v128_t f32x4;
typedef v128_t i32x4;

#define splat(x) wasm_f32x4_splat(x)
#define isplat(x) wasm_i32x4_splat(x)
#define add(a, b) wasm_f32x4_add(a, b)
#define sub(a, b) wasm_f32x4_sub(a, b)
#define mul(a, b) wasm_f32x4_mul(a, b)
#define div(a, b) wasm_f32x4_div(a, b)
#ifdef __wasm_relaxed_simd__
#define madd(acc, a, b) wasm_f32x4_relaxed_madd(a, b, acc)
#else
#define madd(acc, a, b) wasm_f32x4_add(acc, wasm_f32x4_mul(a, b))
#endif
#define select(mask, a, b) wasm_v128_bitselect(a, b, mask)
// Both keep a NaN in the first operand.
#define max2(x, lo) wasm_f32x4_pmax(x, lo)
#define min2(x, hi) wasm_f32x4_pmin(x, hi)
#define clamp(x, lo, hi) min2(max2(x, lo), hi)

INLINE f32x4 load(const float *p) { return wasm_v128_load(p); }
INLINE void store(float *p, f32x4 v) { wasm_v128_store(p, v); }
INLINE f32x4 load_splat(const float *p) { return wasm_v128_load32_splat(p); }

// The first n (1..3) lanes; the others are 0.
INLINE f32x4 load_tail(const float *p, int n) {
  f32x4 v = wasm_v128_load32_zero(p);
  if (n > 1) v = wasm_v128_load32_lane(p + 1, v, 1);
  if (n > 2) v = wasm_v128_load32_lane(p + 2, v, 2);
  return v;
}
INLINE void store_tail(float *p, f32x4 v, int n) {
  wasm_v128_store32_lane(p, v, 0);
  if (n > 1) wasm_v128_store32_lane(p + 1, v, 1);
  if (n > 2) wasm_v128_store32_lane(p + 2, v, 2);
}
// n lanes of which at most 4 count.
INLINE f32x4 load_n(const float *p, int n) { return n >= 4 ? load(p) : load_tail(p, n); }
INLINE void store_n(float *p, f32x4 v, int n) {
  if (n >= 4) store(p, v);
  else store_tail(p, v, n);
}

INLINE float sum4(f32x4 v) {
  v = add(v, wasm_i32x4_shuffle(v, v, 2, 3, 0, 1));
  return wasm_f32x4_extract_lane(v, 0) + wasm_f32x4_extract_lane(v, 1);
}
INLINE float max4(f32x4 v) {
  v = max2(v, wasm_i32x4_shuffle(v, v, 2, 3, 0, 1));
  float p = wasm_f32x4_extract_lane(v, 0), q = wasm_f32x4_extract_lane(v, 1);
  return p < q ? q : p;
}

// Four vectors as the rows of a matrix to its columns.
INLINE void transpose4(f32x4 *v) {
  f32x4 ab = wasm_i32x4_shuffle(v[0], v[1], 0, 4, 1, 5), AB = wasm_i32x4_shuffle(v[0], v[1], 2, 6, 3, 7);
  f32x4 cd = wasm_i32x4_shuffle(v[2], v[3], 0, 4, 1, 5), CD = wasm_i32x4_shuffle(v[2], v[3], 2, 6, 3, 7);
  v[0] = wasm_i64x2_shuffle(ab, cd, 0, 2), v[1] = wasm_i64x2_shuffle(ab, cd, 1, 3);
  v[2] = wasm_i64x2_shuffle(AB, CD, 0, 2), v[3] = wasm_i64x2_shuffle(AB, CD, 1, 3);
}

INLINE int imin(int p, int q) { return p < q ? p : q; }
INLINE int imax(int p, int q) { return p > q ? p : q; }

// The part of n things that is mine: [from, to).
typedef struct { int from, to; } Share;
INLINE Share share(int n, int part, int parts) {
  return (Share){(int)((int64_t)n * part / parts), (int)((int64_t)n * (part + 1) / parts)};
}

// Activation of a fused operator. CLAMP with (-inf, inf) is none; it is done in registers, the others by unary_span.
typedef struct { int kind; float alpha, beta, gamma; } Activation;
INLINE f32x4 act_lo(Activation t) { return splat(t.kind ? -__builtin_inff() : t.alpha); }
INLINE f32x4 act_hi(Activation t) { return splat(t.kind ? __builtin_inff() : t.beta); }
// y[i] = act(x[i]); y may be x. Defined in ops/unary.
void unary_span(const float *x, float *y, int n, Activation t);

#include "tile.h"
#include "vmath.h"
