// Moving elements: copies between any two strided layouts of up to 12 dimensions, and fills.
#include "../../wasm/simd.h"

// dst[i . ds] = src[i . ss] for every index i below dims; strides in elements of `size` (1, 4 or 8) bytes, 0 or negative
// source strides allowed. The caller merges dimensions; src and dst do not overlap.
typedef struct {
  const void *src;
  void *dst;
  int size, rank, dims[MAX_RANK], ss[MAX_RANK], ds[MAX_RANK];
} Copy;

#define LINE(T) for (int i = 0; i < n; i++) ((T *)d)[i * ds] = ((const T *)s)[i * ss]; return
static void copy_line(const char *s, char *d, int n, int ss, int ds, int size) {
  if (ss == 1 && ds == 1) {
    n *= size;
    int i = 0;
    for (; i + 16 <= n; i += 16) wasm_v128_store(d + i, wasm_v128_load(s + i));
    for (; i < n; i++) d[i] = s[i];
    return;
  }
  switch (size) {
    case 1: LINE(uint8_t);
    case 4: LINE(uint32_t);
    case 8: LINE(uint64_t);
  }
}

// d[r*ds + c] = s[r + c*ss], R x C words: 4 x 4 blocks in registers.
static void transpose_words(const float *s, float *d, int R, int C, int ss, int ds) {
  int r = 0;
  for (; r + 4 <= R; r += 4) {
    int c = 0;
    for (; c + 4 <= C; c += 4) {
      const float *p = s + r + c * ss;
      f32x4 a = load(p), b = load(p + ss), e = load(p + 2 * ss), f = load(p + 3 * ss);
      f32x4 ab = wasm_i32x4_shuffle(a, b, 0, 4, 1, 5), AB = wasm_i32x4_shuffle(a, b, 2, 6, 3, 7);
      f32x4 ef = wasm_i32x4_shuffle(e, f, 0, 4, 1, 5), EF = wasm_i32x4_shuffle(e, f, 2, 6, 3, 7);
      float *q = d + r * ds + c;
      store(q, wasm_i64x2_shuffle(ab, ef, 0, 2));
      store(q + ds, wasm_i64x2_shuffle(ab, ef, 1, 3));
      store(q + 2 * ds, wasm_i64x2_shuffle(AB, EF, 0, 2));
      store(q + 3 * ds, wasm_i64x2_shuffle(AB, EF, 1, 3));
    }
    for (; c < C; c++) for (int i = r; i < r + 4; i++) d[i * ds + c] = s[i + c * ss];
  }
  for (; r < R; r++) for (int c = 0; c < C; c++) d[r * ds + c] = s[r + c * ss];
}

KERNEL(copy, Copy) {
  const char *s = a->src;
  char *d = a->dst;
  int last = a->rank - 1, n = a->dims[last], ss = a->ss[last], ds = a->ds[last];
  int plane = a->size == 4 && last > 0 && a->ss[last - 1] == 1 && ds == 1 && ss > 1;
  int at[MAX_RANK] = {0};
  for (;;) {
    if (plane) transpose_words((const float *)s, (float *)d, a->dims[last - 1], n, ss, a->ds[last - 1]);
    else copy_line(s, d, n, ss, ds, a->size);
    int k = last - 1 - plane;
    for (; k >= 0; k--) {
      s += a->ss[k] * a->size, d += a->ds[k] * a->size;
      if (++at[k] < a->dims[k]) break;
      s -= a->ss[k] * at[k] * a->size, d -= a->ds[k] * at[k] * a->size, at[k] = 0;
    }
    if (k < 0) return 0;
  }
}

// n elements of `size` bytes, each equal to the one at src.
typedef struct { const void *src; void *dst; int n, size; } Fill;
KERNEL(fill, Fill) {
  for (int i = 0; i < a->n; i++) {
    if (a->size == 4) ((uint32_t *)a->dst)[i] = *(const uint32_t *)a->src;
    else if (a->size == 8) ((uint64_t *)a->dst)[i] = *(const uint64_t *)a->src;
    else ((uint8_t *)a->dst)[i] = *(const uint8_t *)a->src;
  }
  return 0;
}
