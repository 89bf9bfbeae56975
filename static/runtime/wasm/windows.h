// Convolutions on int8 by products: what their kernels are told, and where windows lie. Pictures [N][H][W][C].
#pragma once
#include "requant.h"

// Narrow: weights within -63..63 and pixels within 0..127. Then four products fit into 16 bits, and relaxed SIMD
// multiplies bytes. The numbers are the same.
#ifdef __wasm_relaxed_simd__
enum { NARROW = 1 };
#else
enum { NARROW = 0 };
#endif

// src [groups][O][K], 1 or 2 bytes -> dst [groups][O/8][K/2][8][2] in 16 bits; past O and K zeros, K rounded up to 8.
// Narrow: bytes, see narrow.c; 1, or 2 where pixels may be taken one at a time with 32 channels.
typedef struct { const void *src; int16_t *dst; int groups, O, K, bytes, narrow; } PackInt8;
void pack_narrow(const PackInt8 *a);

// y = end(scale * (conv(x, w) + bias)): x [N][PH][PW][C] with its border, of 1 or 2 bytes; w from pack_int8; scale and
// bias per channel, 8 spare at the end. Each part has `panel`: strip pixels of K (rounded up to 8) 16-bit numbers, and as many for ROWS more.
typedef struct {
  const void *x; const int16_t *w; const float *scale; const int *bias; const int8_t *res; int8_t *y; int16_t *panel;
  int N, C, PH, PW, O, OH, OW, kh, kw, sh, sw, dh, dw, groups, strip, bytes, panel_bytes, narrow;
  Ending end;
} ConvInt8;

// The windows of pixel after pixel: where each begins in x. No division per pixel.
typedef struct { int image, oy, ox; } Place;
INLINE Place place(const ConvInt8 *a, int pixel) {
  return (Place){pixel / (a->OH * a->OW), pixel / a->OW % a->OH, pixel % a->OW};
}
INLINE const char *window_at(const ConvInt8 *a, Place at, int channel) {
  return (const char *)a->x + (((at.image * a->PH + at.oy * a->sh) * a->PW + at.ox * a->sw) * a->C + channel) * a->bytes;
}
INLINE void step(const ConvInt8 *a, Place *at) {
  if (++at->ox < a->OW) return;
  at->ox = 0;
  if (++at->oy < a->OH) return;
  at->oy = 0;
  at->image++;
}

// Whether every pixel is a window, one after another.
INLINE int is_row(const ConvInt8 *a) { return a->kh * a->kw * a->sh * a->sw * a->groups == 1; }

// The pixels from p on, n of them, of one group.
void strip_narrow(const ConvInt8 *a, int group, int p, int n, int8_t *panel, const Rounder *r);
