// Normalisations and prelu → their kernels; group_norm and instance_norm share one.
import { channelsLast, count, emitSwap, f32 } from '../node.js';
import { aroundChannels, rowLength } from './index.js';

/** @typedef {import('../node.js').OpNode} OpNode */
/** @typedef {import('../node.js').Emitter} Emitter */

/** @param {OpNode} node @param {Emitter} to @param {number} groups @param {string} layout */
function emitGroupNorm(node, to, groups, layout) {
  const { shape } = node.x(), last = channelsLast(layout), { C } = aroundChannels(node.x(), layout);
  const N = shape[0], P = count(shape) / N / C, bytes = 4 * count(shape);
  const x = last ? to.scratch(bytes) : node.x(), y = last ? x : node.out;
  if (last) emitSwap(to, node.x(), x, N, P, C);
  else to.inPlace(node.x(), node.out);
  to.emit('group_norm', [x, node.maybe('Scale'), node.maybe('Bias'), y, N, C, groups, P, f32(node.attrs.epsilon)], 8 * count(shape));
  if (last) emitSwap(to, y, node.out, N, C, P);
}

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = {
  batch_norm(node, to) {
    const { outer, C, inner } = aroundChannels(node.x(), node.attrs.data_layout);
    to.inPlace(node.x(), node.out);
    const tables = [node.x('Scale'), node.x('Bias'), node.x('Mean'), node.x('Variance')];
    to.emit('batch_norm', [node.x(), ...tables, node.out, outer, C, inner, f32(node.attrs.epsilon)], 8 * outer * C * inner);
  },
  layer_norm(node, to) {
    const n = rowLength(node), rows = count(node.x().shape) / n;
    to.inPlace(node.x(), node.out);
    to.emit('layer_norm', [node.x(), node.maybe('Scale'), node.maybe('Bias'), node.out, rows, n, f32(node.attrs.epsilon)], 8 * rows * n);
  },
  instance_norm: (node, to) => emitGroupNorm(node, to, aroundChannels(node.x(), 'NCHW').C, 'NCHW'),
  group_norm: (node, to) => emitGroupNorm(node, to, node.attrs.groups, node.attrs.data_layout),
  prelu(node, to) {
    const { mode, data_format: layout } = node.attrs, { shape } = node.x(), n = count(shape);
    to.inPlace(node.x(), node.out);
    const { outer, C, inner } = mode === 'all' ? { outer: 1, C: 1, inner: n }
      : mode === 'channel' ? aroundChannels(node.x(), layout) : { outer: shape[0], C: n / shape[0], inner: 1 };
    to.emit('prelu', [node.x(), node.x('Alpha'), node.out, outer, C, inner], 8 * outer * C * inner);
  },
};
