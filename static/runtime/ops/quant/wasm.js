// Operators on int8 → their kernels: pictures get their border in a step of their own, weights are packed at load.
import { actArgs, fused } from '../activation.js';
import { BYTES } from '../dtype.js';
import { count, f32, UnsupportedError } from '../node.js';
import { nearestAxis } from '../resize/index.js';
import { ENDINGS, int8Fc, int8Pool, int8Resize, int8Window } from './index.js';

/** @typedef {import('../node.js').OpNode} OpNode */
/** @typedef {import('../node.js').Emitter} Emitter */
/** @typedef {import('../node.js').Value} Value */
/** @typedef {import('../node.js').Arg} Arg */
/** @typedef {import('./index.js').Window} Window */

const SPARE = 64; // bytes that vector loads and stores may touch past the end
const PANEL_BYTES = 48 * 1024; // of gathered pixels: with the weights of 8 channels they stay in the first caches
const ROWS = 5; // as in conv.c
const DIRECT_ROWS = 30; // whole tiles of narrow.c's six pixels
const MAX_PLACES = 128; // as in depthwise.c
const MOST_FACTOR = 2 ** 20; // see requant.h

/** @param {number} n @param {number} to */
const up = (n, to) => Math.ceil(n / to) * to;

/** @param {Record<string, any>} attrs @returns {Arg[]} the struct Bounds */
const bounds = ({ out_zero, out_low, out_high }) => [out_zero, out_low, out_high];

/** @param {Record<string, any>} attrs @returns {Arg[]} the struct Ending */
const ending = (attrs) => [
  attrs.residual_zero, f32(attrs.residual_scale), ENDINGS[attrs.fuse_activation], f32(attrs.fuse_alpha), f32(attrs.out_factor),
  ...bounds(attrs),
];

/** Bytes of a weight's element. @param {Value} value */
const widthOf = ({ dtype }) => BYTES[dtype];

/**
 * Scales and biases as the kernels want them: float32 and int32, with what vector loads read past the end.
 * @param {Emitter} to @param {OpNode} node @returns {Arg[]}
 */
function perChannel(to, node) {
  const scale = node.x('Scale'), bias = node.x('Bias'), n = count(scale.shape), bytes = 4 * n + SPARE;
  return [
    to.packed(scale, 'pack_scales', bytes, [n, node.attrs.scale_exponent]),
    to.packed(bias, 'pack_sums', bytes, [n, node.attrs.bias_exponent, widthOf(bias)]),
  ];
}

/**
 * The picture as the products take it: with its border, and in whole numbers.
 * @param {OpNode} node @param {Emitter} to @param {Window} g @returns {{x: Arg, PH: number, PW: number}}
 */
function bordered(node, to, g) {
  const { in_inverse: inverse, in_zero: zero, in_low: low, in_high: high } = node.attrs;
  const PH = g.H + g.top + g.bottom, PW = g.W + g.left + g.right, x = node.x('Input');
  if (!inverse && PH === g.H && PW === g.W) return { x, PH, PW };
  const padded = to.scratch(g.N * PH * PW * g.C * (inverse ? 2 : 1) + SPARE);
  to.emit('pad_int8', [x, padded, g.N, g.C, g.H, g.W, PH, PW, g.top, g.left, f32(inverse), zero, low, high], g.N * PH * PW * g.C / 4);
  return { x: padded, PH, PW };
}

/** Whether sums over three rows fit into 16 bits, see depthwise.c. @param {OpNode} node @param {Window} g */
const isNarrowDepthwise = (node, g) => node.attrs.in_low >= 0 && node.attrs.in_high <= 127 && node.attrs.rows_limit <= 258
  && node.x('Filter').dtype === 'int8' && (g.kh === 3 || g.kh === 5) && g.kw === g.kh && g.sw <= 2 && g.dh === 1 && g.dw === 1
  && g.OW >= 7 && !node.maybe('Residual');

