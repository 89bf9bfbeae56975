// argsort and top_k_v2 (Out: values, then their positions), running sums and products along an axis.
import { CODE, NUMBER } from '../dtype.js';
import { axisOf, count, like, ShapeError } from '../node.js';

/** @typedef {import('../node.js').OpNode} OpNode */
/** @typedef {import('../node.js').Rule} Rule */

/**
 * X as [outer][n][inner] around an axis, and how many of n are wanted.
 * @param {OpNode} node
 */
export function sortSizes(node) {
  const { shape } = node.x(), axis = axisOf(node.attrs.axis, shape.length), n = shape[axis] ?? 1;
  const k = node.type === 'argsort' ? n : node.integers([node.attrs.k], 'K')[0];
  if (!(k >= 1 && k <= n)) throw new ShapeError(`it cannot take ${k} of ${n}`);
  return {
    outer: count(shape.slice(0, axis)), n, inner: count(shape.slice(axis + 1)), k,
    shape: shape.map((size, i) => (i === axis ? k : size)),
  };
}

/** @param {OpNode} node */
function sorted(node) {
  const { shape } = sortSizes(node);
  return [{ shape, dtype: node.x().dtype }, { shape, dtype: 'int64' }];
}

/** The arguments of the running kernel: outer, n, inner, element type. @param {OpNode} node @returns {number[]} */
export function runningSizes(node) {
  const { shape, dtype } = node.x(), { axis = node.attrs.dim, flatten = false } = node.attrs;
  if (flatten) return [1, count(shape), 1, CODE[dtype]];
  const at = axisOf(axis, shape.length);
  return [count(shape.slice(0, at)), shape[at] ?? 1, count(shape.slice(at + 1)), CODE[dtype]];
}

/** @type {Record<string, Rule>} */
export const rules = {
  argsort: { attrs: ['axis', 'descending'], types: { X: NUMBER }, shape: sorted },
  top_k_v2: { attrs: ['k', 'axis', 'largest', 'sorted'], types: { X: NUMBER, 'K?': ['int32', 'int64'] }, shape: sorted },
  cumsum: {
    attrs: ['axis', 'flatten', 'exclusive', 'reverse'],
    types: { X: NUMBER },
    shape: (node) => {
      const { shape, dtype } = node.x();
      runningSizes(node);
      return [{ shape: node.attrs.flatten ? [count(shape)] : shape, dtype }];
    },
  },
  cumprod: {
    attrs: ['dim', 'exclusive', 'reverse'],
    types: { X: NUMBER },
    shape: (node) => {
      runningSizes(node);
      return [like(node.x())];
    },
  },
};
