// 3x3 convolution of stride 1 on blocked pictures by Winograd's F(2x2, 3x3): the sums of a window's pixels times the sums of
// its weights make four results from 16 products instead of 36 (Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks", 2015). Tiles of 4x4 pixels overlap by two; their sums are what conv_blocked multiplies, sum by sum.
#include "../../wasm/blocked.h"

enum { SUMS = 16, GROUP = 48, LINE = 4 * GROUP + 4, NEAR_ROOM = 40000 };

// src[o][i][3][3] -> dst[SUMS][ceil(O/8)][i][8], lanes past O are 0.
typedef struct { const float *src; float *dst; int O, I; } PackWinograd;
static void weight_sums(const float *g, int step, float *to, int next) {
  float outer = g[0] + g[2 * step], inner = g[step];
  to[0] = g[0], to[next] = (outer + inner) * 0.5f, to[2 * next] = (outer - inner) * 0.5f, to[3 * next] = g[2 * step];
}
KERNEL(pack_winograd, PackWinograd) {
  int lanes = (a->O + 7) / 8 * 8, size = lanes * a->I;
  for (int o = 0; o < lanes; o++)
    for (int i = 0; i < a->I; i++) {
      float half[12], all[SUMS] = {0};
      if (o < a->O) {
        for (int c = 0; c < 3; c++) weight_sums(a->src + (o * a->I + i) * 9 + c, 3, half + c, 3);
        for (int r = 0; r < 4; r++) weight_sums(half + 3 * r, 1, all + 4 * r, 1);
      }
      for (int t = 0; t < SUMS; t++) a->dst[t * size + (o / 8 * a->I + i) * 8 + o % 8] = all[t];
    }
  return 0;
}

// y = act(conv(x, w) + bias + res). x: with its border, for an even number of rows and columns of results; xn, xc, xrow: floats
// from picture to picture, from one block of channels to the next, and from row to row. w from pack_winograd; bias and
// zeros padded to 8. room: for each part [blocks of C][SUMS][LINE] floats and [SUMS][blocks of O][GROUP][4].
typedef struct {
  const float *x, *w, *bias, *zeros, *res;
  float *y, *room;
  int N, C, O, OH, OW, xn, xc, xrow;
  Activation act;
} Winograd;

INLINE void column_sums(const float *x, int row, f32x4 *v) {
  f32x4 d1 = load(x + row), d2 = load(x + 2 * row);
  v[0] = sub(load(x), d2), v[1] = add(d1, d2), v[2] = sub(d2, d1), v[3] = sub(d1, load(x + 3 * row));
}
// The sums of `count` tiles side by side, of one block of channels.
static void sums_in(const float *x, int row, float *v, int count) {
  f32x4 p[4], q[4], r[4], s[4];
  column_sums(x, row, p), column_sums(x + 4, row, q);
  for (; count; count--, v += 4) {
    x += 8;
    column_sums(x, row, r), column_sums(x + 4, row, s);
    UNROLL for (int i = 0; i < 4; i++) {
      float *to = v + 4 * i * LINE;
      store(to, sub(p[i], r[i])), store(to + LINE, add(q[i], r[i]));
      store(to + 2 * LINE, sub(r[i], q[i])), store(to + 3 * LINE, sub(q[i], s[i]));
      p[i] = r[i], q[i] = s[i];
    }
  }
}

