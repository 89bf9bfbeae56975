// conv2d_int8 by products of bytes, four of which fit into 16 bits: weights within -63..63, pixels within 0..MOST.
#include "../../wasm/windows.h"

#ifdef __wasm_relaxed_simd__
enum { MOST = 127 };
enum { WIDE = 32, DEEP = 16, WORTH = 48 }; // channels that one pixel is multiplied by; inputs whose sums may fit into 16 bits
enum { FIRST_CACHE = 24 * 1024 }; // of bytes, half: weights need a place, too

// Whether they do, for these rows of src: a lane's positive products, and its negative ones. And whether there are enough.
static int is_deep(const int8_t *src, int K) {
  if (K < WORTH) return 0;
  for (int row = 0; row < WIDE; row++, src += K)
    for (int k = 0; k + DEEP <= K; k += DEEP)
      for (int lane = k; lane < k + 4; lane += 2) {
        int more = 0, less = 0;
        for (int i = lane; i < lane + DEEP; i += 4)
          for (int at = i; at < i + 2; at++) more += imax(src[at], 0), less -= imin(src[at], 0);
        if (imax(more, less) * MOST > 32767) return 0;
      }
  return 1;
}
// [groups][O/8][K/4][8][4]; where wide, while there are 32 channels left [K/4][32][4] behind 16 bytes of whether they are deep.
void pack_narrow(const PackInt8 *a) {
  int8_t *d = (int8_t *)a->dst;
  for (int g = 0; g < a->groups; g++)
    for (int o = 0, width; o < a->O; o += width) {
      const int8_t *src = (const int8_t *)a->src + (g * a->O + o) * a->K;
      width = a->narrow == 2 && a->O - o >= WIDE ? WIDE : 8;
      if (width == WIDE) *(int *)d = is_deep(src, a->K), d += 16;
      for (int k = 0; k < (a->K + 7) / 8 * 8; k += 4)
        for (int i = 0; i < 4 * width; i++) {
          int row = i / 4, at = k + i % 4;
          *d++ = o + row >= a->O || at >= a->K ? 0 : src[row * a->K + at];
        }
    }
}

enum { NARROW_ROWS = 4 }; // 8 sums, 4 of weights, 2 of a pixel and a product

// One pixel's window as bytes [kh][kw][C/groups].
static void gather_bytes(const ConvInt8 *a, const int8_t *x, int channels, int8_t *d) {
  int joined = a->dw == 1 && a->groups == 1, run = joined ? a->kw * channels : channels;
  for (int r = 0; r < a->kh; r++)
    for (int s = 0; s < (joined ? 1 : a->kw); s++, d += run) {
      const int8_t *from = x + (r * a->dh * a->PW + s * a->dw) * a->C;
      for (int i = 0; i < run; i += 16) wasm_v128_store(d + i, wasm_v128_load(from + i));
    }
}
// Pixels side by side: [K/4][NARROW_ROWS][4]. The last block may lack some: they repeat the last one.
static void interleave_bytes(const int8_t *const *x, int K, int8_t *d) {
  int k = 0;
  for (; k + 16 <= K; k += 16, d += 64) {
    f32x4 v[NARROW_ROWS];
    UNROLL for (int m = 0; m < NARROW_ROWS; m++) v[m] = wasm_v128_load(x[m] + k);
    transpose4(v);
    UNROLL for (int m = 0; m < NARROW_ROWS; m++) wasm_v128_store(d + 16 * m, v[m]);
  }
  if (k < K)
    UNROLL for (int m = 0; m < NARROW_ROWS; m++) {
      v128_t v = wasm_v128_load64_zero(x[m] + k);
      wasm_v128_store32_lane(d + 4 * m, v, 0);
      wasm_v128_store32_lane(d + 16 + 4 * m, v, 1);
    }
}
// Four channels of the inputs by four, in one instruction each.
INLINE void four_narrow(const int8_t *p, const int8_t *w, int K, i32x4 acc[NARROW_ROWS][2]) {
  _Pragma("clang loop unroll_count(4)") for (int k = 0; k < K; k += 4, p += 16, w += 32) {
    v128_t w0 = wasm_v128_load(w), w1 = wasm_v128_load(w + 16);
    ORDER(p);
    UNROLL for (int m = 0; m < NARROW_ROWS; m++) {
      v128_t x = wasm_v128_load32_splat(p + 4 * m);
      add_four(&acc[m][0], w0, x);
      add_four(&acc[m][1], w1, x);
    }
  }
}
// By products of two bytes, two of which fit into 16 bits.
INLINE void two_narrow(const int8_t *p, const int8_t *w, int K, i32x4 acc[NARROW_ROWS][2]) {
  _Pragma("clang loop unroll_count(2)") for (int k = 0; k < K; k += 8, p += 32, w += 64) {
    v128_t w00 = wasm_v128_load(w), w01 = wasm_v128_load(w + 16), w10 = wasm_v128_load(w + 32), w11 = wasm_v128_load(w + 48);
    UNROLL for (int m = 0; m < NARROW_ROWS; m++) {
      v128_t x0 = wasm_v128_load32_splat(p + 4 * m), x1 = wasm_v128_load32_splat(p + 16 + 4 * m);
      v128_t s = wasm_i16x8_add(wasm_i16x8_relaxed_dot_i8x16_i7x16(w00, x0), wasm_i16x8_relaxed_dot_i8x16_i7x16(w10, x1));
      acc[m][0] = wasm_i32x4_add(acc[m][0], wasm_i32x4_extadd_pairwise_i16x8(s));
      ORDER(acc[m][0]);
      v128_t t = wasm_i16x8_add(wasm_i16x8_relaxed_dot_i8x16_i7x16(w01, x0), wasm_i16x8_relaxed_dot_i8x16_i7x16(w11, x1));
      acc[m][1] = wasm_i32x4_add(acc[m][1], wasm_i32x4_extadd_pairwise_i16x8(t));
      ORDER(acc[m][1]);
    }
  }
}
// four: what adds_four says.
INLINE void tile_narrow(int four, const ConvInt8 *a, const int8_t *p, const int8_t *w, int K, int o, int n, int rows,
                        const int8_t *res, int8_t *y, const Rounder *r) {
  i32x4 acc[NARROW_ROWS][2];
  const int *bias = a->bias + o;
  UNROLL for (int m = 0; m < NARROW_ROWS; m++) acc[m][0] = wasm_v128_load(bias), acc[m][1] = wasm_v128_load(bias + 4);
  if (four) four_narrow(p, w, K, acc);
  else two_narrow(p, w, K, acc);
  finish_rows(NARROW_ROWS, imin(rows, NARROW_ROWS), 0, acc, a->scale + o, res, y, a->O, n, &a->end, r);
}

