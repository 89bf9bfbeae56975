// From 32-bit sums to int8: what every operator on int8 ends with. Exactly the numbers of converter/ops/quant.py: the
// products and sums here are never fused, and the rounding is to the nearest, halves to even.
#pragma once
#include "simd.h"

// q = clamp(v, low - zero, high - zero), rounded, + zero. What lies above high is cut when it has become 16 bits or 8: until
// then it may be as large as it likes.
typedef struct { int zero, low, high; } Bounds;
typedef struct { f32x4 lo, magic, three, six; i32x4 base, word_high, byte_low, byte_high; } Rounder;

// V8 makes a constant anew with several instructions wherever it is used: these are kept where the compiler cannot tell
// that they are constants. Adding 1.5 * 2^23 leaves the nearest whole number in the low bits of the sum; whatever is
// larger, infinity too, has a larger sum, and bits that are a larger number. So has what is smaller, down to -2^23.
#define MAGIC 12582912.f
INLINE Rounder rounder(Bounds b) {
  f32x4 magic = splat(MAGIC), three = splat(3.f), six = splat(6.f);
  ORDER(magic);
  ORDER(three);
  ORDER(six);
  return (Rounder){splat((float)(b.low - b.zero)), magic, three, six, wasm_i32x4_sub(magic, isplat(b.zero)),
                   wasm_i16x8_splat(b.high), wasm_i8x16_splat(b.low), wasm_i8x16_splat(b.high)};
}
INLINE i32x4 nearest(f32x4 v, const Rounder *r) { return wasm_i32x4_sub(add(v, r->magic), r->base); }
// NaN becomes low.
INLINE i32x4 round_int(f32x4 v, const Rounder *r) { return nearest(wasm_f32x4_pmax(r->lo, v), r); }
// Words, to be cut by to_bytes; and those that stay words.
INLINE v128_t round_words(f32x4 v, f32x4 w, const Rounder *r) { return wasm_i16x8_narrow_i32x4(round_int(v, r), round_int(w, r)); }
INLINE v128_t to_words(f32x4 v, f32x4 w, const Rounder *r) { return wasm_i16x8_min(round_words(v, w, r), r->word_high); }
INLINE v128_t to_bytes(v128_t words, v128_t more, const Rounder *r) {
  return wasm_i8x16_min(wasm_i8x16_max(wasm_i8x16_narrow_i16x8(words, more), r->byte_low), r->byte_high);
}

INLINE f32x4 to_float(i32x4 v) { return wasm_f32x4_convert_i32x4(v); }

// 8 bytes, widened to 16 bits; 4 of them as numbers.
INLINE v128_t load8(const int8_t *p) { return wasm_i16x8_load8x8(p); }
INLINE f32x4 lower4(v128_t v, int zero) { return to_float(wasm_i32x4_sub(wasm_i32x4_extend_low_i16x8(v), isplat(zero))); }
INLINE f32x4 upper4(v128_t v, int zero) { return to_float(wasm_i32x4_sub(wasm_i32x4_extend_high_i16x8(v), isplat(zero))); }

// The first n of 8 words as bytes.
INLINE void store8(int8_t *p, v128_t words, int n, const Rounder *r) {
  v128_t bytes = to_bytes(words, words, r);
  if (n >= 8) {
    wasm_v128_store64_lane(p, bytes, 0);
    return;
  }
  int8_t all[16];
  wasm_v128_store(all, bytes);
  for (int i = 0; i < n; i++) p[i] = all[i];
}