/** @param {OpNode} node @param {Emitter} to @param {Window} g */
function emitDepthwise(node, to, g) {
  const { x, PH, PW } = bordered(node, to, g), w = node.x('Filter'), taps = g.kh * g.kw;
  const narrow = isNarrowDepthwise(node, g) ? g.kh : 0;
  const weights = to.packed(w, 'pack_depthwise_int8', 2 * up(g.C, 8) * up(taps, 2), [g.C, taps, widthOf(w), narrow]);
  to.emit('depthwise_int8', [
    x, weights, ...perChannel(to, node), node.maybe('Residual'), node.out,
    g.N, g.C, PH, PW, g.OH, g.OW, g.kh, g.kw, g.sh, g.sw, g.dh, g.dw, narrow, ...ending(node.attrs),
  ], g.N * g.O * g.OH * g.OW * taps);
}

/** Whether products of four bytes fit into 16 bits, see narrow.c. @param {OpNode} node */
const isNarrow = ({ attrs }) => !attrs.in_inverse && attrs.in_low >= 0 && attrs.in_high <= 127 && attrs.weight_limit <= 63;

/** 1, or 2 where pixels need no gathering and end in the usual ways, see narrow.c. @param {OpNode} node @param {Window} g */
function narrowness(node, g) {
  const { fuse_activation: activation } = node.attrs, direct = g.kh * g.kw * g.sh * g.sw * g.groups === 1;
  return !isNarrow(node) ? 0 : direct && (!activation || activation === 'hard_swish' && !node.maybe('Residual')) ? 2 : 1;
}

/** @param {OpNode} node @param {Emitter} to @param {Window} g */
function emitConv(node, to, g) {
  const { x, PH, PW } = bordered(node, to, g), w = node.x('Filter');
  if (node.attrs.in_inverse && g.groups === 1 && g.dw === 1) return emitFirst(node, to, g, { x, PH, PW });
  const narrow = narrowness(node, g), outputs = g.O / g.groups, depth = g.C / g.groups * g.kh * g.kw, K = up(depth, 8);
  const weights = to.packed(w, 'pack_int8', 2 * g.groups * up(outputs, 8) * K, [g.groups, outputs, depth, widthOf(w), narrow]);
  const tiles = narrow === 2 ? DIRECT_ROWS : ROWS;
  const strip = Math.min(Math.max(Math.floor(PANEL_BYTES / (2 * K) / tiles) * tiles, 2 * ROWS, tiles), g.N * g.OH * g.OW);
  const panel = up(2 * K * (strip + ROWS) + SPARE, 64);
  to.emit('conv_int8', [
    x, weights, ...perChannel(to, node), node.maybe('Residual'), node.out,
    to.scratch(panel * to.maxParts), g.N, g.C, PH, PW, g.O, g.OH, g.OW, g.kh, g.kw, g.sh, g.sw, g.dh, g.dw, g.groups, strip,
    node.attrs.in_inverse ? 2 : 1, panel, narrow, ...ending(node.attrs),
  ], g.N * g.O * g.OH * g.OW * depth);
  return undefined;
}

/** @param {OpNode} node @param {Emitter} to @param {Window} g @param {{x: Arg, PH: number, PW: number}} picture */
function emitFirst(node, to, g, { x, PH, PW }) {
  const w = node.x('Filter'), run = g.kw * g.C;
  const weights = to.packed(w, 'pack_first_int8', 2 * up(g.O, 8) * g.kh * up(run, 2), [g.O, g.kh, run, widthOf(w)]);
  to.emit('conv_first_int8', [
    x, weights, ...perChannel(to, node), node.maybe('Residual'), node.out, null, g.N, g.C, PH, PW, g.O, g.OH, g.OW,
    g.kh, g.kw, g.sh, g.sw, g.dh, g.dw, 1, 0, 2, 0, 0, ...ending(node.attrs),
  ], g.N * g.O * g.OH * g.OW * g.kh * run);
}

