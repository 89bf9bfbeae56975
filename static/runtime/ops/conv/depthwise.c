// Depthwise convolution on blocked pictures: four channels at a time, a run of up to eight pixels of a row in registers.
#include "../../wasm/blocked.h"

// y[n][c] = act(conv(x[n][c], w[c]) + bias + res); w from pack_blocks with B = 4, bias padded to 4. A plane is first
// copied into a border of zeros at `padded` (PH * PW pixels for each part), or read where it is (padded = 0): then rows of
// taps outside it are left out, and columns read as zeros where they are one at most, else left out one by one, which only
// squares of 3 and 5 with sw < 3 and no dilation know how to do. by_rows: parts share the rows of every plane instead of the planes.
typedef struct {
  const float *x, *w, *bias, *res;
  float *y, *padded;
  int N, C, H, W, OH, OW, kh, kw, sh, sw, dh, dw, top, left, PH, PW, by_rows;
  Activation act;
} Depthwise;

enum { PIXELS = 8, BAND = 3000 }; // pixels in registers; floats of rows in a first-level cache

// What one row of taps adds to TX neighbouring results. Three taps take each pixel once. So do five where there are PIXELS
// results; fewer would wait for themselves: then pixels are read once for each tap. Pixels KS apart follow one another, so
// that a sum waits for others before its own next product. keep: masks of the first and the last pixel of three taps.
INLINE void row(const int KS, const int S, const int TX, const float *x, const float *w, const f32x4 *keep, f32x4 *acc) {
  const int once = KS == 3 || TX == PIXELS;
  f32x4 k[KS];
  UNROLL for (int j = 0; j < KS; j++) {
    k[j] = load(w + 4 * j);
    if (!once) UNROLL for (int i = 0; i < TX; i++) {
      acc[i] = madd(acc[i], load(x + 4 * (i * S + j)), k[j]);
      ORDER(acc[i]);
    }
  }
  if (once) UNROLL for (int first = 0; first < KS; first++) UNROLL for (int i = first; i < (TX - 1) * S + KS; i += KS) {
    f32x4 v = load(x + 4 * i);
    if (KS == 3 && i == 0) v = wasm_v128_and(v, keep[0]);
    if (KS == 3 && i == (TX - 1) * S + 2) v = wasm_v128_and(v, keep[1]);
    UNROLL for (int j = 0; j < KS; j++)
      if (i >= j && (i - j) % S == 0 && (i - j) / S < TX) {
        acc[(i - j) / S] = madd(acc[(i - j) / S], v, k[j]);
        ORDER(acc[(i - j) / S]);
      }
  }
}
// All rows of taps. A loop over them costs registers their places: where pieces are long, three rows do without.
INLINE void run(const int KS, const int S, const int TX, const float *x, int pitch, int rows, const float *w, const f32x4 *keep,
                f32x4 *acc) {
  if (KS == 3 && TX > 5 && rows == 3) UNROLL for (int r = 0; r < 3; r++) row(KS, S, TX, x + r * pitch, w + 4 * KS * r, keep, acc);
  else for (; rows; rows--, x += pitch, w += 4 * KS) row(KS, S, TX, x, w, keep, acc);
}

// `lines` rows of results below one another, of which columns [x0, x1) have all their taps: those are cut into `per` pieces,
// the first `big` of them of small + 1 pixels. `before`, `after`: three taps of the first or the last column reach one pixel
// over the edge, which counts as zero. x: column 0 of the first row of taps.
typedef struct {
  const float *x, *w, *bias, *res;
  float *y;
  int pitch, rows, per, small, big, lines, step, next, x0, x1, before, after, OW, left, W;
  const Activation *act;
} Rows;
INLINE void finish(const int TX, f32x4 *acc, const float *res, float *y, const Activation *act) {
  if (res) UNROLL for (int i = 0; i < TX; i++) acc[i] = add(acc[i], load(res + 4 * i));
  end_vectors(TX, acc, act);
  UNROLL for (int i = 0; i < TX; i++) store(y + 4 * i, acc[i]);
}
#define PIECE(n) \
  case n: \
    for (int left = r->lines; left; left--, x += r->step, y += r->next, res = res ? res + r->next : 0) { \
      f32x4 acc[n]; \
      UNROLL for (int i = 0; i < n; i++) acc[i] = bias; \
      run(KS, S, n, x, r->pitch, r->rows, r->w, keep, acc); \
      finish(n, acc, res, y, r->act); \
    } \
    break;
