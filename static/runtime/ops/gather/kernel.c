// Reading through an index: tables made by the plan (padding, nearest resize) or a tensor (gather).
#include "../../wasm/simd.h"

// dst[o][d][h][w][i] = src[o][md[d]][mh[h]][mw[w]][i], or *fill where a table says -1. Elements of 1, 4 or 8 bytes.
typedef struct {
  const void *src;
  void *dst;
  const void *fill;
  const int *md, *mh, *mw;
  int size, outer, sd, sh, sw, D, H, W, inner;
} Remap;
#define REMAP(T) \
  { \
    const T *src = a->src, none = *(const T *)a->fill; \
    T *dst = a->dst; \
    int n = a->inner; \
    for (int o = 0; o < a->outer; o++) \
      for (int d = 0; d < a->D; d++) \
        for (int h = 0; h < a->H; h++) { \
          int outside = a->md[d] < 0 || a->mh[h] < 0; \
          const T *row = src + ((o * a->sd + a->md[d]) * a->sh + a->mh[h]) * a->sw * n; \
          for (int w = 0; w < a->W; w++) { \
            int x = a->mw[w], skip = outside || x < 0; \
            for (int i = 0; i < n; i++) *dst++ = skip ? none : row[x * n + i]; \
          } \
        } \
    return 0; \
  }
KERNEL(remap, Remap) {
  switch (a->size) {
    case 1: REMAP(uint8_t)
    case 4: REMAP(uint32_t)
    default: REMAP(uint64_t)
  }
}

// y[o][m] = x[o][index[m]], rows of `row` bytes; n rows in x per o, m_count in y. -n <= index < n, else BAD_INDEX.
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