// n products of four bytes each, at most DEEP / 4: their sums in 16 bits, which may overflow in between.
INLINE i32x4 dots(const int n, const int8_t *w, const v128_t *x) {
  v128_t s = wasm_i16x8_relaxed_dot_i8x16_i7x16(wasm_v128_load(w), x[0]);
  UNROLL for (int i = 1; i < n; i++) {
    ORDER(s);
    s = wasm_i16x8_add(s, wasm_i16x8_relaxed_dot_i8x16_i7x16(wasm_v128_load(w + 4 * WIDE * i), x[i]));
  }
  return s;
}
INLINE void wide_step(const int n, const int8_t *x, const int8_t *w, i32x4 ones, i32x4 acc[WIDE / 4]) {
  v128_t pixel[DEEP / 4];
  UNROLL for (int i = 0; i < n; i++) pixel[i] = wasm_v128_load32_splat(x + 4 * i);
  ORDER(w); // so that distances from here stand in the instructions
  UNROLL for (int m = 0; m < WIDE / 4; m++) {
    acc[m] = wasm_i32x4_add(acc[m], wasm_i32x4_dot_i16x8(dots(n, w + 16 * m, pixel), ones));
    ORDER(acc[m]);
  }
}
INLINE void wide_four(const int n, const int8_t *x, const int8_t *w, i32x4 acc[WIDE / 4]) {
  UNROLL for (int i = 0; i < n; i++) {
    v128_t pixel = wasm_v128_load32_splat(x + 4 * i);
    UNROLL for (int m = 0; m < WIDE / 4; m++) add_four(acc + m, wasm_v128_load(w + 4 * WIDE * i + 16 * m), pixel);
  }
}
// One pixel x WIDE channels from o on. four: what adds_four says.
static void tile_wide(int four, const ConvInt8 *a, const int8_t *x, const int8_t *w, int K, int o, const int8_t *res, int8_t *y,
                      const Rounder *r) {
  i32x4 acc[WIDE / 4], ones = wasm_i16x8_splat(1);
  ORDER(ones);
  UNROLL for (int m = 0; m < WIDE / 4; m++) acc[m] = wasm_v128_load(a->bias + o + 4 * m);
  int k = 0, deep = *(const int *)w;
  w += 16;
  if (four) for (; k < K; k += 8, w += 8 * WIDE) wide_four(2, x + k, w, acc);
  if (deep) for (; k + DEEP <= K; k += DEEP, w += DEEP * WIDE) wide_step(DEEP / 4, x + k, w, ones, acc);
  for (; k < K; k += 8, w += 8 * WIDE) wide_step(2, x + k, w, ones, acc);
  finish_wide(acc, a->scale + o, res, y, &a->end, r);
}
enum { TALL = 6 }; // 12 sums keep two products a cycle going, where one takes five; 2 of weights and a pixel
// TALL pixels x 8 channels from o on, by add_four; pitch: bytes from the weights of four inputs to the next four's.
static void tile_tall(const ConvInt8 *a, const int8_t *x, const int8_t *w, int pitch, int K, int o, const int8_t *res, int8_t *y,
                      const Rounder *r) {
  i32x4 acc[TALL][2];
  const int *bias = a->bias + o;
  const int8_t *end = w + K / 4 * pitch, *pixel[TALL];
  UNROLL for (int m = 0; m < TALL; m++) {
    acc[m][0] = wasm_v128_load(bias), acc[m][1] = wasm_v128_load(bias + 4);
    pixel[m] = x + m * a->C;
  }
  do {
    UNROLL for (int i = 0; i < 2; i++, w += pitch) {
      v128_t w0 = wasm_v128_load(w), w1 = wasm_v128_load(w + 16);
      UNROLL for (int m = 0; m < TALL; m++) {
        v128_t p = wasm_v128_load32_splat(pixel[m] + 4 * i);
        add_four(&acc[m][0], w0, p);
        add_four(&acc[m][1], w1, p);
      }
    }
    UNROLL for (int m = 0; m < TALL; m++) pixel[m] += 8;
  } while (w < end);
  finish_rows(TALL, TALL, 1, acc, a->scale + o, res, y, a->O, 8, &a->end, r);
}
// The pixels from p on, as many of n as fill tiles; so few at a time that they and their results stay in the first cache.
static int strip_tall(const ConvInt8 *a, int K, int p, int n, const Rounder *r) {
  const int some = imax(FIRST_CACHE / (K + a->O) / TALL, 1) * TALL, wide = a->O / WIDE * WIDE, block = 16 + WIDE * K;
  n = n / TALL * TALL;
  for (int from = p, to; from < p + n; from = to) {
    to = imin(from + some, p + n);
    for (int o = 0; o < a->O; o += 8) {
      const int8_t *w = (const int8_t *)a->w + imin(o, wide) / WIDE * block + (o < wide ? 16 + o % WIDE * 4 : (o - wide) * K);
      for (int m = from; m < to; m += TALL) {
        int at = m * a->O + o;
        tile_tall(a, (const int8_t *)a->x + m * a->C, w, o < wide ? 4 * WIDE : 32, K, o, a->res ? a->res + at : 0, a->y + at, r);
      }
    }
  }
  return n;
}
void strip_narrow(const ConvInt8 *a, int group, int p, int n, int8_t *panel, const Rounder *r) {
  int channels = a->C / a->groups, outputs = a->O / a->groups, K = (channels * a->kh * a->kw + 7) / 8 * 8;
  int direct = a->kh * a->kw == 1, pitch = K + 16;
  int8_t *windows = panel + (a->strip + NARROW_ROWS) * K;
  int o = 0, four = adds_four();
  const int8_t *w = (const int8_t *)a->w + group * ((outputs + 7) / 8 * 8) * K;
  if (four && a->narrow == 2 && outputs % 8 == 0 && is_near(a->scale, a->bias, outputs, 127.f * 63 * K, &a->end)) {
    int done = strip_tall(a, K, p, n, r);
    p += done, n -= done;
    if (!n) return;
  }
  if (a->narrow == 2)
    for (; o + WIDE <= outputs; o += WIDE, w += 16 + WIDE * K)
      for (int m = p; m < p + n; m++)
        tile_wide(four, a, (const int8_t *)a->x + m * a->C, w, K, o, a->res ? a->res + m * a->O + o : 0, a->y + m * a->O + o, r);
  if (o == outputs) return;
  Place at = place(a, p);
  for (int m = 0; m < n; m += NARROW_ROWS) {
    const int8_t *from[NARROW_ROWS];
    if (is_row(a)) UNROLL for (int i = 0; i < NARROW_ROWS; i++) from[i] = (const int8_t *)a->x + (p + imin(m + i, n - 1)) * a->C;
    else for (int i = 0; i < NARROW_ROWS; i++) {
      from[i] = (const int8_t *)window_at(a, at, group * channels);
      if (m + i + 1 < n) step(a, &at);
      if (!direct) {
        gather_bytes(a, from[i], channels, windows + i * pitch);
        from[i] = windows + i * pitch;
      }
    }
    interleave_bytes(from, K, panel + m * K);
  }
  for (; o < outputs; o += 8, w += 8 * K) {
    int c = group * outputs + o, count = imin(8, outputs - o);
    for (int m = 0; m < n; m += NARROW_ROWS) {
      int at = (p + m) * a->O + c;
      tile_narrow(four, a, panel + m * K, w, K, c, count, n - m, a->res ? a->res + at : 0, a->y + at, r);
    }
  }
}
#else
void pack_narrow(const PackInt8 *a) { (void)a; }
void strip_narrow(const ConvInt8 *a, int group, int p, int n, int8_t *panel, const Rounder *r) {
  (void)a, (void)group, (void)p, (void)n, (void)panel, (void)r;
}
#endif
