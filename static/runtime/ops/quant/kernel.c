// Operators on int8 [N][P][C] besides the products; the numbers of converter/ops/quant.py.
#include "../../wasm/requant.h"

// y[n][p][c] = x[n][c][p] * inverse, rounded: int8 from float32. In place of P and C: 1 and the number of elements.
typedef struct { const float *x; int8_t *y; int N, C, P; float inverse; Bounds to; } QuantizeLinear;
KERNEL(quantize_linear, QuantizeLinear) {
  Rounder r = rounder(a->to);
  f32x4 inverse = splat(a->inverse);
  Share my = share(a->N * ((a->P + 7) / 8), part, parts);
  for (int i = my.from; i < my.to; i++) {
    int n = i / ((a->P + 7) / 8), p = i % ((a->P + 7) / 8) * 8, count = imin(8, a->P - p);
    const float *x = a->x + n * a->C * a->P + p;
    int8_t *y = a->y + (n * a->P + p) * a->C;
    for (int c = 0; c < a->C; c++, x += a->P) {
      int8_t q[8];
      store8(q, round_words(mul(load(x), inverse), mul(load(x + 4), inverse), &r), 8, &r);
      for (int j = 0; j < count; j++) y[j * a->C + c] = q[j];
    }
  }
  return 0;
}

// y[n][c][p] = (x[n][p][c] - zero) * scale.
typedef struct { const int8_t *x; float *y; int N, C, P, zero; float scale; } DequantizeLinear;
KERNEL(dequantize_linear, DequantizeLinear) {
  Share my = share(a->N * a->C, part, parts);
  for (int i = my.from; i < my.to; i++) {
    const int8_t *x = a->x + i / a->C * a->P * a->C + i % a->C;
    float *y = a->y + i * a->P;
    int p = 0;
    if (a->C == 1)
      for (; p + 8 <= a->P; p += 8) {
        v128_t q = load8(x + p);
        store(y + p, mul(lower4(q, a->zero), splat(a->scale)));
        store(y + p + 4, mul(upper4(q, a->zero), splat(a->scale)));
      }
    for (; p < a->P; p++) y[p] = (float)(x[p * a->C] - a->zero) * a->scale;
  }
  return 0;
}

// y = (x - x_zero) * x_scale + (z - z_zero) * z_scale, n elements.
typedef struct { const int8_t *x, *z; int8_t *y; int n, x_zero; float x_scale; int z_zero; float z_scale; Bounds to; } AddInt8;
KERNEL(add_int8, AddInt8) {
  Rounder r = rounder(a->to);
  f32x4 s = splat(a->x_scale), t = splat(a->z_scale);
  Share my = share((a->n + 7) / 8, part, parts);
  for (int i = 8 * my.from; i < 8 * my.to; i += 8) {
    v128_t u = load8(a->x + i), v = load8(a->z + i);
    f32x4 low = add(mul(lower4(u, a->x_zero), s), mul(lower4(v, a->z_zero), t));
    f32x4 high = add(mul(upper4(u, a->x_zero), s), mul(upper4(v, a->z_zero), t));
    store8(a->y + i, round_words(low, high, &r), a->n - i, &r);
  }
  return 0;
}

// y[n][p][c] = (x[n][p][c] - zero) * (gate[n][c] * scale).
typedef struct { const int8_t *x; const float *gate; int8_t *y; int N, P, C, zero; float scale; Bounds to; } MulInt8;
INLINE v128_t gated(const int8_t *x, v128_t zero, f32x4 p, f32x4 q, const Rounder *r) {
  v128_t v = wasm_i16x8_sub(load8(x), zero);
  return round_words(mul(to_float(wasm_i32x4_extend_low_i16x8(v)), p), mul(to_float(wasm_i32x4_extend_high_i16x8(v)), q), r);
}
KERNEL(mul_int8, MulInt8) {
  const Rounder r = rounder(a->to);
  v128_t zero = wasm_i16x8_splat(a->zero);
  Share my = share(a->N * a->P, part, parts);
  const int C = a->C;
  for (int from = my.from, to; from < my.to; from = to) {
    int n = from / a->P;
    to = imin(my.to, (n + 1) * a->P);
    for (int c = 0; c < C; c += 8) {
      const float *gate = a->gate + n * C + c;
      f32x4 p = mul(load(gate), splat(a->scale)), q = mul(load(gate + 4), splat(a->scale));
      const int8_t *x = a->x + from * C + c;
      int8_t *y = a->y + from * C + c;
      int left = to - from;
      if (c + 8 <= C)
        for (; left >= 2; left -= 2, x += 2 * C, y += 2 * C) { // two pixels at a time
          v128_t bytes = to_bytes(gated(x, zero, p, q, &r), gated(x + C, zero, p, q, &r), &r);
          wasm_v128_store64_lane(y, bytes, 0);
          wasm_v128_store64_lane(y + C, bytes, 1);
        }
      for (; left; left--, x += C, y += C) store8(y, gated(x, zero, p, q, &r), C - c, &r);
    }
  }
  return 0;
}

