// Picking and changing elements at places that a tensor names: gather_nd, take_along_axis and their opposites, one_hot.
import { ANY, FLOAT, INTEGER, NUMBER } from '../dtype.js';
import { axisOf, count, like, ShapeError } from '../node.js';

/** @typedef {import('../node.js').OpNode} OpNode */
/** @typedef {import('../node.js').Rule} Rule */

/**
 * Index [..,K] counts along the first K axes of X; what lies behind them moves as a whole.
 * @param {OpNode} node
 */
export function ndSizes(node) {
  const { shape } = node.x(), index = node.x('Index').shape, K = index[index.length - 1] ?? 0;
  if (K < 1 || K > shape.length) throw new ShapeError(`Index [${index}] does not fit [${shape}]`);
  const dims = shape.slice(0, K), rest = shape.slice(K);
  return { dims, inner: count(rest), positions: count(index) / K, shape: [...index.slice(0, -1), ...rest] };
}

/** @param {OpNode} node */
export function scatterSizes(node) {
  const { shape } = node.x(), ids = node.x('Ids').shape, updates = node.x('Updates').shape, positions = count(ids);
  if (ids.length > 2 || (ids.length === 2 && ids[1] !== 1)) throw new ShapeError(`Ids is [${ids}], not one row of positions`);
  if (updates.join() !== [positions, ...shape.slice(1)].join()) {
    throw new ShapeError(`Updates is [${updates}], not [${[positions, ...shape.slice(1)]}]`);
  }
  return { dims: shape.slice(0, 1), inner: count(shape.slice(1)), positions };
}

/**
 * Index has the rank of Input and, but for the axis, no larger sizes.
 * @param {OpNode} node
 */
export function alongAxis(node) {
  const { shape } = node.x('Input'), index = node.x('Index').shape, axis = axisOf(node.attrs.Axis, shape.length);
  if (index.length !== shape.length || index.some((size, i) => i !== axis && size > shape[i])) {
    throw new ShapeError(`Index [${index}] does not fit [${shape}] along axis ${axis}`);
  }
  return { index, axis };
}

/** @param {OpNode} node @param {string} slot @param {number[]} shape @param {string} dtype */
function same(node, slot, shape, dtype) {
  const value = node.x(slot);
  if (value.shape.join() !== shape.join() || value.dtype !== dtype) {
    throw new ShapeError(`${slot} is ${value.dtype}[${value.shape}], not ${dtype}[${shape}]`);
  }
}

/** As in kernel.c. @type {Record<string, number>} */
export const REDUCE = { assign: 0, add: 1, mul: 2, amax: 5, amin: 6 };

/** @type {Record<string, Rule>} */
export const rules = {
  gather_nd: {
    attrs: [],
    types: { X: ANY, Index: INTEGER },
    shape: (node) => [{ shape: ndSizes(node).shape, dtype: node.x().dtype }],
  },
  take_along_axis: {
    attrs: ['Axis'],
    types: { Input: ANY, Index: INTEGER },
    shape: (node) => [{ shape: alongAxis(node).index, dtype: node.x('Input').dtype }],
  },
  put_along_axis: {
    attrs: ['Axis', 'Reduce'],
    types: { Input: NUMBER, Index: INTEGER, Value: NUMBER },
    check: ({ attrs }) => (Object.hasOwn(REDUCE, attrs.Reduce) ? '' : `Reduce ${JSON.stringify(attrs.Reduce)}`),
    shape: (node) => {
      same(node, 'Value', alongAxis(node).index, node.x('Input').dtype);
      return [like(node.x('Input'))];
    },
  },
  scatter: {
    attrs: ['overwrite'],
    types: { X: NUMBER, Ids: INTEGER, Updates: NUMBER },
    shape: (node) => {
      scatterSizes(node);
      same(node, 'Updates', node.x('Updates').shape, node.x().dtype);
      return [like(node.x())];
    },
  },
  scatter_nd_add: {
    attrs: [],
    types: { X: NUMBER, Index: INTEGER, Updates: NUMBER },
    shape: (node) => {
      same(node, 'Updates', ndSizes(node).shape, node.x().dtype);
      return [like(node.x())];
    },
  },
  one_hot_v2: {
    attrs: ['depth', 'dtype'],
    types: { X: INTEGER },
    check: ({ attrs }) => ([...FLOAT, ...INTEGER].includes(attrs.dtype) ? '' : `dtype ${attrs.dtype}`),
    shape: (node) => [{ shape: [...node.x().shape, node.attrs.depth], dtype: node.attrs.dtype }],
  },
};