// How a convolution on int8 ends: v = sum * scale [+ residual], an activation, the rounding.
// kind 0: none beyond the bounds; 1: hard_swish, v real, factor = 1 / (6 * scale of the result), at most MOST_FACTOR of
// wasm.js, so that the result is never below -2^23; 2: leaky_relu.
typedef struct {
  int res_zero; float res_scale; int kind; float alpha, factor; Bounds to;
} Ending;
INLINE f32x4 act_int8(f32x4 v, const int kind, const Ending *e, const Rounder *r) {
  if (kind == 1) {
    f32x4 gate = wasm_f32x4_pmin(r->six, wasm_f32x4_pmax(splat(0.f), add(v, r->three)));
    return mul(mul(v, gate), splat(e->factor));
  }
  if (kind == 2) return select(wasm_f32x4_gt(v, splat(0.f)), v, mul(v, splat(e->alpha)));
  return v;
}
// Whether `nearest` takes every result as it is, where there is no activation: n channels, a multiple of 4, whose products
// add up to -most..most. Far from 2^22, where it no longer does, so that the roundings here do not matter.
static __attribute__((unused)) int is_near(const float *scale, const int *bias, int n, float most, const Ending *e) {
  v128_t ok = wasm_i32x4_splat(-1);
  f32x4 limit = splat(2097152.f - 256 * __builtin_fabsf(e->res_scale));
  for (int i = 0; i < n; i += 4) {
    f32x4 reach = add(wasm_f32x4_abs(to_float(wasm_v128_load(bias + i))), splat(most));
    ok = wasm_v128_and(ok, wasm_f32x4_le(wasm_f32x4_abs(mul(reach, load(scale + i))), limit));
  }
  return wasm_i32x4_all_true(ok);
}
// 8 channels as words; s0 and s1: their scales; near: what is_near says.
INLINE v128_t ended(const int kind, const int near, const i32x4 sums[2], f32x4 s0, f32x4 s1, const int8_t *res, const Ending *e,
                    const Rounder *r) {
  f32x4 p = mul(to_float(sums[0]), s0), q = mul(to_float(sums[1]), s1);
  if (res) {
    v128_t more = load8(res);
    p = add(p, mul(lower4(more, e->res_zero), splat(e->res_scale)));
    q = add(q, mul(upper4(more, e->res_zero), splat(e->res_scale)));
  }
  p = act_int8(p, kind, e, r), q = act_int8(q, kind, e, r);
  return kind == 1 || near ? wasm_i16x8_narrow_i32x4(nearest(p, r), nearest(q, r)) : round_words(p, q, r);
}
enum { MOST_ROWS = 7 };
// rows (at most MOST_ROWS) pixels of 8 channels, of which n count (all where there are several rows); pitch: bytes from pixel
// to pixel. What does not change is read once: the stores of bytes might otherwise change it, as far as the compiler knows.
INLINE void finish_as(const int rows, const int kind, const int near, i32x4 sums[][2], const float *scale, const int8_t *res,
                      int8_t *y, int pitch, int n, const Ending *end, const Rounder *round) {
  const f32x4 s0 = load(scale), s1 = load(scale + 4);
  const Rounder r = *round;
  const Ending e = *end;
  v128_t before = s0;
  UNROLL for (int m = 0; m < rows; m++, y += pitch) {
    v128_t words = ended(kind, near, sums[m], s0, s1, res ? res + m * pitch : 0, &e, &r);
    if (m % 2) {
      v128_t bytes = to_bytes(before, words, &r);
      wasm_v128_store64_lane(y - pitch, bytes, 0);
      wasm_v128_store64_lane(y, bytes, 1);
    }
    else if (m + 1 == rows) store8(y, words, n, &r);
    before = words;
  }
}
// The rarer cases, row by row; out of line, so that sums which are reached by a variable keep no others out of registers.
static __attribute__((noinline, unused)) void finish_each(int rows, i32x4 sums[][2], const float *scale, const int8_t *res,
                                                          int8_t *y, int pitch, int n, const Ending *end, const Rounder *round) {
  for (int m = 0; m < rows; m++, y += pitch, res = res ? res + pitch : 0) {
    if (end->kind == 0) finish_as(1, 0, 0, sums + m, scale, res, y, pitch, n, end, round);
    else if (end->kind == 1) finish_as(1, 1, 0, sums + m, scale, res, y, pitch, n, end, round);
    else finish_as(1, 2, 0, sums + m, scale, res, y, pitch, n, end, round);
  }
}
// most: how many rows there are sums of; rows: how many of them count; near: as above.
INLINE void finish_rows(const int most, int rows, const int near, i32x4 sums[][2], const float *scale, const int8_t *res,
                        int8_t *y, int pitch, int n, const Ending *end, const Rounder *round) {
  if (rows == most && n >= 8) {
    if (end->kind == 0 && !res) {
      finish_as(most, 0, near, sums, scale, 0, y, pitch, 8, end, round);
      return;
    }
    if (end->kind == 1 && !res) {
      finish_as(most, 1, 0, sums, scale, 0, y, pitch, 8, end, round);
      return;
    }
    if (end->kind == 0) {
      finish_as(most, 0, near, sums, scale, res, y, pitch, 8, end, round);
      return;
    }
  }
  i32x4 rest[MOST_ROWS][2];
  UNROLL for (int m = 0; m < most; m++) rest[m][0] = sums[m][0], rest[m][1] = sums[m][1];
  finish_each(rows, rest, scale, res, y, pitch, n, end, round);
}

// One pixel of 32 channels; none of the rarer cases.
INLINE void wide_as(const int kind, const i32x4 sums[8], const float *scale, const int8_t *res, int8_t *y, const Ending *end,
                    const Rounder *round) {
  const Rounder r = *round;
  const Ending e = *end;
  v128_t before = sums[0];
  UNROLL for (int m = 0; m < 4; m++) {
    v128_t words = ended(kind, 0, sums + 2 * m, load(scale + 8 * m), load(scale + 8 * m + 4), res ? res + 8 * m : 0, &e, &r);
    if (m % 2) wasm_v128_store(y + 8 * (m - 1), to_bytes(before, words, &r));
    before = words;
  }
}
INLINE void finish_wide(const i32x4 sums[8], const float *scale, const int8_t *res, int8_t *y, const Ending *end, const Rounder *round) {
  if (end->kind == 1) wide_as(1, sums, scale, 0, y, end, round);
  else if (res) wide_as(0, sums, scale, res, y, end, round);
  else wide_as(0, sums, scale, 0, y, end, round);
}

// Blocks as even as can be, none over `most`: the size of the one that starts at i of n.
INLINE int even_block(int n, int i, int most) {
  int blocks = (n + most - 1) / most, small = n / blocks, big = n % blocks;
  return i < big * (small + 1) ? small + 1 : small;
}

#ifdef __wasm_relaxed_simd__
// Whether four products of bytes are best added up by relaxed SIMD's own way: one instruction with AVX-VNNI (which takes the
// second operand without a sign) and on ARM (with one). Elsewhere it takes three, and sums of two products are cut to 16 bits;
// V8's baseline compiler before AVX-VNNI mixed registers up there, so only these two answers count.
static __attribute__((unused)) int adds_four(void) {
  v128_t most = wasm_i8x16_splat(127), more = wasm_i8x16_splat(-1);
  ORDER(more);
  int sum = wasm_i32x4_extract_lane(wasm_i32x4_relaxed_dot_i8x16_i7x16_add(most, more, isplat(0)), 0);
  return sum == 4 * 127 * 255 || sum == -4 * 127;
}
INLINE void add_four(i32x4 *acc, v128_t w, v128_t x) {
  *acc = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(w, x, *acc);
  ORDER(*acc);
}
#endif
