// Picking by value, on the host: how much is picked shows at run time.
import { ANY, elements, INTEGER, NUMBER } from '../dtype.js';
import { axisOf, count, ShapeError, strides, unplanned } from '../node.js';
import { rules as decoding } from './decode.js';

/** @typedef {import('../node.js').HostNode} HostNode */
/** @typedef {import('../node.js').HostTensor} HostTensor */

/** Positions of what is not zero [K,rank]; NaN is not zero. @param {HostNode} node @returns {HostTensor[]} */
function whereIndex(node) {
  const { data, shape } = node.x('Condition'), step = strides(shape);
  /** @type {number[]} */
  const found = [];
  for (let i = 0; i < data.length; i++) {
    if (Number(data[i]) === 0) continue;
    for (let axis = 0; axis < shape.length; axis++) found.push(Math.floor(i / step[axis]) % shape[axis]);
  }
  return [{ data: elements(found, 'int64'), shape: [found.length / shape.length, shape.length], dtype: 'int64' }];
}

/** The elements of X under the true ones of Mask, both broadcast [K]. @param {HostNode} node @returns {HostTensor[]} */
function maskedSelect(node) {
  const x = node.x(), mask = node.x('Mask'), rank = Math.max(x.shape.length, mask.shape.length);
  const [xs, ms] = [x, mask].map(({ shape }) => [...new Array(rank - shape.length).fill(1), ...shape]);
  const dims = xs.map((size, i) => {
    if (size !== ms[i] && size !== 1 && ms[i] !== 1) throw new ShapeError(`[${x.shape}] and [${mask.shape}] do not fit`);
    return size === 1 ? ms[i] : size;
  });
  const [xStep, mStep] = [xs, ms].map((own) => strides(own).map((step, i) => (own[i] === 1 ? 0 : step)));
  const at = [];
  for (let i = 0; i < count(dims); i++) {
    let p = 0, q = 0;
    for (let axis = rank - 1, rest = i; axis >= 0; rest = Math.floor(rest / dims[axis--])) {
      p += rest % dims[axis] * xStep[axis];
      q += rest % dims[axis] * mStep[axis];
    }
    if (mask.data[q]) at.push(p);
  }
  return [{ data: picked(x.data, at), shape: [at.length], dtype: x.dtype }];
}

/** @param {HostTensor['data']} data @param {number[]} at @returns {HostTensor['data']} of the same type */
function picked(data, at) {
  const out = /** @type {any} */ (data.slice(0, 0).constructor);
  return out.from(at, (/** @type {number} */ i) => data[i]);
}

/**
 * Sorted values (slices along the axis), where each stands first, which of them every element is, how often each comes.
 * @param {HostNode} node @returns {HostTensor[]}
 */
function unique(node) {
  const x = node.x(), { axis: axes, dtype } = node.attrs, flat = axes.length ? x.shape : [count(x.shape)];
  const axis = axes.length ? axisOf(axes[0], flat.length) : 0, n = flat[axis], inner = count(flat.slice(axis + 1)), outer = count(flat.slice(0, axis));
  const at = (/** @type {number} */ i, /** @type {number} */ k) => (Math.floor(k / inner) * n + i) * inner + k % inner, parts = outer * inner;
  const compare = (/** @type {number} */ p, /** @type {number} */ q) => {
    for (let k = 0; k < parts; k++) {
      const a = x.data[at(p, k)], b = x.data[at(q, k)];
      if (a !== b) return a < b ? -1 : 1;
    }
    return 0;
  };
  const order = Array.from({ length: n }, (_, i) => i).sort(compare); // stable: the first of equals stays first
  const first = /** @type {number[]} */ ([]), counts = /** @type {number[]} */ ([]), inverse = new Array(n).fill(0);
  order.forEach((i, k) => {
    if (!k || compare(order[k - 1], i)) {
      first.push(i);
      counts.push(0);
    }
    inverse[i] = first.length - 1;
    counts[first.length - 1]++;
  });
  const values = [];
  for (let o = 0; o < outer; o++) for (const i of first) for (let k = 0; k < inner; k++) values.push((o * n + i) * inner + k);
  const shape = flat.map((size, i) => (i === axis ? first.length : size));
  return [{ data: picked(x.data, values), shape, dtype: x.dtype }, ...[first, inverse, counts].map(
    (list) => ({ data: elements(list, dtype), shape: [list.length], dtype }))];
}

/** @type {Record<string, import('../node.js').Rule>} */
export const rules = {
  where_index: { attrs: [], types: { Condition: ANY }, shape: unplanned, host: whereIndex },
  masked_select: { attrs: [], types: { X: ANY, Mask: ['bool'] }, shape: unplanned, host: maskedSelect },
  unique: {
    attrs: ['axis', 'dtype'], types: { X: NUMBER }, shape: unplanned, host: unique,
    check: ({ attrs }) => (INTEGER.includes(attrs.dtype) && attrs.axis.length < 2 ? '' : `axis [${attrs.axis}] with ${attrs.dtype}`),
  },
  ...decoding,
};
