// out = act(x op y) with broadcasting: odometer over the outer dimensions, a row of the last one at a time.
#include "../../wasm/simd.h"

enum { ADD, SUB, MUL, DIV, MAX, MIN, POW, MOD, FLOORDIV, FMAX, FMIN, ATAN2, BIT_AND, BIT_OR, BIT_XOR };

// dims: merged shape of the result; xs, ys: element strides of the operands, 0 where they repeat. The last stride is
// 0 or 1. out may be an operand that does not repeat.
typedef struct {
  const void *x, *y;
  void *out;
  int op, rank, dims[6], xs[6], ys[6];
  Activation act;
} Binary;

INLINE float mod_f32(float p, float q) { // the sign of q, as in Python
  if (q == 0 || p - p != 0) return __builtin_nanf("");
  if (q - q != 0) return q != q ? q : (p < 0) == (q < 0) || p == 0 ? p : q;
  // long division, 24 bits of the quotient at a time: every product is exact in double
  double r = __builtin_fabsf(p), d = __builtin_fabsf(q);
  while (r >= d) {
    double step = d;
    while (r >= step * 16777216.0) step *= 16777216.0;
    r -= __builtin_floor(r / step) * step;
    if (r < 0) r += step;
  }
  if (p < 0) r = -r;
  if (r != 0 && (r < 0) != (q < 0)) r += q;
  return (float)r;
}
INLINE float floordiv_f32(float p, float q) {
  if (q == 0) return p / q;
  double r = mod_f32(p, q);
  return (float)__builtin_rint(((double)p - r) / q);
}

float atan2_f32(float y, float x); // in ops/unary

#define ROW(f) \
  for (; i + 4 <= n; i += 4) { \
    f32x4 p = xs ? load(x + i) : px, q = ys ? load(y + i) : qy; \
    store(out + i, f); \
  } \
  break
#define EACH(f) \
  for (; i < n; i++) { \
    float p = x[i * xs], q = y[i * ys]; \
    out[i] = f; \
  } \
  break
static void row_f32(int op, const float *x, const float *y, float *out, int n, int xs, int ys) {
  f32x4 px = splat(*x), qy = splat(*y);
  int i = 0;
  switch (op) {
    case ADD: ROW(add(p, q));
    case SUB: ROW(sub(p, q));
    case MUL: ROW(mul(p, q));
    case DIV: ROW(div(p, q));
    case MAX: ROW(wasm_f32x4_max(p, q));
    case MIN: ROW(wasm_f32x4_min(p, q));
    case POW: EACH(s_pow(p, q));
    case MOD: EACH(mod_f32(p, q));
    case FLOORDIV: EACH(floordiv_f32(p, q));
    case FMAX: ROW(select(wasm_f32x4_eq(q, q), select(wasm_f32x4_eq(p, p), max2(p, q), q), p));
    case FMIN: ROW(select(wasm_f32x4_eq(q, q), select(wasm_f32x4_eq(p, p), min2(p, q), q), p));
    case ATAN2: EACH(atan2_f32(p, q));
  }
  if (i < n) { // the last one to three
    float p[4], q[4];
    store(p, load_tail(x + i * xs, n - i)), store(q, load_tail(y + i * ys, n - i));
    row_f32(op, p, q, p, 4, xs, ys);
    store_tail(out + i, load(p), n - i);
  }
}

// Integers wrap; division by zero gives 0 (Paddle refuses it), the remainder takes the divisor's sign.
#define INTEGERS(T, U, row) \
  static T row##_pow(T p, T q) { \
    if (q < 0) return p == 1 ? 1 : p == -1 ? (q & 1 ? -1 : 1) : 0; \
    U r = 1, b = (U)p; \
    for (; q; q >>= 1, b *= b) if (q & 1) r *= b; \
    return (T)r; \
  } \
  static T row##_quotient(T p, T q) { return q == 0 ? 0 : q == -1 ? (T)(0 - (U)p) : p / q; } \
  static T row##_mod(T p, T q) { \
    if (q == 0 || q == -1) return 0; \
    T r = p % q; \
    return r && (r < 0) != (q < 0) ? r + q : r; \
  } \
  static void row(int op, const T *x, const T *y, T *out, int n, int xs, int ys) { \
    for (int i = 0; i < n; i++) { \
      T p = x[i * xs], q = y[i * ys], r = 0; \
      switch (op) { \
        case ADD: r = (T)((U)p + (U)q); break; \
        case SUB: r = (T)((U)p - (U)q); break; \
        case MUL: r = (T)((U)p * (U)q); break; \
        case DIV: r = row##_quotient(p, q); break; \
        case MAX: r = p > q ? p : q; break; \
        case MIN: r = p < q ? p : q; break; \
        case POW: r = row##_pow(p, q); break; \
        case MOD: r = row##_mod(p, q); break; \
        case FLOORDIV: r = row##_quotient((T)((U)p - (U)row##_mod(p, q)), q); break; \
        case BIT_AND: r = p & q; break; \
        case BIT_OR: r = p | q; break; \
        case BIT_XOR: r = p ^ q; break; \
      } \
      out[i] = r; \
    } \
  }
