// Normalisations with stored or computed statistics, and prelu. X [N,C,...] or [N,...,C].
import { FLOAT } from '../dtype.js';
import { channelsLast, checkLayout, count, like, ShapeError } from '../node.js';

/** @typedef {import('../node.js').OpNode} OpNode */
/** @typedef {import('../node.js').Value} Value */

/**
 * X as [outer][C][inner] around its channels.
 * @param {Value} x @param {string} layout @returns {{outer: number, C: number, inner: number}}
 */
export function aroundChannels(x, layout) {
  const { shape } = x;
  if (shape.length < 2) throw new ShapeError(`it takes a tensor with channels, not [${shape}]`);
  if (channelsLast(layout)) return { outer: count(shape.slice(0, -1)), C: shape[shape.length - 1], inner: 1 };
  return { outer: shape[0], C: shape[1], inner: count(shape.slice(2)) };
}

/** @param {OpNode} node @param {string[]} slots @param {number} size each of these tensors must have */
function checkSizes(node, slots, size) {
  for (const slot of slots) {
    const value = node.maybe(slot);
    if (value && count(value.shape) !== size) throw new ShapeError(`${slot} is [${value.shape}] where ${size} values are needed`);
  }
}

/** @param {OpNode} node @returns {number} elements of a row that layer_norm normalises */
export const rowLength = (node) => count(node.x().shape.slice(node.attrs.begin_norm_axis));

/** @param {OpNode} node @returns {number} of prelu's slopes */
function slopes(node) {
  const x = node.x(), { mode, data_format: layout } = node.attrs;
  if (mode === 'all') return 1;
  return mode === 'channel' ? aroundChannels(x, layout).C : count(x.shape.slice(1));
}

/** @type {Record<string, import('../node.js').Rule>} */
export const rules = {
  batch_norm: {
    attrs: ['epsilon', 'data_layout'],
    types: { X: FLOAT, Scale: FLOAT, Bias: FLOAT, Mean: FLOAT, Variance: FLOAT },
    check: ({ attrs }) => checkLayout(attrs.data_layout),
    shape: (node) => {
      checkSizes(node, ['Scale', 'Bias', 'Mean', 'Variance'], aroundChannels(node.x(), node.attrs.data_layout).C);
      return [like(node.x())];
    },
  },
  layer_norm: {
    attrs: ['epsilon', 'begin_norm_axis'],
    types: { X: FLOAT, 'Scale?': FLOAT, 'Bias?': FLOAT },
    shape: (node) => {
      checkSizes(node, ['Scale', 'Bias'], rowLength(node));
      return [like(node.x())];
    },
  },
  instance_norm: {
    attrs: ['epsilon'],
    types: { X: FLOAT, 'Scale?': FLOAT, 'Bias?': FLOAT },
    shape: (node) => {
      checkSizes(node, ['Scale', 'Bias'], aroundChannels(node.x(), 'NCHW').C);
      return [like(node.x())];
    },
  },
  group_norm: {
    attrs: ['epsilon', 'groups', 'data_layout'],
    types: { X: FLOAT, 'Scale?': FLOAT, 'Bias?': FLOAT },
    check: ({ attrs }) => checkLayout(attrs.data_layout),
    shape: (node) => {
      const { C } = aroundChannels(node.x(), node.attrs.data_layout);
      if (C % node.attrs.groups) throw new ShapeError(`${C} channels cannot be split into ${node.attrs.groups} groups`);
      checkSizes(node, ['Scale', 'Bias'], C);
      return [like(node.x())];
    },
  },
  prelu: {
    attrs: ['mode', 'data_format'],
    types: { X: FLOAT, Alpha: FLOAT },
    check: ({ attrs }) => (
      ['all', 'channel', 'element'].includes(attrs.mode) ? checkLayout(attrs.data_format) : `mode ${JSON.stringify(attrs.mode)}`),
    shape: (node) => {
      checkSizes(node, ['Alpha'], slopes(node));
      return [like(node.x())];
    },
  },
};
