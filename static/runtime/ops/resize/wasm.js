// nearest → remap kernel, bilinear and bicubic → kernels of their own; all with tables per axis.
import { cubicAxis, linearAxis, nearestAxis, resizeSizes } from './index.js';

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = {
  nearest_interp_v2(node, to) {
    const { sizes, out, outer, inner } = resizeSizes(node);
    const [rows, columns] = sizes.map((size, i) => to.data(nearestAxis(size, out[i], node.attrs.align_corners)));
    const zero = to.data(Int32Array.of(0)); // one plane, and the fill value that is never read
    to.emit('remap', [node.x(), node.out, zero, zero, rows, columns, 4, outer, 1, ...sizes, 1, out[0].size, out[1].size, inner]);
  },
  bilinear_interp_v2(node, to) {
    const { sizes, out, outer, inner } = resizeSizes(node), { align_corners: corners, align_mode: mode } = node.attrs;
    const tables = sizes.flatMap((size, i) => {
      const { low, high, part } = linearAxis(size, out[i], corners, mode);
      return [to.data(low), to.data(high), to.data(part)];
    });
    to.emit('bilinear', [node.x(), node.out, ...tables, outer, ...sizes, out[0].size, out[1].size, inner]);
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
