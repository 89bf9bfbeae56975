// conv2d_int8 with any kernel, stride, dilation and groups, by products of 16-bit numbers: pictures [N][H][W][C].
#include "../../wasm/windows.h"

enum { ROWS = 5 }; // pixels per tile: 10 sums, 2 of weights, a pixel and a product fill the registers of V8

KERNEL(pack_int8, PackInt8) {
  if (NARROW && a->narrow) {
    pack_narrow(a);
    return 0;
  }
  int16_t *d = a->dst;
  for (int g = 0; g < a->groups; g++)
    for (int o = 0; o < a->O; o += 8)
      for (int k = 0; k < (a->K + 7) / 8 * 8; k += 2)
        for (int i = 0; i < 16; i++) {
          int row = o + i / 2, at = (g * a->O + row) * a->K + k + i % 2;
          if (row >= a->O || k + i % 2 >= a->K) *d++ = 0;
          else *d++ = a->bytes == 2 ? ((const int16_t *)a->src)[at] : ((const int8_t *)a->src)[at];
        }
  return 0;
}

// One pixel's window as 16-bit numbers [kh][kw][C/groups].
static void gather(const ConvInt8 *a, const char *x, int channels, int16_t *d) {
  int joined = a->dw == 1 && a->groups == 1, run = joined ? a->kw * channels : channels;
  for (int r = 0; r < a->kh; r++)
    for (int s = 0; s < (joined ? 1 : a->kw); s++, d += run) {
      const char *from = x + (r * a->dh * a->PW + s * a->dw) * a->C * a->bytes;
      if (a->bytes == 2) for (int i = 0; i < run; i += 8) wasm_v128_store(d + i, wasm_v128_load(from + 2 * i));
      else for (int i = 0; i < run; i += 8) wasm_v128_store(d + i, load8((const int8_t *)from + i));
    }
}

// rows pixels side by side: [K/2][rows][2].
INLINE void interleave(const int rows, const int8_t *const *bytes, const int16_t *words, int K, int16_t *d) {
  for (int k = 0; k < K; k += 8, d += 8 * rows)
    UNROLL for (int m = 0; m < rows; m++) {
      v128_t v = bytes ? load8(bytes[m] + k) : wasm_v128_load(words + m * K + k);
      wasm_v128_store32_lane(d + 2 * m, v, 0);
      wasm_v128_store32_lane(d + 2 * (rows + m), v, 1);
      wasm_v128_store32_lane(d + 2 * (2 * rows + m), v, 2);
      wasm_v128_store32_lane(d + 2 * (3 * rows + m), v, 3);
    }
}
static void interleave_rows(int rows, const int8_t *const *bytes, const int16_t *words, int K, int16_t *d) {
  switch (rows) {
    case 1: interleave(1, bytes, words, K, d); break;
    case 2: interleave(2, bytes, words, K, d); break;
    case 3: interleave(3, bytes, words, K, d); break;
    case 4: interleave(4, bytes, words, K, d); break;
    case 5: interleave(5, bytes, words, K, d); break;
  }
}

// rows pixels x 8 channels. K is even.
INLINE void tile_int8(const int rows, const int16_t *p, const int16_t *w, int K, const int *bias, i32x4 sums[ROWS][2]) {
  i32x4 acc[ROWS][2];
  UNROLL for (int m = 0; m < rows; m++) acc[m][0] = wasm_v128_load(bias), acc[m][1] = wasm_v128_load(bias + 4);
  for (int k = 0; k < K; k += 2, p += 2 * rows, w += 16) {
    v128_t w0 = wasm_v128_load(w), w1 = wasm_v128_load(w + 8);
    UNROLL for (int m = 0; m < rows; m++) {
      v128_t x = wasm_v128_load32_splat(p + 2 * m);
      acc[m][0] = wasm_i32x4_add(acc[m][0], wasm_i32x4_dot_i16x8(x, w0));
      ORDER(acc[m][0]);
      acc[m][1] = wasm_i32x4_add(acc[m][1], wasm_i32x4_dot_i16x8(x, w1));
      ORDER(acc[m][1]);
    }
  }
  UNROLL for (int m = 0; m < rows; m++) sums[m][0] = acc[m][0], sums[m][1] = acc[m][1];
}
INLINE void tile_end(const ConvInt8 *a, const int rows, const int16_t *p, const int16_t *w, int K, int o, int n,
                     const int8_t *res, int8_t *y, const Rounder *r) {
  i32x4 sums[ROWS][2];
  tile_int8(rows, p, w, K, a->bias + o, sums);
  finish_rows(rows, rows, 0, sums, a->scale + o, res, y, a->O, n, &a->end, r);
}

