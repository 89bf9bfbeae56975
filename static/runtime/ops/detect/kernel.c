// Offsets to boxes and back; the heads of YOLO. A box is left, top, right, bottom.
#include "../../wasm/simd.h"

// Centre and size of box p, sides counting `extra` more: {cx, cy, w, h}.
INLINE f32x4 centred(const float *p, float extra) {
  float w = p[2] - p[0] + extra, h = p[3] - p[1] + extra;
  return wasm_f32x4_make(p[0] + w / 2, p[1] + h / 2, w, h);
}
#define LANE(v, i) wasm_f32x4_extract_lane(v, i)

// encode: y[n][m] = offsets of box t[n] to prior p[m]. decode: y[n][m] = box at offsets t[n][m] from prior p[axis ? n : m].
// var: four numbers, or (each) four per prior.
typedef struct {
  const float *p, *var, *t;
  float *y;
  int encode, N, M, axis, each;
  float extra;
} BoxCoder;
KERNEL(box_coder, BoxCoder) {
  float *y = a->y;
  for (int n = 0; n < a->N; n++)
    for (int m = 0; m < a->M; m++, y += 4) {
      int k = !a->encode && a->axis ? n : m;
      f32x4 prior = centred(a->p + 4 * k, a->extra), var = load(a->var + (a->each ? 4 * k : 0));
      f32x4 size = wasm_i32x4_shuffle(prior, prior, 2, 3, 2, 3);
      if (a->encode) {
        const float *t = a->t + 4 * n;
        f32x4 own = wasm_f32x4_make((t[2] + t[0]) / 2, (t[3] + t[1]) / 2, t[2] - t[0] + a->extra, t[3] - t[1] + a->extra);
        f32x4 offset = div(sub(own, prior), size), ratio = v_log(wasm_f32x4_abs(div(own, size)));
        store(y, div(wasm_i32x4_shuffle(offset, ratio, 0, 1, 6, 7), var));
        continue;
      }
      f32x4 t = mul(var, load(a->t + 4 * (n * a->M + m)));
      f32x4 middle = add(mul(t, size), prior), half = div(mul(v_exp(t), size), splat(2.f));
      half = wasm_i32x4_shuffle(half, half, 2, 3, 2, 3);
      f32x4 low = sub(middle, half), high = sub(add(middle, half), splat(a->extra));
      store(y, wasm_i32x4_shuffle(low, high, 0, 1, 4, 5));
    }
  return 0;
}

// x [N][A*(5+classes)][H*W], with `aware` A channels of overlap in front → boxes [N][A*H*W][4] in pixels of image[n] =
// height, width, and scores [N][A*H*W][classes]; both 0 where the confidence is below the threshold.
typedef struct {
  const float *x;
  const int *image;
  float *boxes, *scores;
  const float *anchors;
  int N, A, H, W, classes, width, height, clip, aware;
  float threshold, scale, bias, own, factor;
} YoloBox;

// Confidence of four cells of anchor j of picture x: sigmoid(object), weighted with the predicted overlap.
static f32x4 confidence(const YoloBox *a, const float *x, const float *part, int j, int q, int lanes) {
  int S = a->H * a->W;
  f32x4 c = v_sigmoid(load_n(part + 4 * S + q, lanes));
  if (!a->aware) return c;
  f32x4 u = v_sigmoid(load_n(x + j * S + q, lanes));
  float p[4], r[4];
  store(p, c);
  store(r, u);
  for (int l = 0; l < 4; l++) p[l] = s_pow(p[l], a->own) * s_pow(r[l], a->factor);
  return load(p);
}

// Boxes of four cells from q on.
static void yolo_boxes(const YoloBox *a, const float *part, const int *image, int j, int q, int lanes, f32x4 weak, float *out) {
  int S = a->H * a->W;
  float column[4], row[4], sides[4][4];
  for (int l = 0; l < 4; l++) {
    column[l] = (q + l) % a->W;
    row[l] = (q + l) / a->W;
  }
  f32x4 height = splat(image[0]), width = splat(image[1]), scale = splat(a->scale), bias = splat(a->bias);
  f32x4 cx = add(add(load(column), mul(v_sigmoid(load_n(part + q, lanes)), scale)), bias);
  f32x4 cy = add(add(load(row), mul(v_sigmoid(load_n(part + S + q, lanes)), scale)), bias);
  cx = div(mul(cx, width), splat(a->W));
  cy = div(mul(cy, height), splat(a->H));
  f32x4 w = mul(mul(v_exp(load_n(part + 2 * S + q, lanes)), splat(a->anchors[2 * j])), width);
  f32x4 h = mul(mul(v_exp(load_n(part + 3 * S + q, lanes)), splat(a->anchors[2 * j + 1])), height);
  w = div(div(w, splat(a->width)), splat(2.f));
  h = div(div(h, splat(a->height)), splat(2.f));
  f32x4 box[4] = { sub(cx, w), sub(cy, h), add(cx, w), add(cy, h) }, zero = splat(0.f), one = splat(1.f);
  if (a->clip) {
    box[0] = select(wasm_f32x4_gt(box[0], zero), box[0], zero);
    box[1] = select(wasm_f32x4_gt(box[1], zero), box[1], zero);
    box[2] = select(wasm_f32x4_lt(box[2], sub(width, one)), box[2], sub(width, one));
    box[3] = select(wasm_f32x4_lt(box[3], sub(height, one)), box[3], sub(height, one));
  }
  for (int k = 0; k < 4; k++) store(sides[k], select(weak, zero, box[k]));
  for (int l = 0; l < lanes; l++)
    for (int k = 0; k < 4; k++) out[4 * l + k] = sides[k][l];
}

KERNEL(yolo_box, YoloBox) {
  int S = a->H * a->W, C = a->classes, all = a->A * (5 + C + a->aware);
  for (int n = 0; n < a->N; n++)
    for (int j = 0; j < a->A; j++) {
      const float *x = a->x + n * all * S, *part = x + ((a->aware ? a->A : 0) + j * (5 + C)) * S;
      for (int q = 0; q < S; q += 4) {
        int lanes = imin(4, S - q), cell = (n * a->A + j) * S + q;
        float *scores = a->scores + cell * C, own[4];
        f32x4 conf = confidence(a, x, part, j, q, lanes), weak = wasm_f32x4_lt(conf, splat(a->threshold));
        int none = wasm_i32x4_all_true(weak);
        if (none) {
          for (int i = 0; i < lanes * 4; i++) a->boxes[4 * cell + i] = 0;
          for (int i = 0; i < lanes * C; i++) scores[i] = 0;
          continue;
        }
        yolo_boxes(a, part, a->image + 2 * n, j, q, lanes, weak, a->boxes + 4 * cell);
        for (int c = 0; c < C; c++) {
          f32x4 score = mul(conf, v_sigmoid(load_n(part + (5 + c) * S + q, lanes)));
          store(own, select(weak, splat(0.f), score));
          for (int l = 0; l < lanes; l++) scores[l * C + c] = own[l];
        }
      }
    }
  return 0;
}
