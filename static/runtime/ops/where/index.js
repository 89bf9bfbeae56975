// where: one of two tensors, element by element, all three broadcast as in numpy; tril_triu: a triangle, zeros beside it.
import { ANY } from '../dtype.js';
import { like, ShapeError, strides } from '../node.js';

/** @typedef {import('../node.js').OpNode} OpNode */

/**
 * The common shape, and the strides of every operand in it, 0 where it repeats.
 * @param {number[][]} shapes
 */
export function broadcastAll(shapes) {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  const full = shapes.map((shape) => [...new Array(rank - shape.length).fill(1), ...shape]);
  const dims = Array.from({ length: rank }, (_, i) => {
    const sizes = full.map((shape) => shape[i]).filter((size) => size !== 1);
    if (sizes.some((size) => size !== sizes[0])) throw new ShapeError(`${shapes.map((shape) => `[${shape}]`).join(', ')} do not fit`);
    return sizes[0] ?? 1;
  });
  return { dims, steps: full.map((shape) => strides(shape).map((step, i) => (shape[i] === 1 ? 0 : step))) };
}

/** @type {Record<string, import('../node.js').Rule>} */
export const rules = {
  where: {
    attrs: [],
    types: { Condition: ['bool'], X: ANY, Y: ANY },
    shape: (node) => {
      const x = node.x(), y = node.x('Y');
      if (x.dtype !== y.dtype) throw new ShapeError(`it takes two tensors of one type, not ${x.dtype} and ${y.dtype}`);
      return [{ shape: broadcastAll([node.x('Condition').shape, x.shape, y.shape]).dims, dtype: x.dtype }];
    },
  },
  tril_triu: {
    attrs: ['diagonal', 'lower'],
    types: { X: ANY },
    shape: (node) => {
      if (node.x().shape.length < 2) throw new ShapeError(`it takes matrices, not [${node.x().shape}]`);
      return [like(node.x())];
    },
  },
};
