// What convolutions on int8 read: the picture with its border, in whole numbers.
#include "../../wasm/requant.h"

// A picture with its border: y [N][PH][PW][C], PH x PW around H x W. From int8 the same; from float32 planes
// [N][C][H][W] numbers of 16 bits, x * inverse rounded. The border is `zero`.
#ifdef __wasm_relaxed_simd__
#define pick wasm_i8x16_relaxed_swizzle
#else
#define pick wasm_i8x16_swizzle
#endif
typedef struct { const void *x; void *y; int N, C, H, W, PH, PW, top, left; float inverse; Bounds to; } PadInt8;
static void pad_row_f32(const PadInt8 *a, const float *x, int16_t *y, int from, const Rounder *r) {
  for (int c = 0; c < a->C; c++, x += a->H * a->W)
    for (int i = from; i < a->W; i += 4) {
      f32x4 v = mul(load(x + i), splat(a->inverse));
      v128_t q = to_words(v, v, r);
      int16_t *d = y + i * a->C + c;
      wasm_v128_store16_lane(d, q, 0);
      if (i + 1 < a->W) wasm_v128_store16_lane(d + a->C, q, 1);
      if (i + 2 < a->W) wasm_v128_store16_lane(d + 2 * a->C, q, 2);
      if (i + 3 < a->W) wasm_v128_store16_lane(d + 3 * a->C, q, 3);
    }
}
// The same of three channels, 4 pixels at a time.
static int pad_row_rgb(const PadInt8 *a, const float *x, int16_t *y, const Rounder *r) {
  int i = 0, P = a->H * a->W;
  f32x4 inverse = splat(a->inverse);
  const Rounder rounder = *r;
  // bytes of r0 g0 r1 g1 .. r3 g3, and of b0 .. b3; past them nothing
  v128_t rg0 = wasm_i8x16_make(0, 1, 2, 3, -1, -1, 4, 5, 6, 7, -1, -1, 8, 9, 10, 11);
  v128_t b0 = wasm_i8x16_make(-1, -1, -1, -1, 0, 1, -1, -1, -1, -1, 2, 3, -1, -1, -1, -1);
  v128_t rg1 = wasm_i8x16_make(-1, -1, 12, 13, 14, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
  v128_t b1 = wasm_i8x16_make(4, 5, -1, -1, -1, -1, 6, 7, -1, -1, -1, -1, -1, -1, -1, -1);
  ORDER(rg0);
  ORDER(b0);
  ORDER(rg1);
  ORDER(b1);
  for (; i + 4 <= a->W; i += 4, y += 12) {
    v128_t pq = to_words(mul(load(x + i), inverse), mul(load(x + P + i), inverse), &rounder);
    f32x4 blue = mul(load(x + 2 * P + i), inverse);
    v128_t b = to_words(blue, blue, &rounder);
    v128_t rg = wasm_i16x8_shuffle(pq, wasm_i32x4_shuffle(pq, pq, 2, 3, 0, 1), 0, 8, 1, 9, 2, 10, 3, 11);
    wasm_v128_store(y, wasm_v128_or(pick(rg, rg0), pick(b, b0)));
    wasm_v128_store64_lane(y + 8, wasm_v128_or(pick(rg, rg1), pick(b, b1)), 0);
  }
  return i;
}
static void fill(void *to, int n, int value, int bytes) {
  if (bytes == 1) __builtin_memset(to, value, n);
  else for (int i = 0; i < n; i++) ((int16_t *)to)[i] = (int16_t)value;
}
KERNEL(pad_int8, PadInt8) {
  int bytes = a->inverse ? 2 : 1, row = a->PW * a->C * bytes, left = a->left * a->C, right = (a->PW - a->left - a->W) * a->C;
  Rounder r = rounder(a->to);
  Share my = share(a->N * a->PH, part, parts);
  for (int i = my.from; i < my.to; i++) {
    int h = i % a->PH - a->top, n = i / a->PH;
    char *y = (char *)a->y + i * row, *inner = y + left * bytes;
    if (h < 0 || h >= a->H) {
      fill(y, a->PW * a->C, a->to.zero, bytes);
      continue;
    }
    fill(y, left, a->to.zero, bytes);
    fill(inner + a->W * a->C * bytes, right, a->to.zero, bytes);
    if (a->inverse) {
      const float *x = (const float *)a->x + (n * a->C * a->H + h) * a->W;
      int done = a->C == 3 ? pad_row_rgb(a, x, (int16_t *)inner, &r) : 0;
      pad_row_f32(a, x, (int16_t *)inner, done, &r);
    }
    else __builtin_memcpy(inner, (const char *)a->x + (n * a->H + h) * a->W * a->C, a->W * a->C);
  }
  return 0;
}
