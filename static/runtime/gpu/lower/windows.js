// Convolutions, pooling and resizing of planes; where channels come last, transposed before and after.
import { convWindow, transposeWindow } from '../../ops/conv/index.js';
import { channelsLast, count } from '../../ops/node.js';
import { poolWindow } from '../../ops/pool/index.js';
import { cubicAxis, linearAxis, nearestAxis, resizeSizes } from '../../ops/resize/index.js';
import { StaysError } from '../values.js';
import { fusedTail } from './elementwise.js';

/** @typedef {import('../../ops/node.js').OpNode} OpNode */
/** @typedef {import('../../ops/node.js').Value} Value */
/** @typedef {import('../values.js').Draft} Draft */
/** @typedef {import('../step.js').GpuValue} GpuValue */
/** @typedef {import('../step.js').ResizeAxis} ResizeAxis */
/** @typedef {import('../step.js').Tail} Tail */
/** @typedef {import('./elementwise.js').Lower} Lower */

const TO_PLANES = [0, 3, 1, 2], FROM_PLANES = [0, 2, 3, 1];

/** [N,C,H,W] of a value. @param {Draft} to @param {GpuValue} value @param {boolean} last @returns {GpuValue} */
const planes = (to, value, last) => (
  last ? to.transpose(value, to.temporary(TO_PLANES.map((axis) => value.shape[axis])), TO_PLANES) : value);

/**
 * Runs `emit` on planes, whatever the layout of the node.
 * @param {Draft} to @param {OpNode} node @param {Value} input @param {boolean} last
 * @param {(x: GpuValue, y: GpuValue) => void} emit
 */
function onPlanes(to, node, input, last, emit) {
  const y = to.of(node.out), x = planes(to, to.of(input), last);
  const made = last ? to.temporary(TO_PLANES.map((axis) => y.shape[axis])) : y;
  emit(x, made);
  if (last) to.transpose(made, y, FROM_PLANES);
}

/** @param {'conv'|'deconv'} kind @param {(node: OpNode) => import('../step.js').Window} window @returns {Lower} */
const convolution = (kind, window) => (node, to) => {
  const g = window(node), w = to.of(node.x('Filter')), { last } = g, given = node.maybe('Bias'), residual = node.maybe('ResidualData');
  if (!w.data) throw new StaysError('its filter is computed');
  const bias = given && to.of(given);
  if (bias && !bias.data) throw new StaysError('its bias is computed');
  const taps = kind === 'conv' ? g.N * g.O * g.OH * g.OW * g.C : g.N * g.C * g.H * g.W * g.O;
  onPlanes(to, node, node.x('Input'), last, (x, y) => {
    const added = residual && planes(to, to.of(residual), last);
    /** @type {Tail[]} */
    const add = added ? [{ fn: 'binary', op: 'add', with: 1, swap: false, strides: fullStrides(y.shape) }] : [];
    to.emit({
      kind, x: added ? [x, added] : [x], y, g, w, bias, tail: [...add, ...fusedTail(node.attrs)],
      flops: 2 * taps / g.groups * g.kh * g.kw,
    });
  });
};

/** @param {number[]} shape */
const fullStrides = (shape) => shape.map((_, i) => count(shape.slice(i + 1)));

/** @type {Lower} */
function pool(node, to) {
  const { N, C, H, W, rows, columns, last } = poolWindow(node);
  const reads = [rows, columns].map((spans) => spans.reduce((n, { start, stop }) => n + stop - start, 0));
  onPlanes(to, node, node.x(), last, (x, y) => to.emit({
    kind: 'pool', type: node.attrs.pooling_type, x: [x], y, N, C, H, W, rows, columns, flops: N * C * reads[0] * reads[1],
  }));
}

/** @param {{low: Int32Array, high: Int32Array, part: Float32Array}} axis @returns {ResizeAxis} */
function pairs({ low, high, part }) {
  const at = new Int32Array(2 * low.length), weight = new Float32Array(2 * low.length);
  low.forEach((first, i) => {
    at.set([first, high[i]], 2 * i);
    weight.set([1 - part[i], part[i]], 2 * i);
  });
  return { at, weight, taps: 2 };
}

/** @param {(size: number, target: {size: number, scale: number}, attrs: Record<string, any>) => ResizeAxis} axis @returns {Lower} */
const resize = (axis) => (node, to) => {
  const { sizes, out } = resizeSizes(node), [rows, columns] = sizes.map((size, i) => axis(size, out[i], node.attrs));
  onPlanes(to, node, node.x(), channelsLast(node.attrs.data_layout), (x, y) => to.emit({
    kind: 'resize', x: [x], y, rows, columns, flops: 2 * count(y.shape) * rows.taps * columns.taps,
  }));
};

/** @type {Record<string, Lower>} */
export const windows = {
  conv2d: convolution('conv', convWindow),
  conv2d_transpose: convolution('deconv', transposeWindow),
  pool2d: pool,
  nearest_interp_v2: resize((size, target, { align_corners: corners }) => {
    const at = nearestAxis(size, target, corners);
    return { at, weight: new Float32Array(at.length).fill(1), taps: 1 };
  }),
  bilinear_interp_v2: resize((size, target, { align_corners: corners, align_mode: mode }) => (
    pairs(linearAxis(size, target, corners, mode)))),
  bicubic_interp_v2: resize((size, target, { align_corners: corners }) => ({ ...cubicAxis(size, target, corners), taps: 4 })),
};
