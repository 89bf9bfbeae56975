// fluid's LSTM and GRU over one sequence, whose rows already hold the input's share of the gates.
#include "../../wasm/simd.h"

enum { IDENTITY, SIGMOID, TANH, RELU };

static f32x4 activated(int kind, f32x4 v) {
  return kind == SIGMOID ? v_sigmoid(v) : kind == TANH ? v_tanh(v) : kind == RELU ? max2(v, splat(0.f)) : v;
}

// own[N] = x[N] (+ bias[N]) + h[K] w[K][N]; h and bias may be 0.
static void gates(float *own, const float *x, const float *bias, const float *h, const float *w, int K, int N) {
  for (int n = 0; n < N; n += 4) {
    f32x4 v = load_n(x + n, N - n);
    if (bias) v = add(v, load_n(bias + n, N - n));
    if (h) for (int k = 0; k < K; k++) v = madd(v, load_splat(h + k), load_n(w + k * N + n, N - n));
    store_n(own + n, v, N - n);
  }
}

// x[T][4D] (candidate, input, forget, output), w[D][4D], bias[4D], with peepholes [7D]; h0, c0 [D] or 0
// -> h[T][D], c[T][D]; own: 4D floats.
typedef struct {
  const float *x, *w, *bias, *h0, *c0;
  float *h, *c, *own;
  int T, D, backwards, peepholes, gate, cell, candidate;
} LstmSequence;

KERNEL(lstm_sequence, LstmSequence) {
  int D = a->D;
  const float *before = a->h0, *held = a->c0, *peep = a->peepholes ? a->bias + 4 * D : 0;
  for (int k = 0; k < a->T; k++) {
    int t = a->backwards ? a->T - 1 - k : k;
    float *h = a->h + t * D, *c = a->c + t * D;
    gates(a->own, a->x + t * 4 * D, a->bias, before, a->w, D, 4 * D);
    for (int i = 0; i < D; i += 4) {
      int n = D - i;
#define GATE(k) load_n(a->own + k * D + i, n)
#define PEEP(v, k, state) (peep ? madd(v, state, load_n(peep + k * D + i, n)) : v)
      f32x4 old = held ? load_n(held + i, n) : splat(0.f), fresh = activated(a->candidate, GATE(0));
      f32x4 in = activated(a->gate, PEEP(GATE(1), 0, old)), forget = activated(a->gate, PEEP(GATE(2), 1, old));
      f32x4 state = madd(mul(fresh, in), old, forget);
      store_n(c + i, state, n);
      store_n(h + i, mul(activated(a->gate, PEEP(GATE(3), 2, state)), activated(a->cell, state)), n);
    }
    before = h, held = c;
  }
  return 0;
}

// x[T][3D] (update, reset, candidate), w: [D][2D] for the gates, then [D][D]; bias[3D] or 0; h0[D] or 0 -> h[T][D].
// own: 4D floats. origin: the update gate keeps the old state; otherwise it lets in the new one.
typedef struct {
  const float *x, *w, *bias, *h0;
  float *h, *own;
  int T, D, backwards, origin, gate, candidate;
} GruSequence;

KERNEL(gru_sequence, GruSequence) {
  int D = a->D;
  const float *before = a->h0;
  float *reset = a->own + 3 * D;
  for (int k = 0; k < a->T; k++) {
    int t = a->backwards ? a->T - 1 - k : k;
    const float *x = a->x + t * 3 * D;
    float *h = a->h + t * D;
    gates(a->own, x, a->bias, before, a->w, D, 2 * D);
    for (int i = 0; before && i < D; i += 4)
      store_n(reset + i, mul(activated(a->gate, load_n(a->own + D + i, D - i)), load_n(before + i, D - i)), D - i);
    gates(a->own + 2 * D, x + 2 * D, a->bias ? a->bias + 2 * D : 0, before ? reset : 0, a->w + 2 * D * D, D, D);
    for (int i = 0; i < D; i += 4) {
      f32x4 u = activated(a->gate, load_n(a->own + i, D - i)), fresh = activated(a->candidate, load_n(a->own + 2 * D + i, D - i));
      f32x4 old = before ? load_n(before + i, D - i) : splat(0.f), rest = sub(splat(1.f), u);
      store_n(h + i, a->origin ? madd(mul(u, old), rest, fresh) : madd(mul(rest, old), u, fresh), D - i);
    }
    before = h;
  }
  return 0;
}
