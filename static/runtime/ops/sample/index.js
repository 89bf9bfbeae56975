// grid_sampler: X [N,C,H,W] read at Grid [N,OH,OW,2], pairs of column and row from -1 to 1 → [N,C,OH,OW].
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
};
