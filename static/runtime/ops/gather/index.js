// gather along an axis by a tensor of positions; pad3d, which reads through tables of positions.
import { ANY, INTEGER } from '../dtype.js';
import { axisOf, count, ShapeError } from '../node.js';

/** @typedef {import('../node.js').OpNode} OpNode */

/**
 * X as [outer][n][inner] around the axis, and how many positions are read.
 * @param {OpNode} node
 */
export function gatherSizes(node) {
  const { shape } = node.x(), index = node.x('Index').shape, axis = axisOf(node.attrs.axis, shape.length);
  if (index.length > 2 || (index.length === 2 && index[1] !== 1)) throw new ShapeError(`Index is [${index}], not one row of positions`);
  const [before, after] = [shape.slice(0, axis), shape.slice(axis + 1)];
  return {
    outer: count(before), n: shape[axis], inner: count(after), positions: count(index),
    shape: [...before, ...(index.length ? [count(index)] : []), ...after],
  };
}

/** @param {OpNode} node @returns {number[][]|null} */
function evaluateGather(node) {
  const { outer, n, inner, positions } = gatherSizes(node), x = node.x().host, index = node.x('Index').host;
  if (!x || !index) return null;
  const out = [];
  for (let o = 0; o < outer; o++) {
    for (let p = 0; p < positions; p++) {
      const at = index[p] < 0 ? index[p] + n : index[p];
      if (at < 0 || at >= n) throw new ShapeError(`position ${index[p]} is outside an axis of ${n}`);
      for (let i = 0; i < inner; i++) out.push(x[(o * n + at) * inner + i]);
    }
  }
  return [out];
}

/**
 * Where each position of a padded axis reads; -1 for the constant.
 * @param {number} size @param {number} before @param {number} after @param {string} mode
 * @returns {Int32Array}
 */
function positions(size, before, after, mode) {
  if (mode === 'reflect' && Math.max(before, after) >= size) {
    throw new ShapeError(`reflection by ${Math.max(before, after)} does not fit an axis of ${size}`);
  }
  return Int32Array.from({ length: before + size + after }, (_, i) => {
    const at = i - before;
    if (at >= 0 && at < size) return at;
    if (mode === 'constant') return -1;
    if (mode === 'replicate') return at < 0 ? 0 : size - 1;
    if (mode === 'circular') return ((at % size) + size) % size;
    return at < 0 ? -at : 2 * size - 2 - at;
  });
}

/**
 * The remap that pads X: [outer][D][H][W][inner], one table per axis.
 * @param {OpNode} node
 */
export function padTables(node) {
  const { paddings, mode, data_format: layout } = node.attrs, { shape } = node.x(), rank = shape.length;
  if (rank !== 4 && rank !== 5) throw new ShapeError(`it takes a 4-D or 5-D tensor, not [${shape}]`);
  const last = layout.endsWith('C'), first = last ? 1 : 2, sizes = shape.slice(first, first + rank - 2);
  if (rank === 4 && (paddings[4] || paddings[5])) throw new ShapeError('a 4-D tensor has no front and back to pad');
  const pairs = [[paddings[4], paddings[5]], [paddings[2], paddings[3]], [paddings[0], paddings[1]]].slice(5 - rank);
  const tables = sizes.map((size, i) => positions(size, pairs[i][0], pairs[i][1], mode));
  const padded = tables.map((table) => table.length);
  const full = rank === 5 ? { sizes, tables } : { sizes: [1, ...sizes], tables: [Int32Array.of(0), ...tables] };
  return {
    ...full, outer: last ? shape[0] : shape[0] * shape[1], inner: last ? shape[rank - 1] : 1,
    shape: last ? [shape[0], ...padded, shape[rank - 1]] : [shape[0], shape[1], ...padded],
  };
}

/** @param {{attrs: Record<string, any>}} op */
function checkPad({ attrs }) {
  const { paddings, mode, data_format: layout } = attrs;
  if (!['constant', 'reflect', 'replicate', 'circular'].includes(mode)) return `mode ${JSON.stringify(mode)}`;
  if (!['NCDHW', 'NDHWC', 'NCHW', 'NHWC'].includes(layout)) return `data layout ${JSON.stringify(layout)}`;
  return paddings.length === 6 && paddings.every((/** @type {number} */ p) => p >= 0) ? '' : `paddings [${paddings}]`;
}

/** @type {Record<string, import('../node.js').Rule>} */
export const rules = {
  gather: {
    attrs: ['axis'],
    types: { X: ANY, Index: INTEGER },
    shape: (node) => [{ shape: gatherSizes(node).shape, dtype: node.x().dtype }],
    evaluate: evaluateGather,
  },
  lookup_table_v2: {
    attrs: [],
    types: { W: ANY, Ids: INTEGER },
    shape: (node) => {
      const { shape, dtype } = node.x('W');
      if (shape.length !== 2) throw new ShapeError(`W is [${shape}], not a table of rows`);
      return [{ shape: [...node.x('Ids').shape, shape[1]], dtype }];
    },
  },
  pad3d: {
    attrs: ['paddings', 'mode', 'value', 'data_format'],
    types: { X: ANY },
    check: checkPad,
    shape: (node) => [{ shape: padTables(node).shape, dtype: node.x().dtype }],
  },
};
