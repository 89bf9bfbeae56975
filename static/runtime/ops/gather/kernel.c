// Reading through an index: tables made by the plan (padding, nearest resize) or a tensor (gather).
#include "../../wasm/simd.h"

// dst[o][d][h][w][i] = src[o][md[d]][mh[h]][mw[w]][i], or *fill where a table says -1. Elements of 1, 4, 8 or 16 bytes.
typedef struct {
  const void *src;
  void *dst;
  const void *fill;
  const int *md, *mh, *mw;
  int size, outer, sd, sh, sw, D, H, W, inner;
} Remap;
#define REMAP(T, name) \
  static void name##_row(const Remap *a, const T *row, T none, T *dst) { \
    int n = a->inner; \
    for (int w = 0; w < a->W; w++) { \
      int x = row ? a->mw[w] : -1; \
      if (n == 1) *dst++ = x < 0 ? none : row[x]; \
      else for (int i = 0; i < n; i++) *dst++ = x < 0 ? none : row[x * n + i]; \
    } \
  } \
  static int name(const Remap *a, Share my) { \
    int line = a->W * a->inner; \
    T *dst = (T *)a->dst + my.from * a->D * a->H * line; \
    for (int o = my.from; o < my.to; o++) \
      for (int d = 0; d < a->D; d++) \
        for (int h = 0; h < a->H; h++, dst += line) { \
          int z = a->md[d], y = a->mh[h]; \
          if (h > 0 && y == a->mh[h - 1]) { /* the row above once more */ \
            __builtin_memcpy(dst, dst - line, line * sizeof(T)); \
            continue; \
          } \
          const T *row = (const T *)a->src + ((o * a->sd + z) * a->sh + y) * a->sw * a->inner; \
          name##_row(a, z < 0 || y < 0 ? 0 : row, *(const T *)a->fill, dst); \
        } \
    return 0; \
  }
REMAP(uint8_t, remap_1)
REMAP(uint32_t, remap_4)
REMAP(uint64_t, remap_8)
REMAP(v128_t, remap_16)
KERNEL(remap, Remap) {
  Share my = share(a->outer, part, parts);
  switch (a->size) {
    case 1: return remap_1(a, my);
    case 4: return remap_4(a, my);
    case 8: return remap_8(a, my);
    default: return remap_16(a, my);
  }
}

// y[o][m] = x[o][index[m]], rows of `row` bytes; n rows of x and `count` rows of y per o. -n <= index < n, else BAD_INDEX.
typedef struct { const char *x; const void *index; char *y; int outer, n, count, row, wide; } Gather;
KERNEL(gather, Gather) {
  char *y = a->y;
  for (int o = 0; o < a->outer; o++)
    for (int m = 0; m < a->count; m++, y += a->row) {
      int64_t i = a->wide ? ((const int64_t *)a->index)[m] : ((const int32_t *)a->index)[m];
      if (i < -a->n || i >= a->n) return BAD_INDEX;
      const char *x = a->x + (o * a->n + (int)(i < 0 ? i + a->n : i)) * a->row;
      int b = 0;
      for (; b + 16 <= a->row; b += 16) wasm_v128_store(y + b, wasm_v128_load(x + b));
      for (; b < a->row; b++) y[b] = x[b];
    }
  return 0;
}
