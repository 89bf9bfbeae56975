// fc: rows of Input times a constant matrix. matmul_v2: batches of two computed matrices, broadcast as in numpy.
import { FUSE_ATTRS, checkFused } from '../activation.js';
import { FLOAT } from '../dtype.js';
import { count, ShapeError, strides } from '../node.js';

/** @typedef {import('../node.js').OpNode} OpNode */

/** @param {OpNode} node @returns {{M: number, N: number, K: number, lead: number[]}} */
export function fcSizes(node) {
  const x = node.x('Input').shape, w = node.x('W').shape, split = node.attrs.in_num_col_dims;
  const lead = x.slice(0, split), K = count(x.slice(split));
  if (w.length !== 2 || w[0] !== K) throw new ShapeError(`rows of ${K} from [${x}] do not fit a matrix [${w}]`);
  return { M: count(lead), N: w[1], K, lead };
}

/**
 * matmul_v2 as a batch of M x K times K x N products.
 * @param {OpNode} node
 */
export function matmulSizes(node) {
  const x = node.x('X').shape, y = node.x('Y').shape, { trans_x: tx, trans_y: ty } = node.attrs;
  if (!x.length || !y.length) throw new ShapeError('it takes no scalars');
  const xs = x.length === 1 ? [1, ...x] : x, ys = y.length === 1 ? [...y, 1] : y;
  const swapX = tx && x.length > 1, swapY = ty && y.length > 1;
  const [a, b] = xs.slice(-2), [c, d] = ys.slice(-2);
  const [M, K] = swapX ? [b, a] : [a, b], [K2, N] = swapY ? [d, c] : [c, d];
  if (K !== K2) throw new ShapeError(`[${x}] and [${y}] do not fit: ${K} against ${K2}`);
  const batch = broadcast(xs.slice(0, -2), ys.slice(0, -2));
  const shape = [...batch, ...(x.length > 1 ? [M] : []), ...(y.length > 1 ? [N] : [])];
  return {
    M, N, K, shape, at: offsets(batch, xs.slice(0, -2), a * b), bt: offsets(batch, ys.slice(0, -2), c * d),
    am: swapX ? 1 : K, ak: swapX ? M : 1, bk: swapY ? 1 : N, bn: swapY ? K : 1,
  };
}

/** @param {number[]} p @param {number[]} q @returns {number[]} */
function broadcast(p, q) {
  const rank = Math.max(p.length, q.length);
  return Array.from({ length: rank }, (_, i) => {
    const a = p[i - rank + p.length] ?? 1, b = q[i - rank + q.length] ?? 1;
    if (a !== b && a !== 1 && b !== 1) throw new ShapeError(`batches [${p}] and [${q}] do not fit`);
    return a === 1 ? b : a;
  });
}

/** Element offset of each matrix of the batch in an operand. @param {number[]} batch @param {number[]} own @param {number} size */
function offsets(batch, own, size) {
  const step = strides(own), list = new Int32Array(count(batch));
  for (let i = 0; i < list.length; i++) {
    for (let axis = batch.length - 1, rest = i; axis >= 0; rest = Math.floor(rest / batch[axis--])) {
      const mine = axis - batch.length + own.length;
      if (mine >= 0 && own[mine] > 1) list[i] += rest % batch[axis] * step[mine] * size;
    }
  }
  return list;
}

/** @type {Record<string, import('../node.js').Rule>} */
export const rules = {
  fc: {
    attrs: ['in_num_col_dims', ...FUSE_ATTRS],
    types: { Input: FLOAT, W: FLOAT, 'Bias?': FLOAT },
    check: checkFused,
    shape: (node) => {
      const { lead, N } = fcSizes(node);
      return [{ shape: [...lead, N], dtype: 'float32' }];
    },
  },
  matmul_v2: {
    attrs: ['trans_x', 'trans_y'],
    types: { X: FLOAT, Y: FLOAT },
    shape: (node) => [{ shape: matmulSizes(node).shape, dtype: 'float32' }],
  },
};
