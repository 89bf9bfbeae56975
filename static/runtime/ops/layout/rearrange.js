// Shapes and moves of operators that reverse, roll and shuffle, that repeat rows over a grid, or write into a part.
import { rounded } from '../dtype.js';
import { axisOf, channelsLast, count, ShapeError, strides } from '../node.js';
import { cutOf } from './shapes.js';

/** @typedef {import('../node.js').OpNode} OpNode */
/** @typedef {import('../node.js').Info} Info */
/** @typedef {import('../node.js').Move} Move */
/** @typedef {import('../node.js').Value} Value */
/** @typedef {{from: number, to: number, size: number}} Span a run of one axis, and where it goes */

/** @param {number[]} list @param {number[]} steps */
const dot = (list, steps) => list.reduce((sum, n, i) => sum + n * steps[i], 0);

/** One number that moves can read. @param {string} dtype @param {number} number @returns {Value} */
function constant(dtype, number) {
  return { name: `the number ${number}`, shape: [1], dtype, host: [number], weight: false, block: null, offset: 0 };
}

/** @param {OpNode} node @returns {Move[]} */
export function flip(node) {
  const x = node.x(), { shape } = x, step = strides(shape);
  const turned = node.attrs.axis.map((/** @type {number} */ axis) => axisOf(axis, shape.length));
  const ss = step.map((s, i) => (turned.includes(i) ? -s : s));
  const fromAt = shape.reduce((at, size, i) => at + (turned.includes(i) ? (size - 1) * step[i] : 0), 0);
  return [{ from: x, to: node.out, dims: shape, ss, ds: step, fromAt, toAt: 0 }];
}

/** Every combination of one span per axis as a move between tensors of one shape. @param {Value} from @param {Value} to
 * @param {number[]} shape @param {Span[][]} spans @returns {Move[]} */
function pieces(from, to, shape, spans) {
  const step = strides(shape);
  /** @type {Span[][]} */
  const all = spans.reduce((/** @type {Span[][]} */ rows, list) => rows.flatMap((row) => list.map((span) => [...row, span])), [[]]);
  return all.map((row) => ({
    from, to, dims: row.map(({ size }) => size), ss: step, ds: step,
    fromAt: dot(row.map((span) => span.from), step), toAt: dot(row.map((span) => span.to), step),
  }));
}

/** @param {OpNode} node @returns {Move[]} */
export function roll(node) {
  const x = node.x(), { shifts, axis } = node.attrs, shape = axis.length ? x.shape : [count(x.shape)];
  const spans = shape.map((size) => [{ from: 0, to: 0, size }]);
  const axes = axis.length ? axis : [0];
  const total = shape.map(() => 0);
  axes.forEach((/** @type {number} */ named, /** @type {number} */ i) => {
    total[axisOf(named, shape.length)] += shifts[i];
  });
  shape.forEach((size, i) => {
    const by = ((total[i] % size) + size) % size;
    if (by) spans[i] = [{ from: 0, to: by, size: size - by }, { from: size - by, to: 0, size: by }];
  });
  return pieces(x, node.out, shape, spans);
}

/** @param {OpNode} node */
function unshuffleSizes(node) {
  const { shape } = node.x(), r = node.attrs.downscale_factor, last = channelsLast(node.attrs.data_format);
  const [N, C, H, W] = last ? [shape[0], shape[3], shape[1], shape[2]] : shape;
  if (shape.length !== 4 || H % r || W % r) throw new ShapeError(`[${shape}] cannot be cut into blocks of ${r} x ${r}`);
  return { N, C, H: H / r, W: W / r, r, last };
}

/** @param {OpNode} node @returns {Info[]} */
export function unshuffleShape(node) {
  const { N, C, H, W, r, last } = unshuffleSizes(node);
  return [{ shape: last ? [N, H, W, C * r * r] : [N, C * r * r, H, W], dtype: node.x().dtype }];
}

/** @param {OpNode} node @returns {Move[]} */
export function unshuffle(node) {
  const { N, C, H, W, r, last } = unshuffleSizes(node), row = W * r;
  const dims = last ? [N, H, W, C, r, r] : [N, C, r, r, H, W];
  const ss = last
    ? [C * H * r * row, r * row * C, r * C, 1, row * C, C]
    : [C * H * r * row, H * r * row, row, 1, r * row, r];
  return [{ from: node.x(), to: node.out, dims, ss, ds: strides(dims), fromAt: 0, toAt: 0 }];
}

/** @param {OpNode} node @returns {Move[]} */
export function channelShuffle(node) {
  const x = node.x(), { shape } = x, { groups } = node.attrs, axis = channelsLast(node.attrs.data_format) ? shape.length - 1 : 1;
  const each = shape[axis] / groups, inner = count(shape.slice(axis + 1));
  if (!Number.isInteger(each)) throw new ShapeError(`${shape[axis]} channels cannot be split into ${groups} groups`);
  const dims = [count(shape.slice(0, axis)), each, groups, inner];
  return [{ from: x, to: node.out, dims, ss: [shape[axis] * inner, inner, each * inner, 1], ds: strides(dims), fromAt: 0, toAt: 0 }];
}