// The pixels from p on, n of them, of one group: gathered by rows, multiplied by 8 channels at a time.
static void strip_int8(const ConvInt8 *a, int group, int p, int n, int16_t *panel, const Rounder *r) {
  int channels = a->C / a->groups, outputs = a->O / a->groups, K = (channels * a->kh * a->kw + 7) / 8 * 8;
  int direct = a->kh * a->kw == 1 && a->bytes == 1;
  int16_t *words = panel + a->strip * K;
  Place at = place(a, p);
  for (int m = 0, rows; m < n; m += rows) {
    rows = even_block(n, m, ROWS);
    const int8_t *bytes[ROWS];
    if (direct && is_row(a)) for (int i = 0; i < rows; i++) bytes[i] = (const int8_t *)a->x + (p + m + i) * a->C;
    else for (int i = 0; i < rows; i++, step(a, &at)) {
      const char *x = window_at(a, at, group * channels);
      bytes[i] = (const int8_t *)x;
      if (!direct) gather(a, x, channels, words + i * K);
    }
    interleave_rows(rows, direct ? bytes : 0, words, K, panel + m * K);
  }
  const int16_t *w = a->w + group * ((outputs + 7) / 8 * 8) * K;
  for (int o = 0; o < outputs; o += 8, w += 8 * K) {
    int c = group * outputs + o, count = imin(8, outputs - o);
    for (int m = 0, rows; m < n; m += rows) {
      rows = even_block(n, m, ROWS);
      const int16_t *from = panel + m * K;
      int at = (p + m) * a->O + c;
      const int8_t *res = a->res ? a->res + at : 0;
      int8_t *y = a->y + at;
      switch (rows) {
        case 1: tile_end(a, 1, from, w, K, c, count, res, y, r); break;
        case 2: tile_end(a, 2, from, w, K, c, count, res, y, r); break;
        case 3: tile_end(a, 3, from, w, K, c, count, res, y, r); break;
        case 4: tile_end(a, 4, from, w, K, c, count, res, y, r); break;
        case 5: tile_end(a, 5, from, w, K, c, count, res, y, r); break;
      }
    }
  }
}

