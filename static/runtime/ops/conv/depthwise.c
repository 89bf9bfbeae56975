// Depthwise convolution on blocked pictures: four channels at a time, a run of up to eight pixels of a row in registers.
#include "../../wasm/blocked.h"

// y[n][c] = act(conv(x[n][c], w[c]) + bias + res); w from pack_blocks with B = 4, bias padded to 4. A plane is first
// copied into a border of zeros at `padded` (PH * PW pixels for each part), or read where it is (padded = 0): then taps
// outside it are left out one by one, which only squares of 3 and 5 without dilation know how to do.
typedef struct {
  const float *x, *w, *bias, *res;
  float *y, *padded;
  int N, C, H, W, OH, OW, kh, kw, sh, sw, dh, dw, top, left, PH, PW;
  Activation act;
} Depthwise;

enum { PIXELS = 8 };

// TX neighbouring results from `rows` rows of taps.
INLINE void run(const int KS, const int S, const int TX, const float *x, int pitch, int rows, const float *w, f32x4 *acc) {
  for (; rows; rows--, x += pitch, w += 4 * KS) {
    f32x4 k[KS];
    UNROLL for (int j = 0; j < KS; j++) k[j] = load(w + 4 * j);
    UNROLL for (int i = 0; i < (TX - 1) * S + KS; i++) {
      f32x4 v = load(x + 4 * i);
      UNROLL for (int j = 0; j < KS; j++)
        if (i >= j && (i - j) % S == 0 && (i - j) / S < TX) {
          acc[(i - j) / S] = madd(acc[(i - j) / S], v, k[j]);
          ORDER(acc[(i - j) / S]);
        }
    }
  }
}

// One row of results, or the part of it that has all its columns of taps.
typedef struct {
  const float *x, *w, *bias, *res;
  float *y;
  int pitch, rows, count;
  const Activation *act;
} Row;
INLINE void finish(const int TX, f32x4 *acc, const float *res, float *y, const Activation *act) {
  if (res) UNROLL for (int i = 0; i < TX; i++) acc[i] = add(acc[i], load(res + 4 * i));
  end_vectors(TX, acc, act);
  UNROLL for (int i = 0; i < TX; i++) store(y + 4 * i, acc[i]);
}
#define PIECE(n) \
  { \
    f32x4 acc[n]; \
    UNROLL for (int i = 0; i < n; i++) acc[i] = bias; \
    run(KS, S, n, r->x + 4 * S * at, r->pitch, r->rows, r->w, acc); \
    finish(n, acc, r->res ? r->res + 4 * at : 0, r->y + 4 * at, r->act); \
    break; \
  }
INLINE void row(const int KS, const int S, const Row *r) {
  f32x4 bias = load(r->bias);
  int per = (r->count + PIXELS - 1) / PIXELS, small = per ? r->count / per : 0, big = per ? r->count % per : 0;
  for (int i = 0, at = 0, n; i < per; i++, at += n) {
    n = small + (i < big);
    switch (n) {
      case 1: PIECE(1)
      case 2: PIECE(2)
      case 3: PIECE(3)
      case 4: PIECE(4)
      case 5: PIECE(5)
      case 6: PIECE(6)
      case 7: PIECE(7)
      case 8: PIECE(8)
    }
  }
}

// Results [from, to) of a row whose columns of taps reach over the edge; x is the plane's first pixel of the first row.
static void edge(const Depthwise *a, const Row *r, const float *x, float *y, const float *res, int from, int to) {
  for (int ox = from; ox < to; ox++) {
    f32x4 even = load(r->bias), odd = splat(0.f);
    int first = ox * a->sw - a->left, j0 = imax(0, -first), j1 = imin(a->kw, a->W - first);
    for (int p = 0; p < r->rows; p++)
      for (int j = j0; j < j1; j++) {
        f32x4 v = load(x + p * r->pitch + 4 * (first + j)), k = load(r->w + 4 * (p * a->kw + j));
        if (j & 1) odd = madd(odd, v, k);
        else even = madd(even, v, k);
      }
    even = add(even, odd);
    finish(1, &even, res ? res + 4 * ox : 0, y + 4 * ox, r->act);
  }
}

