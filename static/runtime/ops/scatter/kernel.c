// Reading and changing elements at places that a tensor of indices names. A negative index counts from the end.
#include "../../wasm/simd.h"

enum { ASSIGN, ADD, MUL, READ, ZERO, MOST, LEAST };
enum { F32, I32, I64 }; // ops/dtype.js

INLINE int64_t index_at(const void *index, int i, int wide) {
  return wide ? ((const int64_t *)index)[i] : ((const int32_t *)index)[i];
}

// whole[i] = whole[i] how part[i], or part[i] = whole[i] (READ), for n elements of `size` bytes.
#define CHANGE(T, S) \
  for (int i = 0; i < n; i++) { \
    T old = ((T *)w)[i], new = ((T *)p)[i]; \
    int most = (S)new > (S)old || new != new; /* a NaN stays */ \
    int least = (S)new < (S)old || new != new; \
    ((T *)w)[i] = how == ADD ? old + new : how == MUL ? old * new : (how == MOST ? most : least) ? new : old; \
  } \
  break
static void change(char *w, char *p, int n, int size, int type, int how) {
  switch (how) {
    case READ: __builtin_memcpy(p, w, n * size); return;
    case ASSIGN: __builtin_memcpy(w, p, n * size); return;
    case ZERO: __builtin_memset(w, 0, n * size); return;
  }
  switch (type) {
    case F32: CHANGE(float, float);
    case I32: CHANGE(uint32_t, int32_t);
    case I64: CHANGE(uint64_t, int64_t);
  }
}

// Row m of index [positions][K] names a place among the first K axes of `whole` (sizes dims): `inner` elements there
// against the m-th `inner` of parts.
typedef struct {
  char *whole;
  const void *index;
  char *parts;
  int dims[6], K, positions, inner, size, type, wide, how;
} Places;
KERNEL(places, Places) {
  for (int m = 0; m < a->positions; m++) {
    int at = 0;
    for (int k = 0; k < a->K; k++) {
      int64_t i = index_at(a->index, m * a->K + k, a->wide);
      if (i < -a->dims[k] || i >= a->dims[k]) return BAD_INDEX;
      at = at * a->dims[k] + (int)(i < 0 ? i + a->dims[k] : i);
    }
    int row = a->inner * a->size;
    change(a->whole + at * row, a->parts + m * row, a->inner, a->size, a->type, a->how);
  }
  return 0;
}

// index and parts have sizes dims; each element stands for whole (strides) at its own place, but along `axis`, of n
// elements, where the index says.
typedef struct {
  char *whole;
  const void *index;
  char *parts;
  int dims[6], strides[6], rank, axis, n, size, type, wide, how;
} Along;
KERNEL(along, Along) {
  int at[6] = {0}, total = 1;
  for (int k = 0; k < a->rank; k++) total *= a->dims[k];
  for (int m = 0; m < total; m++) {
    int64_t i = index_at(a->index, m, a->wide);
    if (i < -a->n || i >= a->n) return BAD_INDEX;
    int place = (int)(i < 0 ? i + a->n : i) * a->strides[a->axis];
    for (int k = 0; k < a->rank; k++) if (k != a->axis) place += at[k] * a->strides[k];
    change(a->whole + place * a->size, a->parts + m * a->size, 1, a->size, a->type, a->how);
    for (int k = a->rank - 1; k >= 0 && ++at[k] == a->dims[k]; k--) at[k] = 0;
  }
  return 0;
}

// y[n][depth] = 0, and *one at the place that index says.
typedef struct { const void *index; char *y; const char *one; int n, depth, size, wide; } OneHot;
KERNEL(one_hot, OneHot) {
  __builtin_memset(a->y, 0, a->n * a->depth * a->size);
  for (int m = 0; m < a->n; m++) {
    int64_t i = index_at(a->index, m, a->wide);
    if (i < 0 || i >= a->depth) return BAD_INDEX;
    __builtin_memcpy(a->y + (m * a->depth + (int)i) * a->size, a->one, a->size);
  }
  return 0;
}