/** @param {OpNode} node @param {string[]} slots */
function needConstants(node, slots) {
  if (slots.some((slot) => !node.x(slot).weight)) throw new UnsupportedError(`its ${slots.join(', ')} must be constants`);
}

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = {
  quantize_linear(node, to) {
    const x = node.x(), { inverse_scale: inverse, zero_point: zero, low, high, channels_last: last } = node.attrs;
    const sizes = last ? [x.shape[0], x.shape[1], x.shape[2] * x.shape[3]] : [1, 1, count(x.shape)];
    to.emit('quantize_linear', [x, node.out, ...sizes, f32(inverse), zero, low, high], count(x.shape));
  },
  dequantize_linear(node, to) {
    const x = node.x(), { scale, zero_point: zero, channels_first: first } = node.attrs;
    const sizes = first ? [x.shape[0], x.shape[3], x.shape[1] * x.shape[2]] : [1, 1, count(x.shape)];
    to.emit('dequantize_linear', [x, node.out, ...sizes, zero, f32(scale)], count(x.shape));
  },
  conv2d_int8(node, to) {
    const g = int8Window(node);
    needConstants(node, ['Filter', 'Scale', 'Bias']);
    if (node.attrs.out_factor > MOST_FACTOR) throw new UnsupportedError('its result has steps too small for hard_swish');
    const depthwise = g.groups === g.C && g.O === g.C && g.C > 1 && !node.attrs.in_inverse && g.kh * g.kw <= MAX_PLACES;
    if (depthwise) emitDepthwise(node, to, g);
    else emitConv(node, to, g);
  },
  fc_int8(node, to) {
    const { M, O, K } = int8Fc(node), w = node.x('W'), width = widthOf(w), { in_inverse: inverse, in_low: low, in_high: high } = node.attrs;
    needConstants(node, ['W', 'Scale', 'Bias']);
    const rows = to.packed(w, 'pack_rows_int8', up(O, 4) * up(K, 16) * width, [O, K, width]);
    to.emit('fc_int8', [
      node.x('Input'), rows, ...perChannel(to, node), node.out, to.scratch(2 * up(K, 16)), M, O, K, width, f32(inverse),
      0, low, high, ...actArgs(fused(node.attrs)),
    ]);
  },
  add_int8(node, to) {
    const { x_zero, x_scale, y_zero, y_scale } = node.attrs, n = count(node.out.shape);
    to.emit('add_int8', [node.x('X'), node.x('Y'), node.out, n, x_zero, f32(x_scale), y_zero, f32(y_scale), ...bounds(node.attrs)], n);
  },
  mul_int8(node, to) {
    const [N, H, W, C] = node.out.shape, { x_zero, scale } = node.attrs;
    to.emit('mul_int8', [node.x(), node.x('Gate'), node.out, N, H * W, C, x_zero, f32(scale), ...bounds(node.attrs)], N * H * W * C);
  },
  max_pool_int8(node, to) {
    const { N, C, H, W, rows, columns } = int8Pool(node);
    const table = (/** @type {typeof rows} */ spans) => to.data(Int32Array.from(spans.flatMap(({ start, stop }) => [start, stop])));
    to.emit('max_pool_int8', [node.x(), node.out, table(rows), table(columns), N, H, W, C, rows.length, columns.length],
      N * C * rows.length * columns.length);
  },
  mean_int8(node, to) {
    const [N, H, W, C] = node.x().shape, { scale, zero_point: zero } = node.attrs;
    to.emit('mean_int8', [node.x(), node.out, N, H * W, C, zero, f32(Math.fround(scale) / Math.fround(H * W))]);
  },
  resize_int8(node, to) {
    const [N, H, W, C] = node.x().shape, { out } = int8Resize(node), corners = node.attrs.align_corners;
    const [rows, columns] = out.map((target, i) => to.data(nearestAxis([H, W][i], target, corners)));
    to.emit('resize_int8', [node.x(), node.out, rows, columns, N, H, W, C, out[0].size, out[1].size], N * C * out[0].size * out[1].size / 4);
  },
};
