// Sorting along the middle of x[outer][n][inner], and running sums and products along it.
#include "../../wasm/simd.h"

enum { F32, I32, I64 }; // ops/dtype.js

// The first k of each line in stable order: values y and positions at, both [outer][k][inner]. A NaN is the largest.
typedef struct {
  const void *x;
  void *y;
  int64_t *at;
  int *scratch; // 2 * n
  int outer, n, inner, k, type, descending;
} Sort;

// Whether q must stand before p, which came first.
#define BEFORE(T) \
  { \
    T p = ((const T *)x)[i * inner], q = ((const T *)x)[j * inner]; \
    return descending ? q > p || (q != q && p == p) : q < p || (p != p && q == q); \
  }
static int before(const void *x, int i, int j, int inner, int type, int descending) {
  switch (type) {
    case F32: BEFORE(float)
    case I32: BEFORE(int32_t)
    default: BEFORE(int64_t)
  }
}

// Merge sort of positions, runs of 1, 2, 4 ...; returns which half of the scratch holds the order.
static int *merged(const Sort *a, const void *x) {
  int n = a->n, *from = a->scratch, *to = from + n;
  for (int i = 0; i < n; i++) from[i] = i;
  for (int run = 1; run < n; run *= 2) {
    for (int start = 0; start < n; start += 2 * run) {
      int p = start, middle = imin(start + run, n), q = middle, end = imin(start + 2 * run, n);
      for (int i = start; i < end; i++) {
        int right = p == middle || (q < end && before(x, from[p], from[q], a->inner, a->type, a->descending));
        to[i] = right ? from[q++] : from[p++];
      }
    }
    int *other = from;
    from = to, to = other;
  }
  return from;
}

KERNEL(sort, Sort) {
  int size = a->type == I64 ? 8 : 4;
  for (int o = 0; o < a->outer; o++)
    for (int i = 0; i < a->inner; i++) {
      const char *x = (const char *)a->x + (o * a->n * a->inner + i) * size;
      const int *order = merged(a, x);
      for (int k = 0, m = o * a->k * a->inner + i; k < a->k; k++, m += a->inner) {
        a->at[m] = order[k];
        __builtin_memcpy((char *)a->y + m * size, x + order[k] * a->inner * size, size);
      }
    }
  return 0;
}

// y[o][k][i] = x[o][0][i] op ... op x[o][k][i]; exclusive: without the last of them; reverse: from the end.
typedef struct { const void *x; void *y; int outer, n, inner, type, product, exclusive, reverse; } Running;
#define LINE(T) \
  { \
    const T *x = (const T *)a->x + first; \
    T *y = (T *)a->y + first, r = (T)a->product; \
    for (int k = 0, m = a->reverse ? (a->n - 1) * a->inner : 0; k < a->n; k++, m += step) { \
      T v = x[m], next = a->product ? r * v : r + v; \
      y[m] = a->exclusive ? r : next; \
      r = next; \
    } \
    break; \
  }
KERNEL(running, Running) {
  int step = a->reverse ? -a->inner : a->inner;
  for (int o = 0; o < a->outer; o++)
    for (int i = 0; i < a->inner; i++) {
      int first = o * a->n * a->inner + i;
      switch (a->type) {
        case F32: LINE(float)
        case I32: LINE(uint32_t)
        case I64: LINE(uint64_t)
      }
    }
  return 0;
}