// y[n][c] = (sum over p of x[n][p][c] - P * zero) * factor.
typedef struct { const int8_t *x; float *y; int N, P, C, zero; float factor; } MeanInt8;
enum { BYTES_IN_WORDS = 255 }; // whose sum fits into 16 bits
KERNEL(mean_int8, MeanInt8) {
  for (int n = 0; n < a->N; n++)
    for (int c = 0; c < a->C; c += 8) {
      i32x4 low = isplat(-a->P * a->zero), high = low;
      const int8_t *x = a->x + n * a->P * a->C + c;
      for (int left = a->P; left > 0; left -= BYTES_IN_WORDS) {
        v128_t words = isplat(0);
        for (int p = imin(left, BYTES_IN_WORDS); p; p--, x += a->C) words = wasm_i16x8_add(words, load8(x));
        low = wasm_i32x4_add(low, wasm_i32x4_extend_low_i16x8(words));
        high = wasm_i32x4_add(high, wasm_i32x4_extend_high_i16x8(words));
      }
      float *y = a->y + n * a->C + c;
      store_n(y, mul(to_float(low), splat(a->factor)), a->C - c);
      if (a->C - c > 4) store_n(y + 4, mul(to_float(high), splat(a->factor)), a->C - c - 4);
    }
  return 0;
}

// The largest of each window, [rows[2i], rows[2i+1]) x [columns[2j], columns[2j+1]).
typedef struct { const int8_t *x; int8_t *y; const int *rows, *columns; int N, H, W, C, OH, OW; } MaxPoolInt8;
static void store_bytes(int8_t *y, v128_t v, int n) {
  int8_t all[16];
  wasm_v128_store(all, v);
  for (int i = 0; i < n; i++) y[i] = all[i];
}
KERNEL(max_pool_int8, MaxPoolInt8) {
  Share my = share(a->N * a->OH, part, parts);
  for (int i = my.from; i < my.to; i++)
    for (int j = 0; j < a->OW; j++) {
      const int *h = a->rows + i % a->OH * 2, *w = a->columns + 2 * j;
      int8_t *y = a->y + (i * a->OW + j) * a->C;
      for (int c = 0; c < a->C; c += 16) {
        v128_t best = wasm_i8x16_splat(-128);
        for (int r = h[0]; r < h[1]; r++)
          for (int s = w[0]; s < w[1]; s++)
            best = wasm_i8x16_max(best, wasm_v128_load(a->x + ((i / a->OH * a->H + r) * a->W + s) * a->C + c));
        if (c + 16 <= a->C) wasm_v128_store(y + c, best);
        else store_bytes(y + c, best, a->C - c);
      }
    }
  return 0;
}

// y[n][i][j] = x[n][rows[i]][columns[j]], C bytes each.
typedef struct { const int8_t *x; int8_t *y; const int *rows, *columns; int N, H, W, C, OH, OW; } ResizeInt8;
KERNEL(resize_int8, ResizeInt8) {
  Share my = share(a->N * a->OH, part, parts);
  for (int i = my.from; i < my.to; i++) {
    const int8_t *x = a->x + (i / a->OH * a->H + a->rows[i % a->OH]) * a->W * a->C;
    int8_t *y = a->y + i * a->OW * a->C;
    for (int j = 0; j < a->OW; j++, y += a->C) __builtin_memcpy(y, x + a->columns[j] * a->C, a->C);
  }
  return 0;
}

