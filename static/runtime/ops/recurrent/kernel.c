// One layer of LSTM, GRU or plain RNN in one direction. The input's share of the gates is computed beforehand.
#include "../../wasm/simd.h"

enum { LSTM, GRU, RNN_TANH, RNN_RELU };

// given[T][B][gates*H] (+) w h + bias -> y[t*B + b][0..H) at `stride` floats, last states h[B][H], c[B][H].
// w is packed by pack_columns, bias padded to a multiple of 8; own: scratch of that size. h0 and c0 are the states to
// start with; c0 and c for LSTM alone. lengths (0: all T): past its length a sequence gives 0 and keeps its state.
typedef struct {
  const float *given, *w, *bias, *h0, *c0;
  const int *lengths;
  float *y, *h, *c, *own;
  int T, B, H, stride, mode, backwards;
} Recurrent;

// own[N] = w h + bias, N a multiple of 8.
static void product(const float *w, const float *h, const float *bias, float *own, int N, int H) {
  f32x4 sums[2 * ROW_PANELS];
  for (int n = 0, end; n < N; n = end) {
    end = n + 8 * row_panels(h, w + n * H, H, N - n, sums);
    for (int j = n; j < end; j += 4) store(own + j, add(sums[(j - n) / 4], load(bias + j)));
  }
}

// The new state of one sequence from its gates' shares x (input) and z (state).
static void step(int mode, const float *x, const float *z, float *h, float *c, int H) {
  for (int i = 0; i < H; i += 4) {
    int n = H - i;
#define GATE(p, k) load_n(p + k * H + i, n)
    f32x4 v = add(GATE(x, 0), GATE(z, 0));
    if (mode == LSTM) {
      f32x4 forget = v_sigmoid(add(GATE(x, 1), GATE(z, 1))), fresh = v_tanh(add(GATE(x, 2), GATE(z, 2)));
      f32x4 cell = madd(mul(v_sigmoid(v), fresh), forget, load_n(c + i, n));
      store_n(c + i, cell, n);
      v = mul(v_sigmoid(add(GATE(x, 3), GATE(z, 3))), v_tanh(cell));
    } else if (mode == GRU) {
      f32x4 keep = v_sigmoid(add(GATE(x, 1), GATE(z, 1))), fresh = v_tanh(madd(GATE(x, 2), v_sigmoid(v), GATE(z, 2)));
      v = madd(mul(sub(splat(1.f), keep), fresh), keep, load_n(h + i, n));
    } else {
      v = mode == RNN_TANH ? v_tanh(v) : max2(v, splat(0.f));
    }
    store_n(h + i, v, n);
  }
}

KERNEL(recurrent, Recurrent) {
  int H = a->H, gates = a->mode == LSTM ? 4 : a->mode == GRU ? 3 : 1, N = (gates * H + 7) / 8 * 8;
  __builtin_memcpy(a->h, a->h0, a->B * H * 4);
  if (a->mode == LSTM) __builtin_memcpy(a->c, a->c0, a->B * H * 4);
  for (int k = 0; k < a->T; k++) {
    int t = a->backwards ? a->T - 1 - k : k;
    for (int b = 0; b < a->B; b++) {
      float *y = a->y + (t * a->B + b) * a->stride, *h = a->h + b * H;
      if (a->lengths && t >= a->lengths[b]) {
        for (int i = 0; i < H; i++) y[i] = 0;
        continue;
      }
      product(a->w, h, a->bias, a->own, N, H);
      step(a->mode, a->given + (t * a->B + b) * gates * H, a->own, h, a->c + b * H, H);
      __builtin_memcpy(y, h, H * 4);
    }
  }
  return 0;
}