// Results of `count` tiles side by side, of one block of channels: `rows` rows of `columns` pixels.
INLINE void sums_out(const Winograd *a, const float *m, int plane, const float *res, float *y, int rows, int columns) {
  int down = 4 * a->OW;
  Activation act = prepared(a->act);
  for (; columns > 0; columns -= 2, m += 4, y += 8, res = res ? res + 8 : 0) {
    f32x4 p[4], q[4];
    UNROLL for (int i = 0; i < 4; i++) {
      const float *at = m + i * plane;
      f32x4 m1 = load(at + 4 * plane), m2 = load(at + 8 * plane);
      p[i] = add(add(load(at), m1), m2), q[i] = sub(sub(m1, m2), load(at + 12 * plane));
    }
    f32x4 v[4] = {add(add(p[0], p[1]), p[2]), sub(sub(p[1], p[2]), p[3]), add(add(q[0], q[1]), q[2]), sub(sub(q[1], q[2]), q[3])};
    UNROLL for (int i = 0; i < 4; i++)
      if (res && i / 2 < rows && i % 2 < columns) v[i] = add(v[i], load(res + i / 2 * down + i % 2 * 4));
    end_vectors(4, v, &act);
    UNROLL for (int i = 0; i < 4; i++) if (i / 2 < rows && i % 2 < columns) store(y + i / 2 * down + i % 2 * 4, v[i]);
  }
}

// A run of tiles within a row of them.
typedef struct { int image, row, at, count; } Run;
INLINE Run run_from(const Winograd *a, int u, int last) {
  int TW = (a->OW + 1) / 2, TH = (a->OH + 1) / 2;
  return (Run){u / TW / TH, u / TW % TH, u % TW, imin(TW - u % TW, last - u)};
}

static void group_in(const Winograd *a, int first, int last, float *v) {
  for (int c = 0; c < (a->C + 3) / 4; c++, v += SUMS * LINE) {
    Run r;
    for (int u = first; u < last; u += r.count) {
      r = run_from(a, u, last);
      sums_in(a->x + r.image * a->xn + c * a->xc + 2 * r.row * a->xrow + 8 * r.at, a->xrow, v + 4 * (u - first), r.count);
    }
  }
}
static void group_out(const Winograd *a, int first, int last, const float *m) {
  int blocks = (a->O + 3) / 4, group = 4 * (last - first);
  for (int o = 0; o < blocks; o++, m += group) {
    Run r;
    for (int u = first; u < last; u += r.count) {
      r = run_from(a, u, last);
      int at = 4 * (((r.image * blocks + o) * a->OH + 2 * r.row) * a->OW + 2 * r.at), rows = imin(2, a->OH - 2 * r.row);
      int columns = imin(2 * r.count, a->OW - 2 * r.at);
      sums_out(a, m + 4 * (u - first), blocks * group, a->res ? a->res + at : 0, a->y + at, rows, columns);
      if (!ends_in_registers(&a->act))
        for (int i = 0; i < rows; i++) unary_span(a->y + at + 4 * i * a->OW, a->y + at + 4 * i * a->OW, 4 * columns, a->act);
    }
  }
}

KERNEL(conv_winograd, Winograd) {
  static const int origin = 0;
  int inner = (a->C + 3) / 4 * SUMS * LINE, outer = (a->O + 3) / 4 * SUMS * 4, size = (a->O + 7) / 8 * 8 * a->C;
  Share my = share(a->N * ((a->OH + 1) / 2) * ((a->OW + 1) / 2), part, parts);
  float *v = a->room + part * (inner + outer * GROUP), *m = v + inner;
  int most = imin(GROUP, imax(12, NEAR_ROOM / (4 * SUMS) / ((a->C + 3) / 4) / 6 * 6));
  for (int first = my.from, last; first < my.to; first = last) {
    last = imin(first + most, my.to);
    group_in(a, first, last, v);
    for (int t = 0; t < SUMS; t++) {
      ConvBlocked product = {.x = v + t * LINE, .w = a->w + t * size, .bias = t == 5 ? a->bias : a->zeros, .y = m + t * outer / SUMS * (last - first),
                             .taps = &origin, .N = 1, .T = 1, .K = a->C, .O = a->O, .OH = 1, .OW = last - first, .xc = SUMS * LINE, .yc = 4 * (last - first),
                             .act = {0, -__builtin_inff(), __builtin_inff(), 0}};
      conv_blocked(&product, 0, 1);
    }
    group_out(a, first, last, m);
  }
  return 0;
}
