// Output shapes of the operators that move elements.
import { axisOf, channelsLast, checkLayout, count, ShapeError } from '../node.js';

/** @typedef {import('../node.js').OpNode} OpNode */
/** @typedef {import('../node.js').Info} Info */

/** X's elements in another shape. @param {OpNode} node @param {number[]} shape @returns {Info[]} */
export const resized = (node, shape) => [{ shape, dtype: node.x().dtype }];

/** 0 copies the dimension of X, one -1 takes what is left. @param {OpNode} node @returns {Info[]} */
export function reshape(node) {
  const { shape } = node.x(), wanted = node.integers(node.attrs.shape, 'Shape', 'ShapeTensor');
  const dims = wanted.map((size, i) => (size === 0 ? shape[i] : size)), total = count(shape);
  const open = dims.indexOf(-1), rest = count(dims.filter((size) => size !== -1));
  if (open >= 0) dims[open] = total === 0 && rest === 0 ? 0 : total / rest;
  if (dims.some((size) => !Number.isInteger(size) || size < (total ? 1 : 0)) || count(dims) !== total) {
    throw new ShapeError(`[${shape}] cannot be reshaped to [${wanted}]`);
  }
  return resized(node, dims);
}

/** @param {OpNode} node @returns {Info[]} */
export function squeeze(node) {
  const { shape } = node.x(), { axes } = node.attrs;
  const drop = axes.map((/** @type {number} */ axis) => axisOf(axis, shape.length));
  return resized(node, shape.filter((size, i) => size !== 1 || (axes.length && !drop.includes(i))));
}

/** Axes are inserted one after another. @param {OpNode} node @returns {Info[]} */
export function unsqueeze(node) {
  const shape = [...node.x().shape];
  for (const axis of node.attrs.axes) shape.splice(axisOf(axis, shape.length + 1), 0, 1);
  return resized(node, shape);
}

/** @param {OpNode} node @returns {Info[]} */
export function flatten2(node) {
  const { shape } = node.x(), { axis } = node.attrs, at = axis === shape.length ? axis : axisOf(axis, shape.length);
  return resized(node, [count(shape.slice(0, at)), count(shape.slice(at))]);
}

/** @param {OpNode} node @returns {Info[]} */
export function flattenRange(node) {
  const { shape } = node.x();
  if (!shape.length) return resized(node, [1]);
  const start = axisOf(node.attrs.start_axis, shape.length), stop = axisOf(node.attrs.stop_axis, shape.length) + 1;
  return resized(node, [...shape.slice(0, start), count(shape.slice(start, stop)), ...shape.slice(stop)]);
}

/** @param {OpNode} node @returns {Info[]} */
export function transpose(node) {
  const { shape } = node.x(), { axis } = node.attrs;
  const order = axis.map((/** @type {number} */ a) => axisOf(a, shape.length));
  if (new Set(order).size !== shape.length) throw new ShapeError(`[${axis}] is no order of the axes of [${shape}]`);
  return resized(node, order.map((/** @type {number} */ a) => shape[a]));
}

/** -1 keeps the dimension of X; new ones come in front. @param {OpNode} node @returns {Info[]} */
export function expand(node) {
  const { shape } = node.x(), wanted = node.integers(node.attrs.shape, 'Shape', 'expand_shapes_tensor');
  const lead = wanted.length - shape.length;
  const dims = wanted.map((size, i) => (size === -1 && i >= lead ? shape[i - lead] : size));
  if (lead < 0 || dims.some((size, i) => size < (i >= lead && shape[i - lead] === 0 ? 0 : 1) || (i >= lead && shape[i - lead] !== 1 && shape[i - lead] !== size))) {
    throw new ShapeError(`[${shape}] cannot be expanded to [${wanted}]`);
  }
  return resized(node, dims);
}

/** @param {OpNode} node @returns {Info[]} */
export function tile(node) {
  const { shape } = node.x(), times = node.integers(node.attrs.repeat_times, 'RepeatTimes', 'repeat_times_tensor');
  const rank = Math.max(shape.length, times.length);
  /** @param {number[]} list */
  const full = (list) => [...new Array(rank - list.length).fill(1), ...list];
  const repeats = full(times);
  if (repeats.some((n) => n < 1)) throw new ShapeError(`it cannot be repeated [${times}] times`);
  return resized(node, full(shape).map((size, i) => size * repeats[i]));
}

/**
 * What slice and strided_slice keep of each axis; starts and ends count from the end when negative and are clamped.
 * @param {OpNode} node
 * @returns {{start: number, step: number, size: number}[]}
 */
