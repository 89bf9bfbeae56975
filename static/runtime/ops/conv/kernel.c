// conv2d with any kernel, stride, dilation and groups, and the packing of its weights. Planes are row-major [N][C][H][W].
#include "../../wasm/simd.h"

enum { MAX_STRIP = 512 };

// src[group][m*ms + k*ks] -> dst: per group row blocks [K][rows], blocks as block_rows has them.
typedef struct { const float *src; float *dst; int groups, M, K, ms, ks, gs; } PackRows;
KERNEL(pack_rows, PackRows) {
  float *d = a->dst;
  for (int g = 0; g < a->groups; g++)
    for (int m = 0, rows; m < a->M; m += rows) {
      rows = block_rows(a->M, m);
      for (int k = 0; k < a->K; k++)
        for (int r = 0; r < rows; r++) *d++ = a->src[g * a->gs + (m + r) * a->ms + k * a->ks];
    }
  return 0;
}

// y = act(conv(x, w) + bias + res). w packed by pack_rows, per group [O/g][I/g*kh*kw]. One group of one image at a time:
// x is copied with its zero border to `padded` (0: there is no border), then strips of output pixels are gathered
// to panels [K][8] in `panels` (strip * K floats) and multiplied tile by tile.
// padded holds I/g * PH * PW floats, PH = H + top + bottom, PW = W + left + right; both scratch areas end in 64 spare bytes.
typedef struct {
  const float *x, *w, *bias, *res;
  float *y, *padded, *panels;
  int N, I, H, W, O, OH, OW, kh, kw, sh, sw, dh, dw, top, left, PH, PW, groups, strip;
  Activation act;
} Conv;

static void copy_padded(const float *x, float *y, int planes, int H, int W, int PH, int PW, int top, int left) {
  for (int c = 0; c < planes; c++)
    for (int r = 0; r < PH; r++, y += PW) {
      int row = r - top, i = 0;
      if (row < 0 || row >= H) {
        for (; i < PW; i++) y[i] = 0;
        continue;
      }
      const float *s = x + (c * H + row) * W;
      for (; i < left; i++) y[i] = 0;
      int n = imin(W, PW - left), j = 0;
      for (; j + 4 <= n; j += 4) store(y + left + j, load(s + j));
      for (; j < n; j++) y[left + j] = s[j];
      for (i = left + n; i < PW; i++) y[i] = 0;
    }
}

// Offsets into a padded plane of the pixels p0 .. p0+n (the last repeated up to a multiple of 8), and how each
// four of them lie: 1 side by side, 2 every other, 0 otherwise.
static void strip_offsets(const Conv *a, int p0, int n, int *offset, char *step) {
  int oy = p0 / a->OW, ox = p0 % a->OW;
  for (int i = 0; i < n; i++) {
    offset[i] = oy * a->sh * a->PW + ox * a->sw;
    if (++ox == a->OW) ox = 0, oy++;
  }
  for (int i = n; i & 7; i++) offset[i] = offset[n - 1];
  for (int i = 0; i < n; i += 4) {
    int d = offset[i + 1] - offset[i];
    int even = offset[i + 2] - offset[i] == 2 * d && offset[i + 3] - offset[i] == 3 * d;
    step[i / 4] = even && (d == 1 || d == 2) ? d : 0;
  }
}

INLINE f32x4 gather4(const float *x, const int *offset, int step) {
  if (step == 1) return load(x + offset[0]);
  if (step == 2) return wasm_i32x4_shuffle(load(x + offset[0]), load(x + offset[0] + 4), 0, 2, 4, 6);
  return wasm_f32x4_make(x[offset[0]], x[offset[1]], x[offset[2]], x[offset[3]]);
}

static void pack_panels(const Conv *a, const float *x, int channels, int n, const int *offset, const char *step) {
  int K = channels * a->kh * a->kw, k = 0;
  for (int c = 0; c < channels; c++)
    for (int r = 0; r < a->kh; r++)
      for (int s = 0; s < a->kw; s++, k++) {
        const float *base = x + (c * a->PH + r * a->dh) * a->PW + s * a->dw;
        float *d = a->panels + k * 8;
        for (int i = 0; i < n; i += 8, d += K * 8) {
          store(d, gather4(base, offset + i, step[i / 4]));
          store(d + 4, gather4(base, offset + i + 4, i + 4 < n ? step[i / 4 + 1] : 0));
        }
      }
}