/** The first channels from the step before, as many from the one after; zeros where there is none. @param {OpNode} node @returns {Move[]} */
export function temporalShift(node) {
  const x = node.x(), { shape } = x, { seg_num: T, shift_ratio: ratio } = node.attrs, last = channelsLast(node.attrs.data_format);
  if (shape.length !== 4 || shape[0] % T) throw new ShapeError(`[${shape}] cannot be split into steps of ${T}`);
  const C = last ? shape[3] : shape[1], first = Math.trunc(Math.fround(C * Math.fround(ratio)));
  const second = Math.trunc(Math.fround(2 * C * Math.fround(ratio)));
  const whole = last ? [shape[0] / T, T, shape[1] * shape[2], C] : [shape[0] / T, T, C, shape[2] * shape[3]];
  const channels = last ? 3 : 2, step = strides(whole);
  const zero = constant(x.dtype, 0);
  /** @param {number} start @param {number} size @param {Span} steps @param {boolean} [none] @returns {Move} */
  const part = (start, size, steps, none = false) => {
    const dims = whole.map((n, i) => (i === 1 ? steps.size : i === channels ? size : n)), at = start * step[channels];
    return {
      from: none ? zero : x, to: node.out, dims, ss: none ? dims.map(() => 0) : step, ds: step,
      fromAt: none ? 0 : at + steps.from * step[1], toAt: at + steps.to * step[1],
    };
  };
  return [
    part(0, first, { from: 0, to: 1, size: T - 1 }), part(0, first, { from: 0, to: 0, size: 1 }, true),
    part(first, second - first, { from: 1, to: 0, size: T - 1 }),
    part(first, second - first, { from: 0, to: T - 1, size: 1 }, true),
    part(second, C - second, { from: 0, to: 0, size: T }),
  ].filter(({ dims }) => count(dims) > 0);
}

/** @param {OpNode} node @returns {Info[]} */
export function padShape(node) {
  const { shape, dtype } = node.x(), { paddings } = node.attrs;
  if (paddings.length !== 2 * shape.length) throw new ShapeError(`paddings [${paddings}] do not fit [${shape}]`);
  return [{ shape: shape.map((size, i) => paddings[2 * i] + size + paddings[2 * i + 1]), dtype }];
}

/** The number everywhere, then X over it. @param {OpNode} node @returns {Move[]} */
export function pad(node) {
  const x = node.x(), { paddings, pad_value: number } = node.attrs, ds = strides(node.out.shape), n = count(node.out.shape);
  const fill = constant(x.dtype, rounded(number, x.dtype)), starts = x.shape.map((_, i) => paddings[2 * i]);
  return [
    { from: fill, to: node.out, dims: [n], ss: [0], ds: [1], fromAt: 0, toAt: 0 },
    { from: x, to: node.out, dims: x.shape, ss: strides(x.shape), ds, fromAt: 0, toAt: dot(starts, ds) },
  ];
}

/** @param {OpNode} node @returns {Info[]} */
export function repeatShape(node) {
  const { shape, dtype } = node.x(), { repeats, dim } = node.attrs, axis = axisOf(dim, shape.length);
  if (!shape.length || repeats < 1) throw new ShapeError(`[${shape}] cannot be repeated ${repeats} times along ${dim}`);
  return [{ shape: shape.map((size, i) => (i === axis ? size * repeats : size)), dtype }];
}

/** @param {OpNode} node @returns {Move[]} */
export function repeat(node) {
  const { shape } = node.x(), axis = axisOf(node.attrs.dim, shape.length), inner = count(shape.slice(axis + 1));
  const dims = [count(shape.slice(0, axis + 1)), node.attrs.repeats, inner];
  return [{ from: node.x(), to: node.out, dims, ss: [inner, 0, 1], ds: strides(dims), fromAt: 0, toAt: 0 }];
}

/** @param {OpNode} node @returns {Info[]} */
export function gridShape(node) {
  const inputs = node.all('X'), shape = inputs.map((x) => count(x.shape));
  return inputs.map(({ dtype }) => ({ shape, dtype }));
}

/** @param {OpNode} node @returns {Move[]} */
export function meshgrid(node) {
  return node.all('X').map((from, k) => {
    const to = node.outputs[k], dims = to.shape;
    return { from, to, dims, ss: dims.map((_, i) => (i === k ? 1 : 0)), ds: strides(dims), fromAt: 0, toAt: 0 };
  });
}

/** The input, then the value over a strided slice of it. @param {OpNode} node @returns {Move[]} */
export function setValue(node) {
  const x = node.x('Input'), value = node.x('ValueTensor'), { shape } = x, step = strides(shape), cut = cutOf(node);
  if (value.dtype !== x.dtype) throw new ShapeError(`it cannot write ${value.dtype} into ${x.dtype}`);
  const drop = node.attrs.decrease_axes.map((/** @type {number} */ axis) => axisOf(axis, shape.length));
  const kept = cut.map((_, i) => i).filter((i) => !drop.includes(i)), own = strides(value.shape);
  const ss = cut.map(() => 0), lead = value.shape.length - kept.length;
  value.shape.forEach((size, i) => {
    const axis = kept[i - lead];
    if (size !== 1 && (axis === undefined || cut[axis].size !== size)) {
      throw new ShapeError(`[${value.shape}] does not fit into [${kept.map((k) => cut[k].size)}]`);
    }
    if (size !== 1) ss[axis] = own[i];
  });
  const n = count(shape);
  return [
    { from: x, to: node.out, dims: [n], ss: [1], ds: [1], fromAt: 0, toAt: 0 },
    {
      from: value, to: node.out, dims: cut.map(({ size }) => size), ss, ds: cut.map((c, i) => c.step * step[i]), fromAt: 0,
      toAt: dot(cut.map(({ start }) => start), step),
    },
  ];
}
