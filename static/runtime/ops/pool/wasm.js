// pool2d → pool kernel with window tables, or a reduction where one window covers the plane.
import { emitSwap, f32 } from '../node.js';
import { poolWindow } from './index.js';

/** @typedef {import('./index.js').Span} Span */
/** @typedef {import('../node.js').Emitter} Emitter */

const SUM = 0, MAX = 1; // as in reduce/kernel.c

/** @param {Span[]} spans @param {number} size */
const isWhole = (spans, size) => spans.length === 1 && spans[0].start === 0 && spans[0].stop === size;

/** @param {Emitter} to @param {Span[]} spans */
function tables(to, spans) {
  return [
    to.data(Int32Array.from(spans, (span) => span.start)), to.data(Int32Array.from(spans, (span) => span.stop)),
    to.data(Int32Array.from(spans, (span) => span.area)),
  ];
}

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = {
  pool2d(node, to) {
    const { N, C, H, W, rows, columns, last } = poolWindow(node), average = node.attrs.pooling_type === 'avg';
    const whole = isWhole(rows, H) && isWhole(columns, W), factor = average && whole ? 1 / (rows[0].area * columns[0].area) : 1;
    if (node.x().blocked) {
      const planes = N * Math.ceil(C / 4), n = planes * 32 * H * W;
      if (whole) to.emit('pool_whole', [node.x(), node.out, planes, H * W, average ? 1 : 0, f32(factor)], n);
      else {
        const sizes = [planes, H, W, rows.length, columns.length, average ? 1 : 0];
        to.emit('pool_blocked', [node.x(), node.out, ...tables(to, rows), ...tables(to, columns), ...sizes], n);
      }
      return;
    }
    if (whole) {
      const [outer, inner] = last ? [N, C] : [N * C, 1];
      to.emit('reduce', [node.x(), node.out, outer, H * W, inner, average ? SUM : MAX, f32(factor)]);
      return;
    }
    const OP = rows.length * columns.length, row = to.scratch(4 * W + 16);
    const x = last ? to.scratch(4 * N * C * H * W) : node.x(), y = last ? to.scratch(4 * N * C * OP) : node.out;
    if (last) emitSwap(to, node.x(), x, N, H * W, C);
    to.emit('pool', [
      x, y, row, ...tables(to, rows), ...tables(to, columns), N * C, H, W, rows.length, columns.length, average ? 1 : 0,
    ]);
    if (last) emitSwap(to, y, node.out, N, C, OP);
  },
};

/** @type {Record<string, import('../node.js').LayoutRule>} */
export const layouts = { pool2d: (node) => (poolWindow(node).last ? 'plain' : 'either') };
