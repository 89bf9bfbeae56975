// gather_nd and the scatters → places kernel; take_along_axis and put_along_axis → along kernel; one_hot.
import { BYTES, CODE, elements } from '../dtype.js';
import { count, fixed, strides } from '../node.js';
import { alongAxis, ndSizes, REDUCE, scatterSizes } from './index.js';

/** @typedef {import('../node.js').Emitter} Emitter */
/** @typedef {import('../node.js').Value} Value */

const ASSIGN = 0, ADD = 1, READ = 3, ZERO = 4; // as in kernel.c

/** @param {Value} index */
const wide = (index) => (index.dtype === 'int64' ? 1 : 0);

/** Y starts as X. @param {Emitter} to @param {Value} x @param {Value} y */
function copied(to, x, y) {
  if (to.inPlace(x, y)) return;
  to.emit('copy', [x, y, BYTES[x.dtype], 1, ...[[count(x.shape)], [1], [1]].flatMap((list) => fixed(list, 12))]);
}

/**
 * @param {Emitter} to @param {number} how @param {Value} whole @param {Value} index @param {Value} parts
 * @param {{dims: number[], inner: number, positions: number}} sizes
 */
function emitPlaces(to, how, whole, index, parts, { dims, inner, positions }) {
  to.emit('places', [
    whole, index, parts, ...fixed(dims, 6), dims.length, positions, inner, BYTES[whole.dtype], CODE[whole.dtype], wide(index), how,
  ]);
}

/** @param {import('../node.js').OpNode} node @param {Emitter} to @param {number} how @param {Value} whole @param {Value} parts */
function emitAlong(node, to, how, whole, parts) {
  const { index, axis } = alongAxis(node), { shape } = node.x('Input'), at = node.x('Index');
  to.emit('along', [
    whole, at, parts, ...fixed(index, 6), ...fixed(strides(shape), 6), index.length, axis, shape[axis], BYTES[whole.dtype],
    CODE[whole.dtype], wide(at), how,
  ]);
}

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = {
  gather_nd: (node, to) => emitPlaces(to, READ, node.x(), node.x('Index'), node.out, ndSizes(node)),
  take_along_axis: (node, to) => emitAlong(node, to, READ, node.x('Input'), node.out),
  put_along_axis(node, to) {
    copied(to, node.x('Input'), node.out);
    emitAlong(node, to, REDUCE[node.attrs.Reduce], node.out, node.x('Value'));
  },
  scatter(node, to) {
    const sizes = scatterSizes(node), ids = node.x('Ids'), updates = node.x('Updates');
    copied(to, node.x(), node.out);
    if (!node.attrs.overwrite) emitPlaces(to, ZERO, node.out, ids, updates, sizes);
    emitPlaces(to, node.attrs.overwrite ? ASSIGN : ADD, node.out, ids, updates, sizes);
  },
  scatter_nd_add(node, to) {
    copied(to, node.x(), node.out);
    emitPlaces(to, ADD, node.out, node.x('Index'), node.x('Updates'), ndSizes(node));
  },
  one_hot_v2(node, to) {
    const { depth, dtype } = node.attrs, x = node.x();
    to.emit('one_hot', [x, node.out, to.data(elements([1], dtype)), count(x.shape), depth, BYTES[dtype], wide(x)]);
  },
};