export function cutOf(node) {
  const { shape } = node.x('Input'), { axes } = node.attrs;
  const starts = node.integers(node.attrs.starts, 'StartsTensor', 'StartsTensorList');
  const ends = node.integers(node.attrs.ends, 'EndsTensor', 'EndsTensorList');
  const steps = node.integers(node.attrs.strides ?? (node.attrs.steps?.length ? node.attrs.steps : axes.map(() => 1)), 'StridesTensor', 'StridesTensorList');
  const cut = shape.map((size) => ({ start: 0, step: 1, size }));
  axes.forEach((/** @type {number} */ named, /** @type {number} */ i) => {
    const axis = axisOf(named, shape.length), n = shape[axis], step = steps[i];
    if (!step || starts[i] === undefined || ends[i] === undefined) throw new ShapeError(`it has no start, end or stride for axis ${named}`);
    const low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    const [start, end] = [starts[i], ends[i]].map((at) => Math.min(Math.max(at < 0 ? at + n : at, low), high));
    cut[axis] = { start, step, size: Math.ceil((end - start) / step) };
    if (n === 0) cut[axis] = { start: 0, step: 1, size: 0 };
    else if (!(cut[axis].size > 0)) throw new ShapeError(`nothing of [${shape}] is left between ${starts[i]} and ${ends[i]} on axis ${named}`);
  });
  return cut;
}

/** @param {OpNode} node @returns {Info[]} */
export function slice(node) {
  const x = node.x('Input'), sizes = cutOf(node).map(({ size }) => size);
  const drop = node.attrs.decrease_axis.map((/** @type {number} */ axis) => axisOf(axis, sizes.length));
  if (drop.some((/** @type {number} */ axis) => sizes[axis] !== 1)) throw new ShapeError(`it cannot drop axes [${drop}] of [${sizes}]`);
  return [{ shape: sizes.filter((_, i) => !drop.includes(i)), dtype: x.dtype }];
}

/** @param {{attrs: Record<string, any>}} op */
export const checkShuffle = ({ attrs }) => checkLayout(attrs.data_format);

/** @param {OpNode} node */
export function shuffleSizes(node) {
  const { shape } = node.x(), r = node.attrs.upscale_factor, last = channelsLast(node.attrs.data_format);
  const [N, channels, H, W] = last ? [shape[0], shape[3], shape[1], shape[2]] : shape, C = channels / (r * r);
  if (shape.length !== 4 || !Number.isInteger(C)) throw new ShapeError(`the channels of [${shape}] are no multiple of ${r * r}`);
  return { N, C, H, W, r, last };
}

/** @param {OpNode} node @returns {Info[]} */
export function pixelShuffle(node) {
  const { N, C, H, W, r, last } = shuffleSizes(node);
  return resized(node, last ? [N, H * r, W * r, C] : [N, C, H * r, W * r]);
}

/** @param {OpNode} node @returns {Info[]} */
export function concat(node) {
  const inputs = node.all('X'), { shape, dtype } = inputs[0], axis = axisOf(node.attrs.axis, shape.length);
  for (const x of inputs) {
    if (x.dtype !== dtype) throw new ShapeError(`it takes tensors of one type, not ${dtype} and ${x.dtype}`);
    if (x.shape.length !== shape.length || x.shape.some((size, i) => i !== axis && size !== shape[i])) {
      throw new ShapeError(`[${shape}] and [${x.shape}] differ in more than axis ${axis}`);
    }
  }
  return resized(node, shape.map((size, i) => (i === axis ? inputs.reduce((sum, x) => sum + x.shape[axis], 0) : size)));
}

/** @param {OpNode} node @returns {Info[]} */
export function stack(node) {
  const inputs = node.all('X'), { shape, dtype } = inputs[0], axis = axisOf(node.attrs.axis, shape.length + 1);
  for (const x of inputs) {
    if (x.dtype !== dtype || x.shape.join() !== shape.join()) throw new ShapeError(`${dtype}[${shape}] and ${x.dtype}[${x.shape}] differ`);
  }
  return resized(node, [...shape.slice(0, axis), inputs.length, ...shape.slice(axis)]);
}

/** num equal parts, or sections with at most one -1. @param {OpNode} node @returns {Info[]} */
export function split(node) {
  const { shape, dtype } = node.x(), { num, sections } = node.attrs, axis = axisOf(node.attrs.axis, shape.length);
  const sizes = sections.length ? [...sections] : node.names.map(() => shape[axis] / num);
  if (!sections.length && num !== sizes.length) throw new ShapeError(`it makes ${num} parts for ${sizes.length} names`);
  const sum = sizes.reduce((/** @type {number} */ total, /** @type {number} */ size) => total + Math.max(size, 0), 0);
  const open = sizes.indexOf(-1);
  if (open >= 0) sizes[open] = shape[axis] - sum;
  if (sizes.some((size) => !Number.isInteger(size) || size < 0) || sizes.length !== node.names.length || (open < 0 && sum !== shape[axis])) {
    const parts = sections.length ? `[${sections}]` : `${num} equal parts`;
    throw new ShapeError(`axis ${axis} of [${shape}] cannot be split into ${parts}`);
  }
  return sizes.map((size) => ({ shape: shape.map((s, i) => (i === axis ? size : s)), dtype }));
}