// The columns whose taps reach over the edge.
INLINE void edges(const int KS, const int S, const Rows *r) {
  for (int ox = r->x0 ? 0 : r->x1; ox < r->OW; ox = ox + 1 == r->x0 ? r->x1 : ox + 1) {
    int first = ox * S - r->left, j0 = imax(0, -first), j1 = imin(KS, r->W - first), at = 4 * ox;
    const float *x = r->x + 4 * first;
    for (int l = r->lines; l; l--, x += r->step, at += r->next) {
      f32x4 sum[2] = {load(r->bias), splat(0.f)};
      for (int p = 0; p < r->rows; p++)
        UNROLL for (int j = 0; j < KS; j++)
          if (j >= j0 && j < j1) sum[j & 1] = madd(sum[j & 1], load(x + p * r->pitch + 4 * j), load(r->w + 4 * (p * KS + j)));
      sum[0] = add(sum[0], sum[1]);
      finish(1, sum, r->res ? r->res + at : 0, r->y + at, r->act);
    }
  }
}
INLINE void lines(const int KS, const int S, const Rows *r) {
  f32x4 bias = load(r->bias);
  for (int i = 0, at = r->x0, n; i < r->per; i++, at += n) {
    const float *x = r->x + 4 * (S * at - r->left), *res = r->res ? r->res + 4 * at : 0;
    float *y = r->y + 4 * at;
    f32x4 keep[2] = {isplat(r->before && i == 0 ? 0 : -1), isplat(r->after && i == r->per - 1 ? 0 : -1)};
    n = r->small + (i < r->big);
    switch (n) {
      PIECE(1)
      PIECE(2)
      PIECE(3)
      PIECE(4)
      PIECE(5)
      PIECE(6)
      PIECE(7)
      PIECE(8)
    }
  }
  edges(KS, S, r);
}

static void lines31(const Rows *r) { lines(3, 1, r); }
static void lines32(const Rows *r) { lines(3, 2, r); }
static void lines51(const Rows *r) { lines(5, 1, r); }
static void lines52(const Rows *r) { lines(5, 2, r); }
typedef void (*Lines)(const Rows *);
static Lines lines_of(const Depthwise *a) {
  if (a->dh != 1 || a->dw != 1 || a->kh != a->kw) return 0;
  if (a->kh == 3) return a->sw == 1 ? lines31 : a->sw == 2 ? lines32 : 0;
  if (a->kh == 5) return a->sw == 1 ? lines51 : a->sw == 2 ? lines52 : 0;
  return 0;
}

INLINE void cut(Rows *r, int from, int to) {
  int count = to - from;
  r->x0 = from, r->x1 = to;
  r->per = (count + PIXELS - 1) / PIXELS;
  r->small = r->per ? count / r->per : 0;
  r->big = r->per ? count % r->per : 0;
}
// From the padded copy, which a first-level cache holds: piece after piece, each from top to bottom.
static void small_plane(Lines lines, const Depthwise *a, const float *x, Rows r, Share my) {
  r.pitch = 4 * a->PW, r.step = a->sh * r.pitch, r.x = x + my.from * r.step, r.rows = a->kh, r.lines = my.to - my.from, r.left = 0;
  cut(&r, 0, a->OW);
  lines(&r);
}
// From the picture itself: bands of rows that a first-level cache holds, the clipped ones one by one.
static void large_plane(Lines lines, const Depthwise *a, const float *x, Rows r, Share my) {
  const int KS = a->kw, S = a->sw, band = imax(1, BAND / (4 * a->W * a->sh));
  int x0 = imin(a->OW, (a->left + S - 1) / S), x1 = imax(x0, imin(a->OW, (a->W - KS + a->left) / S + 1));
  int over = (a->OW - 1) * S + KS - a->left - a->W;
  if (KS == 3 && a->left < 2 && over < 2) x0 = 0, x1 = a->OW, r.before = a->left, r.after = over > 0;
  int whole = imin(my.to, imax(0, (a->H - KS + a->top) / a->sh + 1)); // rows of results below have taps past the plane
  const float *w = r.w;
  r.pitch = 4 * a->W, r.step = a->sh * r.pitch, r.left = a->left, r.W = a->W;
  cut(&r, x0, x1);
  for (int oy = my.from; oy < my.to; oy += r.lines, r.y += r.lines * r.next, r.res = r.res ? r.res + r.lines * r.next : 0) {
    int first = oy * a->sh - a->top, r0 = imax(0, -first), r1 = imax(r0, imin(KS, a->H - first));
    r.lines = r0 == 0 && r1 == KS ? imax(1, imin(band, whole - oy)) : 1;
    r.rows = r1 - r0;
    r.w = w + 4 * r0 * KS;
    r.x = x + (first + r0) * r.pitch;
    lines(&r);
  }
}

