// Functions of two elements → binary kernel of the element type, compare where the result is bool.
import { actArgs, fused, NONE } from '../activation.js';
import { count, fixed, stored } from '../node.js';
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
  ], kernel === 'binary' && dims.length === 1 ? 8 * dims[0] : 0);
}

/** @typedef {import('../node.js').OpNode} OpNode */
/** @typedef {import('../node.js').Value} Value */

const CHANNELWISE = ['elementwise_add', 'elementwise_sub', 'elementwise_mul', 'elementwise_div', 'elementwise_max', 'elementwise_min'];

/** @param {Value} value */
const isConstant = ({ weight, host }) => weight || host !== null;

/**
 * How an operand meets a blocked result: element by element, one number for all, or one per channel.
 * @param {OpNode} node @param {Value} value @param {number} axis where its shape begins in the result's
 * @returns {'all'|'one'|'channels'|null}
 */
function fit(node, value, axis) {
  const { shape } = node.out, [N, C] = shape, own = value.shape;
  if (count(own) === 1) return isConstant(value) || own.length < 4 ? 'one' : null;
  if (own.length === 4 && !isConstant(value) && count(own) === count(shape)) return 'all';
  const at = axis < 0 ? 4 - own.length : axis;
  const aligned = own.every((size, i) => size === 1 || i + at === 1 || (i + at === 0 && size === N && !isConstant(value)));
  const packable = own.length === 4 ? !isConstant(value) : value.weight;
  return CHANNELWISE.includes(node.type) && aligned && packable && own[1 - at] === C ? 'channels' : null;
}

/** Both operands' fits, where blocked pictures can be the result. @param {OpNode} node */
function fits(node) {
  const x = node.x('X'), y = node.x('Y'), axis = node.attrs.axis ?? -1;
  if (x.dtype !== 'float32' || node.out.shape.length !== 4) return null;
  const pair = [fit(node, x, -1), fit(node, y, axis)], full = pair.indexOf('all');
  return full < 0 || pair.includes(null) ? null : { full, other: pair[1 - full] };
}

/** @param {OpNode} node @param {import('../node.js').Emitter} to */
function blockedArithmetic(node, to) {
  const { full = 0, other } = fits(node) ?? {}, operands = [node.x('X'), node.x('Y')], out = node.out, n = stored(out);
  const act = actArgs(node.attrs.fuse_activation ? fused(node.attrs) : NONE), op = CODES.get(node.type) ?? 0;
  if (!to.inPlace(operands[full], out) && other === 'all') to.inPlace(operands[1], out);
  if (other !== 'channels') {
    const steps = other === 'all' ? [1, 1] : [full === 0 ? 1 : 0, full];
    to.emit('binary', [...operands, out, op, 1, ...fixed([n], 6), ...fixed([steps[0]], 6), ...fixed([steps[1]], 6), ...act], 8 * n);
    return;
  }
  const [N, C, H, W] = out.shape, blocks = Math.ceil(C / 4), value = operands[1 - full];
  const table = value.weight ? to.packed(value, 'pack_blocks', 16 * blocks, [C, 1, 1, 4]) : value;
  const repeat = value.weight || value.shape[0] === 1 ? blocks : N * blocks;
  to.emit('channelwise', [operands[full], table, out, op, full, N * blocks, H * W, repeat, ...act], 8 * n);
}

/** @type {import('../node.js').Lower} */
function arithmetic(node, to) {
  if (node.out.blocked) return blockedArithmetic(node, to);
  const x = node.x('X'), y = node.x('Y'), n = count(node.out.shape);
  if (!(count(x.shape) === n && to.inPlace(x, node.out)) && count(y.shape) === n) to.inPlace(y, node.out);
  return emit(node, to, KERNEL[x.dtype]);
}

/** @type {Record<string, import('../node.js').LayoutRule>} */
export const layouts = Object.fromEntries(Object.keys(ARITHMETIC).map((type) => [type, (node) => (fits(node) ? 'either' : 'plain')]));

/** @type {import('../node.js').Lower} */
const compare = (node, to) => emit(node, to, COMPARE_KERNEL[node.x('X').dtype]);

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = Object.fromEntries([
  ...[...Object.keys(ARITHMETIC), ...Object.keys(BITWISE)].map((type) => [type, arithmetic]),
  ...[...Object.keys(COMPARE), ...Object.keys(LOGICAL)].map((type) => [type, compare]),
]);
