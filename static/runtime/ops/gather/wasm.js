// gather and lookup_table_v2 → gather kernel; pad3d → remap kernel with a table per axis.
import { BYTES, elements } from '../dtype.js';
import { count } from '../node.js';
import { gatherSizes, padTables } from './index.js';

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = {
  gather(node, to) {
    const x = node.x(), index = node.x('Index'), { outer, n, inner, positions } = gatherSizes(node);
    to.emit('gather', [x, index, node.out, outer, n, positions, inner * BYTES[x.dtype], index.dtype === 'int64' ? 1 : 0]);
  },
  lookup_table_v2(node, to) {
    const w = node.x('W'), ids = node.x('Ids'), [rows, width] = w.shape;
    to.emit('gather', [w, ids, node.out, 1, rows, count(ids.shape), width * BYTES[w.dtype], ids.dtype === 'int64' ? 1 : 0]);
  },
  pad3d(node, to) {
    const x = node.x(), { outer, inner, sizes, tables } = padTables(node);
    const fill = to.data(elements([node.attrs.value], x.dtype));
    const lengths = tables.map((table) => table.length);
    to.emit('remap', [x, node.out, fill, ...tables.map((table) => to.data(table)), BYTES[x.dtype], outer, ...sizes, ...lengths, inner]);
  },
};
