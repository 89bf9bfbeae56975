// One of two tensors, element by element.
#include "../../wasm/simd.h"

// y = c ? p : q over the common shape dims; cs, ps, qs: element strides of the operands, 0 where they repeat.
typedef struct {
  const uint8_t *c;
  const void *p, *q;
  void *y;
  int size, rank, dims[6], cs[6], ps[6], qs[6];
} Where;
#define PICK(T) ((T *)a->y)[m] = a->c[c] ? ((const T *)a->p)[p] : ((const T *)a->q)[q]; break
KERNEL(where, Where) {
  int at[6] = {0}, total = 1, c = 0, p = 0, q = 0;
  for (int k = 0; k < a->rank; k++) total *= a->dims[k];
  for (int m = 0; m < total; m++) {
    switch (a->size) {
      case 1: PICK(uint8_t);
      case 4: PICK(uint32_t);
      case 8: PICK(uint64_t);
    }
    for (int k = a->rank - 1; k >= 0; k--) {
      c += a->cs[k], p += a->ps[k], q += a->qs[k];
      if (++at[k] < a->dims[k]) break;
      c -= a->cs[k] * at[k], p -= a->ps[k] * at[k], q -= a->qs[k] * at[k], at[k] = 0;
    }
  }
  return 0;
}