// Any window, from the padded copy.
static void any_plane(const Depthwise *a, const float *x, const Rows *rows, Share my) {
  const float *w = rows->w, *bias = rows->bias, *res = rows->res;
  for (int oy = my.from; oy < my.to; oy++)
    for (int ox = 0; ox < a->OW; ox += 4) {
      int n = imin(4, a->OW - ox), at = 4 * ((oy - my.from) * a->OW + ox);
      const float *p = x + 4 * (oy * a->sh * a->PW + ox * a->sw);
      f32x4 acc[4];
      UNROLL for (int i = 0; i < 4; i++) acc[i] = load(bias);
      for (int r = 0; r < a->kh; r++)
        for (int s = 0; s < a->kw; s++) {
          f32x4 k = load(w + 4 * (r * a->kw + s));
          const float *v = p + 4 * (r * a->dh * a->PW + s * a->dw);
          UNROLL for (int i = 0; i < 4; i++) acc[i] = madd(acc[i], load(v + (i < n ? 4 * i * a->sw : 0)), k);
        }
      for (int i = 0; i < n; i++) finish(1, acc + i, res ? res + at + 4 * i : 0, rows->y + at + 4 * i, rows->act);
    }
}

// Rows [from, to) of the copy: what there is of the plane in its middle, whose border is zero already.
static const float *pad_plane(const Depthwise *a, const float *x, float *padded, int from, int to) {
  int first = imax(from - a->top, 0), last = imin(to - a->top, a->H), columns = imin(a->W, a->PW - a->left);
  float *y = padded + 4 * ((first + a->top) * a->PW + a->left);
  x += 4 * first * a->W;
  for (int r = first; r < last; r++, x += 4 * a->W, y += 4 * a->PW)
    for (int i = 0; i < columns; i++) store(y + 4 * i, load(x + 4 * i));
  return padded;
}

KERNEL(depthwise, Depthwise) {
  int blocks = (a->C + 3) / 4, taps = a->kh * a->kw, P4 = 4 * a->OH * a->OW;
  Lines square = lines_of(a);
  Activation act = prepared(a->act);
  Share all = {0, a->N * blocks}, my = a->by_rows ? all : share(all.to, part, parts);
  Share rows = a->by_rows ? share(a->OH, part, parts) : (Share){0, a->OH};
  if (rows.from == rows.to) return 0;
  int top = rows.from * a->sh, bottom = (rows.to - 1) * a->sh + (a->kh - 1) * a->dh + 1, at = 4 * rows.from * a->OW;
  float *padded = a->padded + part * a->PH * a->PW * 4;
  if (a->padded) for (int i = top * a->PW; i < bottom * a->PW; i++) store(padded + 4 * i, splat(0.f));
  for (int u = my.from; u < my.to; u++) {
    const float *x = a->x + u * a->H * a->W * 4, *res = a->res ? a->res + u * P4 + at : 0;
    const float *w = a->w + u % blocks * taps * 4, *bias = a->bias + u % blocks * 4;
    float *y = a->y + u * P4 + at;
    if (a->padded) x = pad_plane(a, x, padded, top, bottom);
    Rows r = {.w = w, .bias = bias, .res = res, .y = y, .next = 4 * a->OW, .OW = a->OW, .act = &act};
    if (!square) any_plane(a, x, &r, rows);
    else if (a->padded) small_plane(square, a, x, r, rows);
    else large_plane(square, a, x, r, rows);
    if (!ends_in_registers(&a->act)) unary_span(y, y, 4 * a->OW * (rows.to - rows.from), a->act);
  }
  return 0;
}
