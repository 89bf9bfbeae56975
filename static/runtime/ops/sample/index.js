// Pictures [N,C,H,W] read at computed places. grid_sampler: at Grid [N,OH,OW,2], pairs of column and row from -1 to 1 →
// [N,C,OH,OW]. deformable_columns: what each window holds, its pixels shifted by Offset → [N,C*kh*kw,OH,OW].
import { FLOAT } from '../dtype.js';
import { ShapeError } from '../node.js';

/** As in kernel.c. */
export const PADDINGS = ['zeros', 'border', 'reflection'];
const MODES = ['bilinear', 'nearest'];

/** @type {Record<string, import('../node.js').Rule>} */
export const rules = {
  grid_sampler: {
    attrs: ['mode', 'padding_mode', 'align_corners'],
    types: { X: FLOAT, Grid: FLOAT },
    check: ({ attrs: { mode, padding_mode: padding } }) => (
      !MODES.includes(mode) ? `mode ${JSON.stringify(mode)}` : PADDINGS.includes(padding) ? '' : `padding_mode ${JSON.stringify(padding)}`),
    shape: (node) => {
      const x = node.x().shape, grid = node.x('Grid').shape;
      if (x.length !== 4 || grid.length !== 4 || grid[0] !== x[0] || grid[3] !== 2) throw new ShapeError(`[${grid}] is no grid over [${x}]`);
      return [{ shape: [x[0], x[1], grid[1], grid[2]], dtype: 'float32' }];
    },
  },
  deformable_columns: {
    attrs: ['kernel', 'strides', 'paddings', 'dilations', 'deformable_groups'],
    types: { Input: FLOAT, Offset: FLOAT, 'Mask?': FLOAT },
    check: ({ attrs: { kernel, strides, paddings, dilations, deformable_groups: groups } }) => (
      [kernel, strides, paddings, dilations].every((list) => list.length === 2) && groups > 0 ? '' : 'this number of sizes'),
    shape: (node) => {
      const { N, C, OH, OW, taps } = deformSizes(node);
      return [{ shape: [N, C * taps, OH, OW], dtype: 'float32' }];
    },
  },
};

/** @param {import('../node.js').OpNode} node */
export function deformSizes(node) {
  const { kernel, strides, paddings, dilations, deformable_groups: G } = node.attrs, [N, C, ...picture] = node.x('Input').shape;
  const [OH, OW] = picture.map((size, i) => Math.floor((size + 2 * paddings[i] - dilations[i] * (kernel[i] - 1) - 1) / strides[i]) + 1);
  const taps = kernel[0] * kernel[1], given = { Offset: 2 * taps * G, Mask: taps * G };
  if (picture.length !== 2 || C % G) throw new ShapeError(`${G} groups do not fit [${node.x('Input').shape}]`);
  for (const [slot, channels] of Object.entries(given)) {
    const shape = node.maybe(slot)?.shape, wanted = [N, channels, OH, OW];
    if (shape && shape.join() !== wanted.join()) throw new ShapeError(`${slot} is [${shape}], not [${wanted}]`);
  }
  return { N, C, G, OH, OW, taps };
}
