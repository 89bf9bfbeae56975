// Operators that only move elements. A family member says which elements go where (moves); from that follow the
// lowering, the evaluation of host values, and whether the output can simply be a part of the input's memory.
import { ANY, FLOAT } from '../dtype.js';
import { axisOf, count, like, strides } from '../node.js';
import { alias, evaluate, isRun } from './move.js';
import * as rearrange from './rearrange.js';
import * as shapes from './shapes.js';

/** @typedef {import('../node.js').OpNode} OpNode */
/** @typedef {import('../node.js').Move} Move */
/** @typedef {import('../node.js').Rule} Rule */
/** @typedef {(node: OpNode) => Move[]} Moves */

/** Output read from X through strides. @param {OpNode} node @param {number[]} dims @param {number[]} ss @param {number} [fromAt] */
function view(node, dims, ss, fromAt = 0) {
  const from = node.inputs.X?.[0] ?? node.x('Input');
  return [{ from, to: node.out, dims, ss, ds: strides(dims), fromAt, toAt: 0 }];
}

/** @type {Moves} */
const same = (node) => view(node, [count(node.x().shape)], [1]);

/** @type {Moves} */
function transpose(node) {
  const { shape } = node.x(), step = strides(shape);
  const axes = node.attrs.axis.map((/** @type {number} */ axis) => axisOf(axis, shape.length));
  return view(node, axes.map((/** @type {number} */ axis) => shape[axis]), axes.map((/** @type {number} */ axis) => step[axis]));
}

/** @type {Moves} */
function expand(node) {
  const { shape } = node.x(), step = strides(shape), lead = node.out.shape.length - shape.length;
  return view(node, node.out.shape, node.out.shape.map((_, i) => (i < lead || shape[i - lead] === 1 ? 0 : step[i - lead])));
}

/** Each dimension as [repeats][size]. @type {Moves} */
function tile(node) {
  const { shape } = node.out, own = node.x().shape, lead = shape.length - own.length;
  const full = [...new Array(lead).fill(1), ...own], step = strides(full);
  return view(node, full.flatMap((size, i) => [shape[i] / size, size]), full.flatMap((_, i) => [0, step[i]]));
}

/** @type {Moves} */
function slice(node) {
  const x = node.x('Input'), step = strides(x.shape), cut = shapes.cutOf(node);
  const fromAt = cut.reduce((at, { start }, i) => at + start * step[i], 0);
  return view(node, cut.map(({ size }) => size), cut.map((c, i) => c.step * step[i]), fromAt);
}

/** @type {Moves} */
function pixelShuffle(node) {
  const { N, C, H, W, r, last } = shapes.shuffleSizes(node), R = r * r;
  return last
    ? view(node, [N, H, r, W, r, C], [H * W * C * R, W * C * R, r, C * R, 1, R])
    : view(node, [N, C, H, r, W, r], [C * R * H * W, R * H * W, W, r * H * W, 1, H * W]);
}

/**
 * Parts that lie one after another along an axis of a whole.
 * @param {import('../node.js').Value[]} parts @param {number[]} sizes of each part along the axis
 * @param {number} outer @param {number} inner
 * @param {(part: import('../node.js').Value, rows: number[], whole: number[], at: number) => Move} move
 */
function parts(parts, sizes, outer, inner, move) {
  const total = count([inner, sizes.reduce((sum, size) => sum + size, 0)]);
  let at = 0;
  return parts.map((part, i) => {
    const n = sizes[i] * inner, made = move(part, [n, 1], [total, 1], at);
    at += n;
    return { ...made, dims: [outer, n] };
  });
}

/** @type {Moves} */
function concat(node) {
  const inputs = node.all('X'), stacked = node.type === 'stack', { shape } = node.out;
  const axis = axisOf(node.attrs.axis, shape.length), sizes = inputs.map((x) => (stacked ? 1 : x.shape[axis]));
  return parts(inputs, sizes, count(shape.slice(0, axis)), count(shape.slice(axis + 1)), (from, ss, ds, toAt) => (
    { from, to: node.out, dims: [], ss, ds, fromAt: 0, toAt }));
}

/** @type {Moves} */
function split(node) {
  const x = node.x(), axis = axisOf(node.attrs.axis, x.shape.length), sizes = node.outputs.map((out) => out.shape[axis]);
  return parts(node.outputs, sizes, count(x.shape.slice(0, axis)), count(x.shape.slice(axis + 1)), (to, ds, ss, fromAt) => (
    { from: x, to, dims: [], ss, ds, fromAt, toAt: 0 }));
}