// A window whose rows lie in one piece, of 16-bit numbers: nothing is gathered. For the first layer, whose rows are
// short. w from pack_first_int8: [O/8][kh][pairs][8][2], pairs of numbers per row of the window.
typedef struct { const void *src; int16_t *dst; int O, kh, run, bytes; } PackFirstInt8;
KERNEL(pack_first_int8, PackFirstInt8) {
  int16_t *d = a->dst;
  for (int o = 0; o < a->O; o += 8)
    for (int r = 0; r < a->kh; r++)
      for (int k = 0; k < a->run; k += 2)
        for (int i = 0; i < 16; i++) {
          int row = o + i / 2, in = k + i % 2, at = (row * a->kh + r) * a->run + in;
          if (row >= a->O || in >= a->run) *d++ = 0;
          else *d++ = a->bytes == 2 ? ((const int16_t *)a->src)[at] : ((const int8_t *)a->src)[at];
        }
  return 0;
}
INLINE void first_step(const int rows, const int16_t *p, int step, const int16_t *w, i32x4 acc[ROWS][2]) {
  v128_t w0 = wasm_v128_load(w), w1 = wasm_v128_load(w + 8);
  UNROLL for (int m = 0; m < rows; m++) {
    v128_t v = wasm_v128_load32_splat(p + m * step);
    acc[m][0] = wasm_i32x4_add(acc[m][0], wasm_i32x4_dot_i16x8(v, w0));
    ORDER(acc[m][0]);
    acc[m][1] = wasm_i32x4_add(acc[m][1], wasm_i32x4_dot_i16x8(v, w1));
    ORDER(acc[m][1]);
  }
}
// usual: three channels, three wide, two apart.
INLINE void tile_first(const ConvInt8 *a, const int rows, const int usual, const int16_t *x, const int16_t *w, int o, int n,
                       int8_t *y, const int8_t *res, const Rounder *r) {
  i32x4 acc[ROWS][2];
  i32x4 b0 = wasm_v128_load(a->bias + o), b1 = wasm_v128_load(a->bias + o + 4);
  const int step = usual ? 6 : a->sw * a->C, pairs = (a->kw * a->C + 1) / 2;
  UNROLL for (int m = 0; m < rows; m++) acc[m][0] = b0, acc[m][1] = b1;
  for (int i = 0; i < a->kh; i++, x += a->dh * a->PW * a->C) {
    const int16_t *p = x;
    if (usual) {
      ORDER(p); // so that distances from here stand in the instructions
      ORDER(w);
      UNROLL for (int k = 0; k < 5; k++) first_step(rows, p + 2 * k, step, w + 16 * k, acc);
      w += 80;
    }
    else for (int k = 0; k < pairs; k++, p += 2, w += 16) first_step(rows, p, step, w, acc);
  }
  finish_rows(rows, rows, 0, acc, a->scale + o, res, y, a->O, n, &a->end, r);
}
KERNEL(conv_first_int8, ConvInt8) {
  Rounder r = rounder(a->end.to);
  int pairs = (a->kw * a->C + 1) / 2, block = 16 * a->kh * pairs, usual = a->kw == 3 && a->C == 3 && a->sw == 2;
  const int least = a->OW / ((a->OW + ROWS - 1) / ROWS), larger = a->OW % ((a->OW + ROWS - 1) / ROWS) * (least + 1); // as even_block
  Share my = share(a->N * a->OH, part, parts);
  for (int row = my.from; row < my.to; row++)
    for (int i = 0, rows; i < a->OW; i += rows) {
      rows = i < larger ? least + 1 : least;
      const int16_t *x = (const int16_t *)a->x + ((row / a->OH * a->PH + row % a->OH * a->sh) * a->PW + i * a->sw) * a->C;
      for (int o = 0; o < a->O; o += 8) {
        int at = (row * a->OW + i) * a->O + o, n = imin(8, a->O - o);
        const int16_t *w = a->w + o / 8 * block;
        const int8_t *res = a->res ? a->res + at : 0;
        switch (usual && rows >= 4 ? rows + ROWS : rows) {
          case 1: tile_first(a, 1, 0, x, w, o, n, a->y + at, res, &r); break;
          case 2: tile_first(a, 2, 0, x, w, o, n, a->y + at, res, &r); break;
          case 3: tile_first(a, 3, 0, x, w, o, n, a->y + at, res, &r); break;
          case 4: tile_first(a, 4, 0, x, w, o, n, a->y + at, res, &r); break;
          case 5: tile_first(a, 5, 0, x, w, o, n, a->y + at, res, &r); break;
          case 9: tile_first(a, 4, 1, x, w, o, n, a->y + at, res, &r); break;
          case 10: tile_first(a, 5, 1, x, w, o, n, a->y + at, res, &r); break;
        }
      }
    }
  return 0;
}

KERNEL(conv_int8, ConvInt8) {
  Rounder r = rounder(a->end.to);
  int16_t *panel = (int16_t *)((char *)a->panel + part * a->panel_bytes);
  Share my = share(a->N * a->OH * a->OW, part, parts);
  for (int p = my.from; p < my.to; p += a->strip)
    for (int g = 0; g < a->groups; g++) {
      int n = imin(a->strip, my.to - p);
      if (NARROW && a->narrow) strip_narrow(a, g, p, n, (int8_t *)panel, &r);
      else strip_int8(a, g, p, n, panel, &r);
    }
  return 0;
}
