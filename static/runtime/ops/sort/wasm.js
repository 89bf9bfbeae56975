// argsort and top_k_v2 → sort kernel; cumsum and cumprod → running kernel.
import { CODE } from '../dtype.js';
import { runningSizes, sortSizes } from './index.js';

/** @type {import('../node.js').Lower} */
function sort(node, to) {
  const { outer, n, inner, k } = sortSizes(node), [values, positions] = node.outputs, { descending, largest } = node.attrs;
  to.emit('sort', [
    node.x(), values, positions, to.scratch(8 * n), outer, n, inner, k, CODE[node.x().dtype], descending ?? largest ? 1 : 0,
  ]);
}

/** @param {number} product @returns {import('../node.js').Lower} */
const running = (product) => (node, to) => {
  const { exclusive, reverse } = node.attrs;
  to.emit('running', [node.x(), node.out, ...runningSizes(node), product, exclusive ? 1 : 0, reverse ? 1 : 0]);
};

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = { argsort: sort, top_k_v2: sort, cumsum: running(0), cumprod: running(1) };