/**
 * @param {string[]} attrs @param {Rule['shape']} shape @param {Moves} moves
 * @param {Record<string, string[]>} [types] @param {Rule['check']} [check]
 * @returns {Rule & {moves: Moves}}
 */
const row = (attrs, shape, moves, types = { X: ANY }, check = undefined) => ({
  attrs, types, shape, moves, ...(check ? { check } : {}),
  evaluate: (node) => evaluate(node, moves(node)),
  alias: (node) => {
    const list = moves(node);
    return list.every(isRun) ? alias(node, list) : null;
  },
});

const PARTS = ['int32', 'int64'];
const SLICE = {
  Input: ANY, 'StartsTensor?': PARTS, 'EndsTensor?': PARTS, 'StridesTensor?': PARTS,
  'StartsTensorList?': PARTS, 'EndsTensorList?': PARTS, 'StridesTensorList?': PARTS,
};

/** @type {Record<string, Rule & {moves: Moves}>} */
export const rules = {
  assign: row([], (node) => shapes.resized(node, node.x().shape), same),
  reshape2: row(['shape'], shapes.reshape, same, { X: ANY, 'Shape?': PARTS, 'ShapeTensor?': PARTS }),
  squeeze2: row(['axes'], shapes.squeeze, same),
  unsqueeze2: row(['axes'], shapes.unsqueeze, same),
  flatten2: row(['axis'], shapes.flatten2, same),
  flatten_contiguous_range: row(['start_axis', 'stop_axis'], shapes.flattenRange, same),
  transpose2: row(['axis'], shapes.transpose, transpose),
  expand_v2: row(['shape'], shapes.expand, expand, { X: ANY, 'Shape?': PARTS, 'expand_shapes_tensor?': PARTS }),
  tile: row(['repeat_times'], shapes.tile, tile, { X: ANY, 'RepeatTimes?': PARTS, 'repeat_times_tensor?': PARTS }),
  slice: row(['axes', 'starts', 'ends', 'decrease_axis'], shapes.slice, slice, SLICE),
  strided_slice: row(['axes', 'starts', 'ends', 'strides', 'decrease_axis'], shapes.slice, slice, SLICE),
  pixel_shuffle: row(['upscale_factor', 'data_format'], shapes.pixelShuffle, pixelShuffle, { X: ANY }, shapes.checkShuffle),
  flip: row(['axis'], (node) => [like(node.x())], rearrange.flip),
  roll: row(['shifts', 'axis'], (node) => [like(node.x())], rearrange.roll, { X: ANY },
    ({ attrs: { shifts, axis } }) => (shifts.length === (axis.length || 1) ? '' : `${shifts.length} shifts of ${axis.length} axes`)),
  pixel_unshuffle: row(['downscale_factor', 'data_format'], rearrange.unshuffleShape, rearrange.unshuffle, { X: ANY }, shapes.checkShuffle),
  channel_shuffle: row(['groups', 'data_format'], (node) => [like(node.x())], rearrange.channelShuffle, { X: ANY }, shapes.checkShuffle),
  temporal_shift: row(['seg_num', 'shift_ratio', 'data_format'], (node) => [like(node.x())], rearrange.temporalShift,
    { X: FLOAT }, shapes.checkShuffle),
  pad: row(['paddings', 'pad_value'], rearrange.padShape, rearrange.pad, { X: ANY },
    ({ attrs: { paddings } }) => (paddings.every((/** @type {number} */ n) => n >= 0) ? '' : `paddings [${paddings}]`)),
  repeat_interleave: row(['repeats', 'dim'], rearrange.repeatShape, rearrange.repeat),
  meshgrid: row([], rearrange.gridShape, rearrange.meshgrid),
  set_value: row(['axes', 'starts', 'ends', 'steps', 'decrease_axes'], (node) => [like(node.x('Input'))], rearrange.setValue,
    { Input: ANY, ValueTensor: ANY, 'StartsTensorList?': PARTS, 'EndsTensorList?': PARTS }),
  concat: { ...row(['axis'], shapes.concat, concat), takesEmpty: true },
  stack: row(['axis'], shapes.stack, concat),
  split: { ...row(['axis', 'num', 'sections'], shapes.split, split), givesEmpty: true },
};