INTEGERS(int32_t, uint32_t, row_i32)
INTEGERS(int64_t, uint64_t, row_i64)

#define ROWS(T, U, row, finish) \
  const T *x = a->x, *y = a->y; \
  U *out = a->out; \
  int at[6] = {0}, last = a->rank - 1, n = a->dims[last]; \
  for (;;) { \
    row(a->op, x, y, out, n, a->xs[last], a->ys[last]); \
    finish; \
    out += n; \
    int d = last - 1; \
    for (; d >= 0; d--) { \
      x += a->xs[d], y += a->ys[d]; \
      if (++at[d] < a->dims[d]) break; \
      x -= a->xs[d] * at[d], y -= a->ys[d] * at[d], at[d] = 0; \
    } \
    if (d < 0) return 0; \
  }
INLINE int acts(const Activation *t) { return t->kind || t->alpha > -__builtin_inff() || t->beta < __builtin_inff(); }

// Operands of one shape: a span of floats that can be divided.
static void same_shape(const Binary *a, int part, int parts) {
  enum { PIECE = 1024 };
  Share my = share((a->dims[0] + 3) / 4, part, parts);
  int end = imin(4 * my.to, a->dims[0]);
  for (int i = 4 * my.from; i < end; i += PIECE) {
    int n = imin(PIECE, end - i);
    float *out = (float *)a->out + i;
    row_f32(a->op, (const float *)a->x + i * a->xs[0], (const float *)a->y + i * a->ys[0], out, n, a->xs[0], a->ys[0]);
    if (acts(&a->act)) unary_span(out, out, n, a->act);
  }
}
KERNEL(binary, Binary) {
  if (a->rank == 1) {
    same_shape(a, part, parts);
    return 0;
  }
  ROWS(float, float, row_f32, if (acts(&a->act)) unary_span(out, out, n, a->act))
}

// Blocked pictures: out[b][p] = act(x[b][p] op y[b % repeat]), four lanes at a time; swap: y op x. Plain rows do the rest.
typedef struct {
  const float *x, *y;
  float *out;
  int op, swap, blocks, P, repeat;
  Activation act;
} Channelwise;
#define EACH_PIXEL(f) \
  for (int i = 0; i < a->P; i++) { \
    f32x4 v = load(x + 4 * i), p = a->swap ? k : v, q = a->swap ? v : k; \
    store(out + 4 * i, f); \
  } \
  break
KERNEL(channelwise, Channelwise) {
  Share my = share(a->blocks, part, parts);
  for (int u = my.from; u < my.to; u++) {
    const float *x = a->x + u * a->P * 4;
    float *out = a->out + u * a->P * 4;
    f32x4 k = load(a->y + u % a->repeat * 4);
    switch (a->op) {
      case ADD: EACH_PIXEL(add(p, q));
      case SUB: EACH_PIXEL(sub(p, q));
      case MUL: EACH_PIXEL(mul(p, q));
      case DIV: EACH_PIXEL(div(p, q));
      case MAX: EACH_PIXEL(wasm_f32x4_max(p, q));
      case MIN: EACH_PIXEL(wasm_f32x4_min(p, q));
    }
    if (acts(&a->act)) unary_span(out, out, a->P * 4, a->act);
  }
  return 0;
}
KERNEL(binary_i32, Binary) { ROWS(int32_t, int32_t, row_i32, ) }
KERNEL(binary_i64, Binary) { ROWS(int64_t, int64_t, row_i64, ) }

// Comparisons and logic to bytes of 0 or 1; the activation is unused.
enum { EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL, AND, OR, XOR };
#define COMPARE(T, name) \
  static void name##_row(int op, const T *x, const T *y, uint8_t *out, int n, int xs, int ys) { \
    for (int i = 0; i < n; i++) { \
      T p = x[i * xs], q = y[i * ys]; \
      int r = 0; \
      switch (op) { \
        case EQUAL: r = p == q; break; \
        case NOT_EQUAL: r = p != q; break; \
        case LESS: r = p < q; break; \
        case LESS_EQUAL: r = p <= q; break; \
        case GREATER: r = p > q; break; \
        case GREATER_EQUAL: r = p >= q; break; \
        case AND: r = p != 0 && q != 0; break; \
        case OR: r = p != 0 || q != 0; break; \
        case XOR: r = (p != 0) != (q != 0); break; \
      } \
      out[i] = (uint8_t)r; \
    } \
  } \
  KERNEL(name, Binary) { ROWS(T, uint8_t, name##_row, ) }
COMPARE(float, compare_f32)
COMPARE(int32_t, compare_i32)
COMPARE(int64_t, compare_i64)
COMPARE(uint8_t, compare_u8)
