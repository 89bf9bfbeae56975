// 1x1 convolution on blocked pictures by Strassen's way in Winograd's form: pixels, channels in and channels out are cut in
// halves, and seven products of sums of the parts do for eight products of the parts (Strassen, "Gaussian Elimination is
// not Optimal", 1969). A1, A2: two runs of pixels; A11: the first half of the channels of A1, A12 the second.
#include "../../wasm/blocked.h"

enum { PRODUCTS = 7 };

// src[o][i] -> dst[PRODUCTS][O/16][I/2][8]: what the sums of pixels are multiplied by, in the order of the products below.
typedef struct { const float *src; float *dst; int O, I; } PackStrassen;
KERNEL(pack_strassen, PackStrassen) {
  int K = a->I / 2, O = a->O / 2, size = O * K;
  for (int o = 0; o < O; o++)
    for (int k = 0; k < K; k++) {
      const float *p = a->src + o * a->I + k, *q = p + O * a->I;
      float b11 = p[0], b21 = p[K], b12 = q[0], b22 = q[K], t1 = b12 - b11, t2 = b22 - t1;
      float all[PRODUCTS] = {b11, t2, t1, b22 - b12, b21, b22, b21 - t2}, *d = a->dst + (o / 8 * K + k) * 8 + o % 8;
      for (int t = 0; t < PRODUCTS; t++) d[t * size] = all[t];
    }
  return 0;
}

// y = act(conv(x, w) + bias + res), pictures of P pixels; C a multiple of 8, O of 16. Groups of pixels are as even as can be
// and each is cut in two runs of `half` at most; where a group is odd, its middle pixel is in both. Parts share the groups or,
// `across`, the channels of results. sums: for each part 7 * half * C/2 floats; room: 4 * half * O/2, `across` for all parts
// together, else for each.
typedef struct {
  const float *x, *w, *bias, *zeros, *res;
  float *y, *sums, *room;
  int N, C, O, P, half, across;
  Activation act;
} Strassen;

// s[PRODUCTS][C/8][n][4] of the pixels from p and from q.
static void sums_in(const float *p, const float *q, float *s, int blocks, int xc, int n) {
  int plane = 4 * n * blocks, other = blocks * xc;
  for (int c = 0; c < blocks; c++, p += xc, q += xc)
    for (int i = 0; i < 4 * n; i += 4, s += 4) {
      f32x4 a11 = load(p + i), a12 = load(p + other + i), a21 = load(q + i), a22 = load(q + other + i);
      f32x4 s1 = add(a21, a22), s2 = sub(s1, a11);
      store(s, a11), store(s + plane, s2), store(s + 2 * plane, s1), store(s + 3 * plane, sub(a11, a21));
      store(s + 4 * plane, a12), store(s + 5 * plane, sub(a12, s2)), store(s + 6 * plane, a22);
    }
}

// Where a product goes, and what is added to it.
typedef struct { const float *bias, *res; float *y; int rc, yc; } Target;

// Of the sums number t, n pixels, with the channels from `first` on of a half.
static void product(const Strassen *a, int t, const float *s, int n, Share channels, Target to, Activation act) {
  static const int origin = 0;
  int K = a->C / 2;
  ConvBlocked one = {.x = s + t * n * K, .w = a->w + (t * a->O / 2 + channels.from) * K, .bias = to.bias, .res = to.res, .y = to.y,
                     .taps = &origin, .N = 1, .T = 1, .K = K, .O = channels.to - channels.from, .OH = 1, .OW = n, .xc = 4 * n,
                     .yc = to.yc, .rc = to.rc, .act = act};
  conv_blocked(&one, 0, 1);
}

// The second channels of the second run, y = act(m3 + (m4 - m2) + bias); and what is left of res to the other products.
static void sums_out(const Strassen *a, const float *bias, const float *res[4], float *m[4], float *y, int blocks, int n) {
  int P4 = 4 * a->P;
  Activation act = prepared(a->act);
  for (int b = 0; b < blocks; b++) {
    f32x4 start = load(bias + 4 * b);
    for (int i = 0; i < 4 * n; i += 4) {
      int at = b * 4 * n + i, out = b * P4 + i;
      f32x4 v = add(add(load(m[3] + at), sub(load(m[2] + at), load(m[1] + at))), start);
      if (res[0]) {
        v = add(v, load(res[3] + out));
        store(m[0] + at, add(load(m[0] + at), load(res[0] + out)));
        store(m[2] + at, add(load(m[2] + at), load(res[1] + out)));
        store(m[3] + at, add(load(m[3] + at), load(res[2] + out)));
      }
      end_vectors(1, &v, &act);
      store(y + out, v);
    }
    if (!ends_in_registers(&a->act)) unary_span(y + b * P4, y + b * P4, 4 * n, a->act);
  }
}

static void group(const Strassen *a, int image, int first, int pixels, Share channels, float *s, float *room) {
  int n = (pixels + 1) / 2, P4 = 4 * a->P, K = a->C / 2, half = a->O / 2, count = (channels.to - channels.from) * n;
  const float *x = a->x + image * a->C * a->P + 4 * first;
  Activation none = {0, -__builtin_inff(), __builtin_inff(), 0};
  float *m[4], *y[4];
  const float *res[4], *b1 = a->bias + channels.from, *b2 = b1 + half;
  for (int i = 0; i < 4; i++) {
    int at = image * a->O * a->P + (channels.from + i % 2 * half) * a->P + 4 * (first + i / 2 * (pixels - n));
    m[i] = room + i * count;
    y[i] = a->y + at, res[i] = a->res ? a->res + at : 0;
  }
  sums_in(x, x + 4 * (pixels - n), s, K / 4, P4, n);
  product(a, 0, s, n, channels, (Target){a->zeros, 0, m[0], 0, 4 * n}, none);
  product(a, 1, s, n, channels, (Target){a->zeros, m[0], m[1], 4 * n, 4 * n}, none);
  product(a, 2, s, n, channels, (Target){a->zeros, m[1], m[2], 4 * n, 4 * n}, none);
  product(a, 3, s, n, channels, (Target){a->zeros, m[1], m[3], 4 * n, 4 * n}, none);
  sums_out(a, b2, res, m, y[3], (channels.to - channels.from) / 4, n);
  product(a, 4, s, n, channels, (Target){b1, m[0], y[0], 4 * n, P4}, a->act);
  product(a, 5, s, n, channels, (Target){b2, m[2], y[1], 4 * n, P4}, a->act);
  product(a, 6, s, n, channels, (Target){b1, m[3], y[2], 4 * n, P4}, a->act);
}

KERNEL(conv_strassen, Strassen) {
  int groups = (a->P + 2 * a->half - 1) / (2 * a->half), eighths = a->O / 16, all = a->N * groups;
  Share my = a->across ? (Share){0, all} : share(all, part, parts), panels = a->across ? share(eighths, part, parts) : (Share){0, eighths};
  Share channels = {8 * panels.from, 8 * panels.to};
  float *sums = a->sums + part * PRODUCTS * a->half * a->C / 2, *room = a->room + 4 * a->half * (a->across ? channels.from : part * a->O / 2);
  for (int u = my.from; u < my.to && channels.from < channels.to; u++) {
    Share pixels = share(a->P, u % groups, groups);
    group(a, u / groups, pixels.from, pixels.to - pixels.from, channels, sums, room);
  }
  return 0;
}
