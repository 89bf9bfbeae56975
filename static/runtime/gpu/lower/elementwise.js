// Functions of one and two elements, stored normalisation and prelu → map steps whose whole work is their tail.
import { fused, isNone, KINDS } from '../../ops/activation.js';
import { broadcast } from '../../ops/binary/index.js';
import { aroundChannels } from '../../ops/norm/index.js';
import { channelsLast, count, strides } from '../../ops/node.js';
import { UNARY } from '../../ops/unary/index.js';
import { StaysError } from '../values.js';

/** @typedef {import('../../ops/node.js').OpNode} OpNode */
/** @typedef {import('../values.js').Draft} Draft */
/** @typedef {import('../step.js').Tail} Tail */
/** @typedef {(node: OpNode, to: Draft) => void} Lower */

const BINARY = ['add', 'sub', 'mul', 'div', 'max', 'min', 'pow'];

/** The activation that ends a fused operator, as a tail of none or one. @param {Record<string, any>} attrs @returns {Tail[]} */
export function fusedTail(attrs) {
  if (!attrs.fuse_activation) return [];
  const act = fused(attrs);
  return isNone(act) ? [] : [{ fn: 'act', act: { ...act, kind: KINDS[act.kind] } }];
}

/** @type {Lower} */
function unary(node, to) {
  const x = to.of(node.x()), row = UNARY[node.type], act = row.act(node.attrs);
  const kind = row.rare ? node.type : KINDS[act.kind];
  const tail = !row.rare && isNone(act) ? [] : [/** @type {Tail} */ ({ fn: 'act', act: { ...act, kind } })];
  to.emit({ kind: 'map', x: [x], y: to.of(node.out), strides: strides(x.shape), tail, flops: count(x.shape) });
}

/** @type {Lower} */
function binary(node, to) {
  const op = node.type.replace('elementwise_', '');
  if (!BINARY.includes(op)) throw new StaysError('the GPU has no such function');
  const x = to.of(node.x('X')), y = to.of(node.x('Y')), { dims, xs, ys } = broadcast(x.shape, y.shape, node.attrs.axis ?? -1);
  const swap = count(x.shape) < count(y.shape) || (x.data !== null && y.data === null && count(x.shape) === count(y.shape));
  const [main, other, ms, os] = swap ? [y, x, ys, xs] : [x, y, xs, ys];
  /** @type {Tail} */
  const first = { fn: 'binary', op, with: 1, swap, strides: os };
  to.emit({
    kind: 'map', x: [main, other], y: to.of(node.out), strides: ms, tail: [first, ...fusedTail(node.attrs)], flops: count(dims),
  });
}

/** Strides of a vector of channels in a tensor. @param {number[]} shape @param {string} layout */
const alongChannels = (shape, layout) => shape.map((_, i) => (i === (channelsLast(layout) ? shape.length - 1 : 1) ? 1 : 0));

/** @type {Lower} */
function batchNorm(node, to) {
  const { epsilon, data_layout: layout } = node.attrs, x = to.of(node.x()), { C } = aroundChannels(node.x(), layout);
  const slots = ['Scale', 'Bias', 'Mean', 'Variance'], tables = slots.map((slot) => to.numbers(node.x(slot)));
  const key = slots.map((slot) => node.x(slot).name).join();
  const scale = () => Float32Array.from({ length: C }, (_, c) => tables[0][c] / Math.sqrt(tables[3][c] + epsilon));
  const bias = () => Float32Array.from(scale(), (s, c) => tables[1][c] - tables[2][c] * s);
  const weights = slots.every((slot) => node.x(slot).weight);
  const operands = [['scale', scale], ['bias', bias]].map(([name, data]) => to.constant(
    weights ? `${name} of ${key} ${epsilon}` : '', [C], /** @type {() => Float32Array} */ (data)));
  const steps = alongChannels(x.shape, layout);
  to.emit({
    kind: 'map', x: [x, ...operands], y: to.of(node.out), strides: strides(x.shape), flops: 2 * count(x.shape),
    tail: ['mul', 'add'].map((op, i) => ({ fn: 'binary', op, with: i + 1, swap: false, strides: steps })),
  });
}

/** @type {Lower} */
function prelu(node, to) {
  const { mode, data_format: layout } = node.attrs, x = to.of(node.x()), { shape } = x;
  const own = mode === 'all' ? shape.map(() => 0) : mode === 'channel' ? alongChannels(shape, layout)
    : strides(shape).map((s, i) => (i === 0 ? 0 : s));
  to.emit({
    kind: 'map', x: [x, to.of(node.x('Alpha'))], y: to.of(node.out), strides: strides(shape), flops: count(shape),
    tail: [{ fn: 'binary', op: 'prelu', with: 1, swap: false, strides: own }],
  });
}

/** @type {Record<string, Lower>} */
export const elementwise = {
  ...Object.fromEntries(Object.keys(UNARY).map((type) => [type, unary])),
  ...Object.fromEntries(BINARY.map((op) => [`elementwise_${op}`, binary])),
  batch_norm: batchNorm, prelu,
};