INLINE void plane(const int KS, const int S, const Depthwise *a, const float *x, const float *w, const float *bias,
                  const float *res, float *y) {
  Row r = {.bias = bias, .act = &a->act, .pitch = 4 * (a->padded ? a->PW : a->W)};
  int x0 = a->padded ? 0 : imin(a->OW, (a->left + S - 1) / S);
  int x1 = a->padded ? a->OW : imax(x0, imin(a->OW, (a->W - KS + a->left) / S + 1));
  for (int oy = 0; oy < a->OH; oy++, y += 4 * a->OW, res = res ? res + 4 * a->OW : 0) {
    int first = oy * S - (a->padded ? 0 : a->top);
    int r0 = a->padded ? 0 : imax(0, -first), r1 = a->padded ? KS : imax(r0, imin(KS, a->H - first));
    const float *line = x + (first + r0) * r.pitch;
    r.rows = r1 - r0;
    r.w = w + 4 * r0 * KS;
    r.x = line + 4 * (x0 * S - (a->padded ? 0 : a->left));
    r.y = y + 4 * x0;
    r.res = res ? res + 4 * x0 : 0;
    r.count = x1 - x0;
    row(KS, S, &r);
    if (a->padded) continue;
    edge(a, &r, line, y, res, 0, x0);
    edge(a, &r, line, y, res, x1, a->OW);
  }
}

// Any window, from the padded copy.
static void any_plane(const Depthwise *a, const float *x, const float *w, const float *bias, const float *res, float *y) {
  for (int oy = 0; oy < a->OH; oy++)
    for (int ox = 0; ox < a->OW; ox += 4) {
      int n = imin(4, a->OW - ox), at = 4 * (oy * a->OW + ox);
      const float *p = x + 4 * (oy * a->sh * a->PW + ox * a->sw);
      f32x4 acc[4];
      UNROLL for (int i = 0; i < 4; i++) acc[i] = load(bias);
      for (int r = 0; r < a->kh; r++)
        for (int s = 0; s < a->kw; s++) {
          f32x4 k = load(w + 4 * (r * a->kw + s));
          const float *v = p + 4 * (r * a->dh * a->PW + s * a->dw);
          UNROLL for (int i = 0; i < 4; i++) acc[i] = madd(acc[i], load(v + (i < n ? 4 * i * a->sw : 0)), k);
        }
      for (int i = 0; i < n; i++) finish(1, acc + i, res ? res + at + 4 * i : 0, y + at + 4 * i, &a->act);
    }
}

// The plane in the middle of the copy, whose border is zero already.
static const float *pad_plane(const Depthwise *a, const float *x, float *padded) {
  int rows = imin(a->H, a->PH - a->top), columns = imin(a->W, a->PW - a->left);
  float *y = padded + 4 * (a->top * a->PW + a->left);
  for (int r = 0; r < rows; r++, x += 4 * a->W, y += 4 * a->PW)
    for (int i = 0; i < columns; i++) store(y + 4 * i, load(x + 4 * i));
  return padded;
}

KERNEL(depthwise, Depthwise) {
  int blocks = (a->C + 3) / 4, taps = a->kh * a->kw, P4 = 4 * a->OH * a->OW;
  int square = a->dh == 1 && a->dw == 1 && a->kh == a->kw && a->sh == a->sw && a->sh < 3 ? a->kh * 10 + a->sh : 0;
  float *padded = a->padded + part * a->PH * a->PW * 4;
  if (a->padded) for (int i = 0; i < a->PH * a->PW; i++) store(padded + 4 * i, splat(0.f));
  Share my = share(a->N * blocks, part, parts);
  for (int u = my.from; u < my.to; u++) {
    const float *x = a->x + u * a->H * a->W * 4, *res = a->res ? a->res + u * P4 : 0;
    const float *w = a->w + u % blocks * taps * 4, *bias = a->bias + u % blocks * 4;
    float *y = a->y + u * P4;
    if (a->padded) x = pad_plane(a, x, padded);
    switch (square) {
      case 31: plane(3, 1, a, x, w, bias, res, y); break;
      case 32: plane(3, 2, a, x, w, bias, res, y); break;
      case 51: plane(5, 1, a, x, w, bias, res, y); break;
      case 52: plane(5, 2, a, x, w, bias, res, y); break;
      default: any_plane(a, x, w, bias, res, y);
    }
    if (!ends_in_registers(&a->act)) unary_span(y, y, P4, a->act);
  }
  return 0;
}