static void multiply_strip(const Conv *a, Tile t, int M, int n, const float *bias, const float *res, float *y) {
  for (int m = 0, rows; m < M; m += rows, t.A += rows * t.K) {
    rows = block_rows(M, m);
    t.bias = bias + m;
    for (int i = 0; i < n; i += 8) {
      t.B = a->panels + i * t.K;
      t.C = y + m * t.ldc + i;
      t.R = res ? res + m * t.ldc + i : 0;
      if (i + 8 <= n) tile(rows, 1, &t);
      else tile_partial(rows, n - i, 1, &t);
    }
    if (a->act.kind)
      for (int r = 0; r < rows; r++) unary_span(y + (m + r) * t.ldc, y + (m + r) * t.ldc, n, a->act);
  }
}

KERNEL(conv, Conv) {
  int P = a->OH * a->OW, Ig = a->I / a->groups, Og = a->O / a->groups;
  int offset[MAX_STRIP];
  char step[MAX_STRIP / 4];
  Tile t = {.K = Ig * a->kh * a->kw, .ldc = P, .bias_kind = a->bias ? BIAS_ROW : BIAS_NONE,
            .lo = act_lo(a->act), .hi = act_hi(a->act)};
  for (int g = 0; g < a->N * a->groups; g++) {
    const float *x = a->x + g * Ig * a->H * a->W;
    if (a->padded) {
      copy_padded(x, a->padded, Ig, a->H, a->W, a->PH, a->PW, a->top, a->left);
      x = a->padded;
    }
    int out = g * Og * P, first = g % a->groups * Og;
    t.A = a->w + first * t.K;
    for (int p = 0; p < P; p += a->strip) {
      int n = imin(a->strip, P - p);
      strip_offsets(a, p, n, offset, step);
      pack_panels(a, x, Ig, n, offset, step);
      multiply_strip(a, t, Og, n, a->bias + first, a->res ? a->res + out + p : 0, a->y + out + p);
    }
  }
  return 0;
}

// y = act(sum of the overlapping kernels + bias): the columns of a transposed convolution, [N][C][kh*kw][H*W],
// added up to planes [N][C][OH][OW].
typedef struct {
  const float *columns, *bias;
  float *y;
  int N, C, H, W, OH, OW, kh, kw, sh, sw, dh, dw, top, left;
  Activation act;
} Fold;
static void fold_plane(const Fold *a, const float *x, float *y) {
  for (int r = 0; r < a->kh; r++)
    for (int s = 0; s < a->kw; s++)
      for (int h = 0; h < a->H; h++, x += a->W) {
        int oy = h * a->sh - a->top + r * a->dh, ox = s * a->dw - a->left;
        if (oy < 0 || oy >= a->OH) continue;
        float *row = y + oy * a->OW;
        for (int w = 0; w < a->W; w++, ox += a->sw)
          if (ox >= 0 && ox < a->OW) row[ox] += x[w];
      }
}
KERNEL(fold, Fold) {
  int P = a->OH * a->OW;
  f32x4 lo = act_lo(a->act), hi = act_hi(a->act);
  for (int c = 0; c < a->N * a->C; c++) {
    float *y = a->y + c * P;
    f32x4 b = splat(a->bias ? a->bias[c % a->C] : 0);
    for (int i = 0; i < P; i += 4) store_n(y + i, b, P - i);
    fold_plane(a, a->columns + c * a->kh * a->kw * a->H * a->W, y);
    if (a->act.kind) unary_span(y, y, P, a->act);
    else for (int i = 0; i < P; i += 4) store_n(y + i, clamp(load_n(y + i, P - i), lo, hi), P - i);
  }
  return 0;
}

// Reference of conv, depthwise and the fused tail: a scalar per output, weights [O][I/g][kh][kw] as in the model,
// sums in double. Only tests call it. It takes Conv's struct; padded, panels and strip are unused.
KERNEL(conv_reference, Conv) {
  int Ig = a->I / a->groups, Og = a->O / a->groups;
  for (int no = 0, p = 0; no < a->N * a->O; no++)
    for (int oy = 0; oy < a->OH; oy++)
      for (int ox = 0; ox < a->OW; ox++, p++) {
        int n = no / a->O, o = no % a->O;
        double acc = (a->bias ? a->bias[o] : 0) + (a->res ? a->res[p] : 0);
        for (int k = 0; k < Ig * a->kh * a->kw; k++) {
          int i = o / Og * Ig + k / (a->kh * a->kw), y = oy * a->sh - a->top + k / a->kw % a->kh * a->dh;
          int x = ox * a->sw - a->left + k % a->kw * a->dw;
          if (y < 0 || y >= a->H || x < 0 || x >= a->W) continue;
          acc += (double)a->w[o * Ig * a->kh * a->kw + k] * a->x[((n * a->I + i) * a->H + y) * a->W + x];
        }
        a->y[p] = (float)acc;
        unary_span(a->y + p, a->y + p, 1, a->act);
      }
  return 0;
}
