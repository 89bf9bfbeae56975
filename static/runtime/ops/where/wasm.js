// where → where kernel; tril_triu → the same with a table of the triangle.
import { BYTES, elements } from '../dtype.js';
import { count, fixed } from '../node.js';
import { broadcastAll } from './index.js';

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = {
  where(node, to) {
    const given = [node.x('Condition'), node.x(), node.x('Y')];
    const { dims, steps } = broadcastAll(given.map(({ shape }) => shape));
    to.emit('where', [...given, node.out, BYTES[node.out.dtype], dims.length, ...[dims, ...steps].flatMap((list) => fixed(list, 6))]);
  },
  tril_triu(node, to) {
    const { shape, dtype } = node.x(), [M, N] = shape.slice(-2), { diagonal, lower: low } = node.attrs;
    const inside = Uint8Array.from({ length: M * N }, (_, i) => {
      const right = i % N - Math.floor(i / N);
      return Number(low ? right <= diagonal : right >= diagonal);
    });
    const lists = [[count(shape) / (M * N), M * N], [0, 1], [M * N, 1], [0, 0]];
    const zero = to.data(elements([0], dtype));
    to.emit('where', [to.data(inside), node.x(), zero, node.out, BYTES[dtype], 2, ...lists.flatMap((list) => fixed(list, 6))]);
  },
};