// y[m][o] = act(scale[o] * (x[m] . w[o] + bias[o])): x float32, rounded to 16 bits in `words` (K rounded up to 8, of one
// row); w of 1 or 2 bytes, from pack_rows_int8: read from end to end.
typedef struct {
  const float *x; const void *w; const float *scale; const int *bias; float *y; int16_t *words;
  int M, O, K, bytes; float inverse; Bounds to; Activation act;
} FcInt8;
// Four rows of w, 16 numbers of each in turn: each one's sums go to a lane.
INLINE i32x4 rows_dot(const int16_t *x, const char *w, int K, const int bytes) {
  i32x4 sums[4];
  UNROLL for (int i = 0; i < 4; i++) sums[i] = isplat(0);
  for (int k = 0; k < K; k += 16, w += 64 * bytes) {
    v128_t x0 = wasm_v128_load(x + k), x1 = wasm_v128_load(x + k + 8);
    UNROLL for (int i = 0; i < 4; i++) {
      const char *row = w + 16 * i * bytes;
      v128_t u = bytes == 2 ? wasm_v128_load(row) : load8((const int8_t *)row), v = bytes == 2 ? wasm_v128_load(row + 16) : load8((const int8_t *)row + 8);
      sums[i] = wasm_i32x4_add(sums[i], wasm_i32x4_add(wasm_i32x4_dot_i16x8(u, x0), wasm_i32x4_dot_i16x8(v, x1)));
    }
  }
  transpose4(sums);
  return wasm_i32x4_add(wasm_i32x4_add(sums[0], sums[1]), wasm_i32x4_add(sums[2], sums[3]));
}
KERNEL(fc_int8, FcInt8) {
  Rounder r = rounder(a->to);
  int K = (a->K + 15) / 16 * 16;
  for (int m = 0; m < a->M; m++) {
    for (int k = 0; k < a->K; k += 4) {
      f32x4 v = mul(load_n(a->x + m * a->K + k, a->K - k), splat(a->inverse));
      wasm_v128_store64_lane(a->words + k, to_words(v, v, &r), 0);
    }
    for (int k = a->K; k < K; k++) a->words[k] = 0;
    float *y = a->y + m * a->O;
    for (int o = 0; o < a->O; o += 4) { // past O: whatever lies there
      const char *w = (const char *)a->w + o * K * a->bytes;
      i32x4 sums = a->bytes == 2 ? rows_dot(a->words, w, K, 2) : rows_dot(a->words, w, K, 1);
      store_n(y + o, mul(to_float(wasm_i32x4_add(sums, wasm_v128_load(a->bias + o))), load(a->scale + o)), a->O - o);
    }
    unary_span(y, y, a->O, a->act);
  }
  return 0;
}
// src [O][K], 1 or 2 bytes -> dst [O/4][K/16][4][16], zeros past K.
typedef struct { const char *src; char *dst; int O, K, bytes; } PackRowsInt8;
KERNEL(pack_rows_int8, PackRowsInt8) {
  int step = 16 * a->bytes, row = a->K * a->bytes, steps = (a->K + 15) / 16;
  for (int o = 0; o < a->O; o++)
    for (int k = 0; k < steps; k++) {
      char *d = a->dst + ((o / 4 * steps + k) * 4 + o % 4) * step;
      int n = imin(step, row - k * step);
      __builtin_memcpy(d, a->src + o * row + k * step, n);
      __builtin_memset(d + n, 0, step - n);
    }
  return 0;
}
// Numbers per channel, src [n] -> dst [n] times 2^exponent: scales, and biases of 2 or 4 bytes.
typedef struct { const float *src; float *dst; int n, exponent; } PackScales;
KERNEL(pack_scales, PackScales) {
  union { int bits; float value; } factor = {(127 + a->exponent) << 23};
  for (int i = 0; i < a->n; i++) a->dst[i] = a->src[i] * factor.value;
  return 0;
}
typedef struct { const void *src; int *dst; int n, exponent, bytes; } PackSums;
KERNEL(pack_sums, PackSums) {
  for (int i = 0; i < a->n; i++)
    a->dst[i] = (a->bytes == 2 ? ((const int16_t *)a->src)[i] : ((const int *)a->src)[i]) * (1 << a->exponent);
  return 0;
}
