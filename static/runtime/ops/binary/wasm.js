// Functions of two elements → binary kernel of the element type, compare where the result is bool.
import { actArgs, fused, NONE } from '../activation.js';
import { count, fixed } from '../node.js';
import { ARITHMETIC, BITWISE, broadcast, COMPARE, LOGICAL, merged } from './index.js';

const KERNEL = /** @type {Record<string, string>} */ ({ float32: 'binary', int32: 'binary_i32', int64: 'binary_i64' });
const COMPARE_KERNEL = /** @type {Record<string, string>} */ ({
  float32: 'compare_f32', int32: 'compare_i32', int64: 'compare_i64', bool: 'compare_u8', uint8: 'compare_u8',
});
const CODES = new Map([
  ...[...Object.keys(ARITHMETIC), ...Object.keys(BITWISE)].map((type, i) => /** @type {const} */ ([type, i])),
  ...[...Object.keys(COMPARE), ...Object.keys(LOGICAL)].map((type, i) => /** @type {const} */ ([type, i])),
]);

/** @param {import('../node.js').OpNode} node @param {import('../node.js').Emitter} to @param {string} kernel */
function emit(node, to, kernel) {
  const x = node.x('X'), y = node.x('Y');
  const { dims, xs, ys } = merged(broadcast(x.shape, y.shape, node.attrs.axis ?? -1));
  const act = node.attrs.fuse_activation ? fused(node.attrs) : NONE;
  to.emit(kernel, [
    x, y, node.out, CODES.get(node.type) ?? 0, dims.length, ...fixed(dims, 6), ...fixed(xs, 6), ...fixed(ys, 6), ...actArgs(act),
  ]);
}

/** @type {import('../node.js').Lower} */
function arithmetic(node, to) {
  const x = node.x('X'), y = node.x('Y'), n = count(node.out.shape);
  if (!(count(x.shape) === n && to.inPlace(x, node.out)) && count(y.shape) === n) to.inPlace(y, node.out);
  emit(node, to, KERNEL[x.dtype]);
}

/** @type {import('../node.js').Lower} */
const compare = (node, to) => emit(node, to, COMPARE_KERNEL[node.x('X').dtype]);

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = Object.fromEntries([
  ...[...Object.keys(ARITHMETIC), ...Object.keys(BITWISE)].map((type) => [type, arithmetic]),
  ...[...Object.keys(COMPARE), ...Object.keys(LOGICAL)].map((type) => [type, compare]),
]);
