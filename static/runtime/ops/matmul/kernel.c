// Matrix products: a matrix against constant packed columns (fc), and batches of two computed matrices (matmul).
#include "../../wasm/simd.h"

// src[k*ks + n*ns] -> panels [ceil(N/8)][K][8], columns past N are 0.
typedef struct { const float *src; float *dst; int K, N, ks, ns; } PackColumns;
static void pack(const float *src, float *d, int K, int N, int ks, int ns) {
  for (int n = 0; n < N; n += 8)
    for (int k = 0; k < K; k++, d += 8) {
      const float *s = src + k * ks + n * ns;
      if (ns == 1 && n + 8 <= N) store(d, load(s)), store(d + 4, load(s + 4));
      else for (int j = 0; j < 8; j++) d[j] = n + j < N ? s[j * ns] : 0;
    }
}
KERNEL(pack_columns, PackColumns) {
  pack(a->src, a->dst, a->K, a->N, a->ks, a->ns);
  return 0;
}

// One row against one panel or four side by side, which arrive from memory sooner than one after the other. Either way in
// chains of the same products, so that the bits do not depend on where the part of a thread begins.
enum { STEPS = 4, ROW_CHAIN = 256 };
INLINE void panels_of(const int COUNT, const float *x, const float *B, int K, f32x4 *sums) {
  int from = 0;
  do {
    int k = from, end = imin(K, from + ROW_CHAIN);
    f32x4 acc[2 * ROW_PANELS];
    UNROLL for (int i = 0; i < 2 * COUNT; i++) acc[i] = splat(0.f);
    for (; k + STEPS <= end; k += STEPS, B += 8 * STEPS)
      UNROLL for (int i = 0; i < STEPS; i++) {
        f32x4 v = load_splat(x + k + i);
        UNROLL for (int p = 0; p < 2 * COUNT; p++) {
          acc[p] = madd(acc[p], v, load(B + p / 2 * 8 * K + 8 * i + p % 2 * 4));
          ORDER(acc[p]);
        }
      }
    for (; k < end; k++, B += 8) {
      f32x4 v = load_splat(x + k);
      UNROLL for (int p = 0; p < 2 * COUNT; p++) acc[p] = madd(acc[p], v, load(B + p / 2 * 8 * K + p % 2 * 4));
    }
    UNROLL for (int p = 0; p < 2 * COUNT; p++) sums[p] = from ? add(sums[p], acc[p]) : acc[p];
  } while ((from += ROW_CHAIN) < K);
}
int row_panels(const float *x, const float *B, int K, int columns, f32x4 *sums) {
  if (columns > 8 * (ROW_PANELS - 1)) {
    panels_of(ROW_PANELS, x, B, K, sums);
    return ROW_PANELS;
  }
  panels_of(1, x, B, K, sums);
  return 1;
}
// Columns [first, end) of the only row of C, without what registers cannot end.
static void one_row(const float *x, const float *B, const float *bias, const float *R, float *C, int first, int end,
                    int K, f32x4 lo, f32x4 hi) {
  f32x4 sums[2 * ROW_PANELS];
  for (int n = first, panels; n < end; n += 8 * panels) {
    panels = row_panels(x, B + n * K, K, end - n, sums);
    for (int j = n; j < imin(end, n + 8 * panels); j += 4) {
      f32x4 v = bias ? add(sums[(j - n) / 4], load(bias + j)) : sums[(j - n) / 4];
      if (R) v = add(v, load_n(R + j, end - j));
      store_n(C + j, clamp(v, lo, hi), end - j);
    }
  }
}

// C[M][N] = act(A B + bias + res), A at strides am, ak, B in panels; bias [N rounded up to 8] or 0. Only the columns of
// the panels [mine.from, mine.to).
static void multiply(const float *A, int am, int ak, const float *B, const float *bias, const float *res, float *C,
                     int M, int N, int K, Activation act, Share mine) {
  Tile t = {.am = am, .ak = ak, .K = K, .ldc = N, .bias_kind = bias ? BIAS_COLUMN : BIAS_NONE,
            .lo = act_lo(act), .hi = act_hi(act)};
  int first = 8 * mine.from, end = imin(N, 8 * mine.to);
  if (M == 1 && ak == 1) one_row(A, B, bias, res, C, first, end, K, t.lo, t.hi);
  else for (int n = first; n < end; n += 8) {
    int columns = imin(8, N - n);
    t.bias = bias + n;
    t.B = B + n * K;
    for (int m = 0, r; m < M; m += r) {
      r = block_rows(M, m);
      t.A = A + m * am;
      t.C = C + m * N + n;
      t.R = res ? res + m * N + n : 0;
      if (columns == 8) tile(r, 0, &t);
      else tile_partial(r, columns, 0, &t);
    }
  }
  if (act.kind) for (int m = 0; m < M; m++) unary_span(C + m * N + first, C + m * N + first, end - first, act);
}

// y[M][N] = act(x[M][K] w + bias + res); w packed by pack_columns, bias padded to a multiple of 8 with any values.
typedef struct { const float *x, *w, *bias, *res; float *y; int M, N, K; Activation act; } Fc;
KERNEL(fc, Fc) {
  multiply(a->x, a->K, 1, a->w, a->bias, a->res, a->y, a->M, a->N, a->K, a->act,
           share((a->N + 7) / 8, part, parts));
  return 0;
}

// y[b] = A[b] B[b] for every b; at[b] and bt[b] are element offsets, so that either side broadcasts.
// A at strides am, ak; B at strides bk, bn. Parts share the batch, or the columns where it is 1; panels: K * ceil8(N)
// floats, for each part where the batch is more than 1.
typedef struct {
  const float *A, *B;
  float *y, *panels;
  const int *at, *bt;
  int batch, M, N, K, am, ak, bk, bn;
} MatMul;
KERNEL(matmul, MatMul) {
  Activation none = {0, -__builtin_inff(), __builtin_inff(), 0};
  int eighths = (a->N + 7) / 8, alone = a->batch == 1;
  Share my = alone ? (Share){0, 1} : share(a->batch, part, parts), columns = alone ? share(eighths, part, parts) : (Share){0, eighths};
  float *panels = a->panels + (alone ? 0 : part * eighths * 8 * a->K);
  int first = 8 * columns.from, count = imin(a->N, 8 * columns.to) - first;
  for (int b = my.from; b < my.to; b++) {
    if (b == my.from || a->bt[b] != a->bt[b - 1])
      pack(a->B + a->bt[b] + first * a->bn, panels + first * a->K, a->K, count, a->bk, a->bn);
    multiply(a->A + a->at[b], a->am, a->ak, panels, 0, 0, a->y + b * a->M * a->N, a->M, a->N, a->K, none, columns);
  }
  return 0;
}
