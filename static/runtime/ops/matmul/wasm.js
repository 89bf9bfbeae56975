// fc → fc kernel on packed columns; matmul_v2 → matmul kernel, which packs its right side itself.
import { actArgs, fused } from '../activation.js';
import { UnsupportedError } from '../node.js';
import { fcSizes, matmulSizes } from './index.js';

const MOST_ROOM = 4 * 2 ** 20; // bytes of packed columns for all parts together

/** @param {number} n */
const eights = (n) => Math.ceil(n / 8) * 8;

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = {
  fc(node, to) {
    const { M, N, K } = fcSizes(node), w = node.x('W'), bias = node.maybe('Bias');
    if (!w.weight || (bias && !bias.weight)) throw new UnsupportedError('its matrix and bias must be constants');
    const columns = to.packed(w, 'pack_columns', 4 * eights(N) * K, [K, N, N, 1]);
    const padded = bias && to.packed(bias, 'pack_columns', 4 * eights(N), [1, N, N, 1]);
    to.emit('fc', [node.x('Input'), columns, padded, null, node.out, M, N, K, ...actArgs(fused(node.attrs))], M * N * K);
  },
  matmul_v2(node, to) {
    const { M, N, K, at, bt, am, ak, bk, bn } = matmulSizes(node);
    const batch = at.length, room = 4 * eights(N) * K, owns = batch > 1 && room * to.maxParts <= MOST_ROOM;
    to.emit('matmul', [
      node.x('X'), node.x('Y'), node.out, to.scratch(owns ? room * to.maxParts : room), to.data(at), to.data(bt), batch, M, N, K, am, ak, bk, bn,
    ], owns || batch === 1 ? batch * M * N * K : 0);
  },
};
