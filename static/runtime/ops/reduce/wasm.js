// Reductions → one reduce kernel per run of axes; arg_max and arg_min → arg_max kernel.
import { BYTES, CODE } from '../dtype.js';
import { count, f32, stored } from '../node.js';
import { argSizes, passes, REDUCE, reducedAxes } from './index.js';

const KERNEL = /** @type {Record<string, string>} */ ({
  float32: 'reduce', int32: 'reduce_i32', int64: 'reduce_i64', bool: 'reduce_u8',
});

/** Whether every plane becomes one number, at the same place in both layouts. @param {import('../node.js').OpNode} node */
function takesPlanes(node) {
  const { shape: [N, C], dtype } = node.x(), whole = node.type === 'reduce_mean' || node.type === 'reduce_max';
  return whole && dtype === 'float32' && reducedAxes(node).join() === 'false,false,true,true' && (N === 1 || C % 4 === 0);
}

/** @type {Record<string, import('../node.js').LayoutRule>} */
export const layouts = Object.fromEntries(['reduce_mean', 'reduce_max'].map((type) => [type, (node) => (takesPlanes(node) ? 'either' : 'plain')]));

/** @type {import('../node.js').Lower} */
function reduction(node, to) {
  const x = node.x(), { dtype } = node.out, { op, mean } = REDUCE[node.type];
  if (x.blocked) {
    const [N, C, H, W] = x.shape;
    to.emit('pool_whole', [x, node.out, N * Math.ceil(C / 4), H * W, mean ? 1 : 0, f32(mean ? 1 / (H * W) : 1)], 8 * stored(x));
    return;
  }
  const steps = passes(x.shape, reducedAxes(node)), total = steps.reduce((n, step) => n * step.n, 1);
  /** @type {import('../node.js').Value|import('../node.js').Block} */
  let from = x;
  if (dtype !== x.dtype) {
    from = to.scratch(count(x.shape) * BYTES[dtype]);
    to.emit('cast', [x, from, count(x.shape), CODE[x.dtype], CODE[dtype]]);
  }
  steps.forEach(({ outer, n, inner }, i) => {
    const last = i === steps.length - 1, dest = last ? node.out : to.scratch(outer * inner * BYTES[dtype]);
    to.emit(KERNEL[dtype], [from, dest, outer, n, inner, op, f32(last && mean ? 1 / total : 1)]);
    from = dest;
  });
}

/** @param {number} smallest @returns {import('../node.js').Lower} */
const position = (smallest) => (node, to) => {
  to.emit('arg_max', [node.x(), node.out, ...argSizes(node), node.attrs.dtype === 'int64' ? 1 : 0, smallest]);
};

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = {
  ...Object.fromEntries(Object.keys(REDUCE).map((type) => [type, reduction])),
  arg_max: position(0),
  arg_min: position(1),
};
