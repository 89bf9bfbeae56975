// The register tile of every matrix product: up to 5 rows x 8 columns, 10 accumulators. With two of B, a splat of A and
// a product that makes 14 of the 15 registers that V8 has to give; a sixth row spills and costs a third of the speed.
//   C[m][j] = clamp(sum_k A[m*am + k*ak] * B[k][j] + start, lo, hi)
// B is a panel [K][8]. start is a bias per row (BIAS_ROW), per column (BIAS_COLUMN) or 0, plus a residual R of C's shape.
#pragma once
#include "simd.h"

enum { TILE_ROWS = 5, TILE_COLUMNS = 8 };
enum { RUN = 128 }; // products added up before they join the sum: rounding grows with the longer of the two chains
enum { BIAS_NONE = 0, BIAS_ROW = 1, BIAS_COLUMN = 2 };

typedef struct {
  const float *A, *B, *bias, *R;
  float *C;
  int am, ak, K, ldc, bias_kind;
  f32x4 lo, hi;
} Tile;

INLINE void tile_product(const int MR, const int am, f32x4 (*acc)[2], const float *A, const float *B) {
  f32x4 b0 = load(B), b1 = load(B + 4);
  UNROLL for (int m = 0; m < MR; m++) {
    f32x4 x = load_splat(A + m * am);
    acc[m][0] = madd(acc[m][0], x, b0);
    ORDER(acc[m][0]);
    acc[m][1] = madd(acc[m][1], x, b1);
    ORDER(acc[m][1]);
  }
}
INLINE void tile_rows(const int MR, const int am, const int ak, const Tile *t) {
  f32x4 acc[TILE_ROWS][2];
  if (t->bias_kind == BIAS_COLUMN) {
    f32x4 b0 = load(t->bias), b1 = load(t->bias + 4);
    UNROLL for (int m = 0; m < MR; m++) acc[m][0] = b0, acc[m][1] = b1;
  } else if (t->bias_kind == BIAS_ROW) {
    UNROLL for (int m = 0; m < MR; m++) acc[m][0] = acc[m][1] = load_splat(t->bias + m);
  } else {
    UNROLL for (int m = 0; m < MR; m++) acc[m][0] = acc[m][1] = splat(0.f);
  }
  const float *A = t->A, *B = t->B;
  f32x4 sum[TILE_ROWS][2];
  for (int left = t->K; left > 0; left -= RUN) {
    if (left != t->K) {
      UNROLL for (int m = 0; m < MR; m++) UNROLL for (int j = 0; j < 2; j++)
        sum[m][j] = left + RUN == t->K ? acc[m][j] : add(sum[m][j], acc[m][j]), acc[m][j] = splat(0.f);
      __asm__ volatile("" : : "r"(sum) : "memory"); // kept in memory: registers are for the sums at hand
    }
    for (int k = imin(left, RUN); k; k--, A += ak, B += TILE_COLUMNS) tile_product(MR, am, acc, A, B);
  }
  if (t->K > RUN) UNROLL for (int m = 0; m < MR; m++) UNROLL for (int j = 0; j < 2; j++) acc[m][j] = add(acc[m][j], sum[m][j]);
  const float *R = t->R;
  float *C = t->C;
  UNROLL for (int m = 0; m < MR; m++, C += t->ldc) {
    if (R) {
      acc[m][0] = add(acc[m][0], load(R));
      acc[m][1] = add(acc[m][1], load(R + 4));
      R += t->ldc;
    }
    store(C, clamp(acc[m][0], t->lo, t->hi));
    store(C + 4, clamp(acc[m][1], t->lo, t->hi));
  }
}

// Rows packed side by side ([K][rows], as pack_rows makes them), or at any two strides.
INLINE void tile(int rows, int packed, const Tile *t) {
  int am = t->am, ak = t->ak;
  switch (packed ? rows : rows + TILE_ROWS) {
    case 1: tile_rows(1, 1, 1, t); break;
    case 2: tile_rows(2, 1, 2, t); break;
    case 3: tile_rows(3, 1, 3, t); break;
    case 4: tile_rows(4, 1, 4, t); break;
    case 5: tile_rows(5, 1, 5, t); break;
    case 6: tile_rows(1, am, ak, t); break;
    case 7: tile_rows(2, am, ak, t); break;
    case 8: tile_rows(3, am, ak, t); break;
    case 9: tile_rows(4, am, ak, t); break;
    case 10: tile_rows(5, am, ak, t); break;
  }
}

// The same with only `columns` of the 8 wanted: a whole tile on the side, then a copy.
INLINE void tile_partial(int rows, int columns, int packed, const Tile *t) {
  float C[TILE_ROWS * TILE_COLUMNS], R[TILE_ROWS * TILE_COLUMNS] = {0};
  Tile side = *t;
  if (t->R) for (int m = 0; m < rows; m++) for (int j = 0; j < columns; j++) R[m * 8 + j] = t->R[m * t->ldc + j];
  side.R = t->R ? R : 0;
  side.C = C;
  side.ldc = TILE_COLUMNS;
  tile(rows, packed, &side);
  for (int m = 0; m < rows; m++) for (int j = 0; j < columns; j++) t->C[m * t->ldc + j] = C[m * 8 + j];
}

// The next panels of columns for one row x[K]: how many of the `columns` (in eights) were taken, two vectors of sums for each.
// Defined in ops/matmul.
enum { ROW_PANELS = 4 };
int row_panels(const float *x, const float *B, int K, int columns, f32x4 *sums);

// Row blocks as even as can be, none over TILE_ROWS: the size of the block that starts at row m of M.
INLINE int block_rows(int M, int m) {
  int blocks = (M + TILE_ROWS - 1) / TILE_ROWS, small = M / blocks, big = M % blocks;
  return m < big * (small + 1) ? small + 1 : small;
}
