// nearest → remap kernel, bilinear and bicubic → kernels of their own; all with tables per axis.
import { channelsLast, stored } from '../node.js';
import { cubicAxis, linearAxis, nearestAxis, resizeSizes } from './index.js';

/** @typedef {import('../node.js').OpNode} OpNode */

/** Planes and the elements of a pixel: four, and fewer planes, in blocked pictures. @param {OpNode} node */
function sizesOf(node) {
  const found = resizeSizes(node), [N, C] = node.x().shape;
  return node.x().blocked ? { ...found, outer: N * Math.ceil(C / 4), inner: 4 } : found;
}

/** @type {import('../node.js').LayoutRule} */
const layout = (node) => (channelsLast(node.attrs.data_layout) ? 'plain' : 'either');

/** @type {Record<string, import('../node.js').LayoutRule>} */
export const layouts = { nearest_interp_v2: layout, bilinear_interp_v2: layout };

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = {
  nearest_interp_v2(node, to) {
    const { sizes, out, outer, inner } = sizesOf(node), wide = inner === 4; // four floats are one element

    const [rows, columns] = sizes.map((size, i) => to.data(nearestAxis(size, out[i], node.attrs.align_corners)));
    const zero = to.data(Int32Array.of(0, 0, 0, 0)); // one plane, and the fill value that is never read
    to.emit('remap', [
      node.x(), node.out, zero, zero, rows, columns, wide ? 16 : 4, outer, 1, ...sizes, 1, out[0].size, out[1].size, wide ? 1 : inner,
    ], 8 * stored(node.out));
  },
  bilinear_interp_v2(node, to) {
    const { sizes, out, outer, inner } = sizesOf(node), { align_corners: corners, align_mode: mode } = node.attrs;
    const tables = sizes.flatMap((size, i) => {
      const { low, high, part } = linearAxis(size, out[i], corners, mode);
      return [to.data(low), to.data(high), to.data(part)];
    });
    to.emit('bilinear', [node.x(), node.out, ...tables, outer, ...sizes, out[0].size, out[1].size, inner], 32 * stored(node.out));
  },
  bicubic_interp_v2(node, to) {
    const { sizes, out, outer, inner } = resizeSizes(node);
    const tables = sizes.flatMap((size, i) => {
      const { at, weight } = cubicAxis(size, out[i], node.attrs.align_corners);
      return [to.data(at), to.data(weight)];
    });
    to.emit('bicubic', [node.x(), node.out, ...tables, outer, ...sizes, out[0].size, out[1].size, inner]);
  },
};
