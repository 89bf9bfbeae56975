// Products of matrices, softmax, reductions and computed normalisation: steps on row-major memory.
import { aroundChannels, rowLength } from '../../ops/norm/index.js';
import { fcSizes, matmulSizes } from '../../ops/matmul/index.js';
import { axisOf, channelsLast, count, strides } from '../../ops/node.js';
import { passes, reducedAxes } from '../../ops/reduce/index.js';
import { StaysError } from '../values.js';
import { fusedTail } from './elementwise.js';

/** @typedef {import('../../ops/node.js').OpNode} OpNode */
/** @typedef {import('../values.js').Draft} Draft */
/** @typedef {import('../step.js').GpuValue} GpuValue */
/** @typedef {import('../step.js').Tail} Tail */
/** @typedef {import('./elementwise.js').Lower} Lower */

/** @type {Lower} */
function fc(node, to) {
  const { M, N, K } = fcSizes(node), y = to.of(node.out), bias = node.maybe('Bias'), one = Int32Array.of(0);
  const x = [to.of(node.x('Input')), to.of(node.x('W')), ...(bias ? [to.of(bias)] : [])];
  /** @type {Tail[]} */
  const add = bias ? [{ fn: 'binary', op: 'add', with: 2, swap: false, strides: y.shape.map((_, i) => (i === y.shape.length - 1 ? 1 : 0)) }] : [];
  to.emit({
    kind: 'matmul', x, y, M, N, K, at: one, bt: one, am: K, ak: 1, bk: N, bn: 1, tail: [...add, ...fusedTail(node.attrs)],
    flops: 2 * M * N * K,
  });
}

/** @type {Lower} */
function matmul(node, to) {
  const { M, N, K, at, bt, am, ak, bk, bn } = matmulSizes(node);
  to.emit({
    kind: 'matmul', x: [to.of(node.x('X')), to.of(node.x('Y'))], y: to.of(node.out), M, N, K, at, bt, am, ak, bk, bn,
    flops: 2 * at.length * M * N * K,
  });
}

/** @param {boolean} log @returns {Lower} */
const softmax = (log) => (node, to) => {
  const { shape } = node.x(), axis = axisOf(node.attrs.axis, shape.length);
  to.emit({
    kind: 'softmax', x: [to.of(node.x())], y: to.of(node.out), outer: count(shape.slice(0, axis)), n: shape[axis] ?? 1,
    inner: count(shape.slice(axis + 1)), log, flops: 4 * count(shape),
  });
};

/** @param {'sum'|'max'|'min'|'prod'} op @param {boolean} [mean] @returns {Lower} */
const reduction = (op, mean = false) => (node, to) => {
  const flags = reducedAxes(node), { shape } = node.x(), x = to.of(node.x()), y = to.of(node.out);
  if (shape.length === 4 && flags.join() === 'false,false,true,true' && (mean || op === 'max')) return planes(node, to, op);
  const list = passes(shape, flags), total = list.reduce((n, pass) => n * pass.n, 1);
  let from = x;
  return list.forEach(({ outer, n, inner }, i) => {
    const last = i === list.length - 1, made = last ? y : to.temporary([outer, inner]);
    from = to.emit({
      kind: 'reduce', x: [from], y: made, outer, n, inner, op, scale: last && mean ? 1 / total : 1, flops: outer * n * inner,
    });
  });
};

/** Over the pixels of every channel: pooling, which keeps the layout. @param {OpNode} node @param {Draft} to @param {string} op */
function planes(node, to, op) {
  const [N, C, H, W] = node.x().shape, y = to.of(node.out);
  const [rows, columns] = [H, W].map((size) => [{ start: 0, stop: size, area: size }]);
  const made = y.shape.length === 4 ? y : to.temporary([N, C, 1, 1]);
  to.emit({ kind: 'pool', type: op === 'max' ? 'max' : 'avg', x: [to.of(node.x())], y: made, N, C, H, W, rows, columns, flops: N * C * H * W });
  if (made !== y) to.view(made, y);
}

/**
 * A norm step, its scale and bias behind it.
 * @param {OpNode} node @param {Draft} to @param {GpuValue} x @param {GpuValue} y @param {number} n elements of a row
 * @param {number[]} view shape of y in which scale and bias repeat @param {number[]} along their strides in that shape
 */
function norm(node, to, x, y, n, view, along) {
  const operands = ['Scale', 'Bias'].map((slot) => node.maybe(slot)), given = operands.flatMap((value) => (value ? [to.of(value)] : []));
  /** @type {Tail[]} */
  const tail = [];
  operands.forEach((value, i) => {
    if (value) tail.push({ fn: 'binary', op: ['mul', 'add'][i], with: tail.length + 1, swap: false, strides: along });
  });
  const viewed = view.join() !== y.shape.join();
  const made = viewed ? to.temporary(view) : y;
  to.emit({ kind: 'norm', x: [x, ...given], y: made, rows: count(y.shape) / n, n, epsilon: node.attrs.epsilon, tail, flops: 8 * count(y.shape) });
  if (viewed) to.view(made, y);
}

/** @type {Lower} */
function layerNorm(node, to) {
  const { shape } = node.x(), first = node.attrs.begin_norm_axis, own = strides(shape);
  norm(node, to, to.of(node.x()), to.of(node.out), rowLength(node), shape, own.map((s, i) => (i < first ? 0 : s)));
}

/** @param {(node: OpNode, C: number) => number} groupsOf @param {(node: OpNode) => string} layoutOf @returns {Lower} */
const groupNorm = (groupsOf, layoutOf) => (node, to) => {
  const layout = layoutOf(node), { shape } = node.x(), { C } = aroundChannels(node.x(), layout);
  if (channelsLast(layout)) throw new StaysError('its channels come last');
  norm(node, to, to.of(node.x()), to.of(node.out), count(shape) / shape[0] / groupsOf(node, C), shape, shape.map((_, i) => (i === 1 ? 1 : 0)));
};

/** @type {Record<string, Lower>} */
export const rows = {
  fc, matmul_v2: matmul,
  softmax: softmax(false), log_softmax: softmax(true),
  reduce_mean: reduction('sum', true), reduce_sum: reduction('sum'), reduce_max: reduction('max'),
  reduce_min: reduction('min'), reduce_prod: reduction('prod'),
  layer_norm: layerNorm,
  instance_norm: groupNorm((_, C) => C, () => 'NCHW'),
  group_norm: groupNorm((node) => node.attrs.groups, (node) => node.attrs.data_layout),
};
