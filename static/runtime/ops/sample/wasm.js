// grid_sampler → grid_sample kernel; deformable_columns.
import { deformSizes, PADDINGS } from './index.js';

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = {
  grid_sampler(node, to) {
    const x = node.x(), [N, C, H, W] = x.shape, { mode, padding_mode: padding, align_corners: corners } = node.attrs;
    const places = node.out.shape[2] * node.out.shape[3];
    to.emit('grid_sample', [
      x, node.x('Grid'), node.out, N, C, H, W, places, PADDINGS.indexOf(padding), mode === 'nearest' ? 1 : 0, corners ? 1 : 0,
    ]);
  },
  deformable_columns(node, to) {
    const { N, C, G, OH, OW } = deformSizes(node), x = node.x('Input'), { kernel, strides, paddings, dilations } = node.attrs;
    to.emit('deformable_columns', [
      x, node.x('Offset'), node.maybe('Mask'), node.out, N, C, x.shape[2], x.shape[3], G, OH, OW, ...kernel, ...strides, ...paddings,
      ...dilations,
    ]);
  },
};
