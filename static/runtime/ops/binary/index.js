// Functions of two elements with Paddle's broadcasting: the smaller operand's dimensions start at `axis` of the larger.
import { FUSE_ATTRS, checkFused } from '../activation.js';
import { ANY, INTEGER, NUMBER, rounded } from '../dtype.js';
import { count, ShapeError, strides } from '../node.js';

/** @typedef {import('../node.js').OpNode} OpNode */
/** @typedef {import('../node.js').Value} Value */
/** @typedef {{dims: number[], xs: number[], ys: number[]}} Broadcast merged shape, element strides of both operands */

/** @param {number} p @param {number} q the sign of q, as in Python */
const modulo = (p, q) => p - Math.floor(p / q) * q;

/** Arithmetic; the order is the enum of binary/kernel.c. @type {Record<string, (p: number, q: number) => number>} */
export const ARITHMETIC = {
  elementwise_add: (p, q) => p + q,
  elementwise_sub: (p, q) => p - q,
  elementwise_mul: (p, q) => p * q,
  elementwise_div: (p, q) => p / q,
  elementwise_max: (p, q) => Math.max(p, q),
  elementwise_min: (p, q) => Math.min(p, q),
  elementwise_pow: (p, q) => p ** q,
  elementwise_mod: modulo,
  elementwise_floordiv: (p, q) => Math.floor(p / q),
  elementwise_fmax: (p, q) => (Number.isNaN(p) ? q : Number.isNaN(q) ? p : Math.max(p, q)),
  elementwise_fmin: (p, q) => (Number.isNaN(p) ? q : Number.isNaN(q) ? p : Math.min(p, q)),
  atan2: Math.atan2,
};

/** On integers alone; in the enum of binary/kernel.c behind arithmetic. @type {Record<string, (p: bigint, q: bigint) => bigint>} */
export const BITWISE = {
  bitwise_and: (p, q) => p & q,
  bitwise_or: (p, q) => p | q,
  bitwise_xor: (p, q) => p ^ q,
};

/** To bool; the order is the enum of binary/kernel.c. @type {Record<string, (p: number, q: number) => boolean>} */
export const COMPARE = {
  equal: (p, q) => p === q,
  not_equal: (p, q) => p !== q,
  less_than: (p, q) => p < q,
  less_equal: (p, q) => p <= q,
  greater_than: (p, q) => p > q,
  greater_equal: (p, q) => p >= q,
};

/** On bool, as the comparisons. @type {Record<string, (p: number, q: number) => boolean>} */
export const LOGICAL = {
  logical_and: (p, q) => p !== 0 && q !== 0,
  logical_or: (p, q) => p !== 0 || q !== 0,
  logical_xor: (p, q) => (p !== 0) !== (q !== 0),
};

/**
 * The smaller operand's shape at the larger one's rank.
 * @param {number[]} small @param {number[]} large @param {number} axis
 * @returns {number[]}
 */
function aligned(small, large, axis) {
  const rank = large.length;
  if (axis === -1 || small.length === rank) return [...new Array(rank - small.length).fill(1), ...small];
  const start = axis < 0 ? axis + rank : axis;
  let shape = small;
  while (shape.length > 1 && shape[shape.length - 1] === 1 && start + shape.length > rank) shape = shape.slice(0, -1);
  if (start < 0 || start + shape.length > rank) throw new ShapeError(`[${small}] does not fit into [${large}] at axis ${axis}`);
  return [...new Array(start).fill(1), ...shape, ...new Array(rank - start - shape.length).fill(1)];
}

/**
 * Result shape, and for every dimension the strides of the operands in elements, 0 where one repeats.
 * @param {number[]} x @param {number[]} y @param {number} axis
 * @returns {Broadcast}
 */
export function broadcast(x, y, axis) {
  const swapped = x.length < y.length;
  const p = swapped ? aligned(x, y, axis) : x, q = swapped ? y : aligned(y, x, axis);
  const dims = p.map((a, i) => {
    if (a !== q[i] && a !== 1 && q[i] !== 1) throw new ShapeError(`[${x}] and [${y}] do not fit: ${a} against ${q[i]}`);
    return a === 1 ? q[i] : a;
  });
  const ps = strides(p), qs = strides(q);
  return { dims, xs: ps.map((s, i) => (p[i] === 1 ? 0 : s)), ys: qs.map((s, i) => (q[i] === 1 ? 0 : s)) };
}

/**
 * The same with neighbouring dimensions joined where both operands allow it; at least one dimension.
 * @param {Broadcast} full @returns {Broadcast}
 */
export function merged({ dims, xs, ys }) {
  /** @type {Broadcast} */
  const out = { dims: [], xs: [], ys: [] };
  for (let i = dims.length - 1; i >= 0; i--) {
    if (dims[i] === 1) continue;
    const n = out.dims[0];
    if (n !== undefined && xs[i] === out.xs[0] * n && ys[i] === out.ys[0] * n) {
      out.dims[0] *= dims[i];
    } else {
      out.dims.unshift(dims[i]);
      out.xs.unshift(xs[i]);
      out.ys.unshift(ys[i]);
    }
  }
  return out.dims.length ? out : { dims: [1], xs: [0], ys: [0] };
}

/** @param {OpNode} node */
function operands(node) {
  const x = node.x('X'), y = node.x('Y');
  if (x.dtype !== y.dtype) throw new ShapeError(`it takes two tensors of one type, not ${x.dtype} and ${y.dtype}`);
  return { x, y, ...broadcast(x.shape, y.shape, node.attrs.axis ?? -1) };
}

/** @param {(p: number, q: number) => number|boolean} f @param {(node: OpNode) => string} dtypeOf */
const evaluateBy = (f, dtypeOf) => (/** @type {OpNode} */ node) => {
  const { x, y, dims, xs, ys } = operands(node), out = new Array(count(dims)), step = strides(dims);
  if (!x.host || !y.host || node.attrs.fuse_activation) return null;
  if (x.dtype !== 'float32' && /div|mod/.test(node.type) && y.host.includes(0)) throw new ShapeError('division by zero');
  for (let i = 0; i < out.length; i++) {
    let p = 0, q = 0;
    for (let axis = 0; axis < dims.length; axis++) {
      const at = Math.floor(i / step[axis]) % dims[axis];
      p += at * xs[axis];
      q += at * ys[axis];
    }
    out[i] = rounded(Number(f(x.host[p], y.host[q])), dtypeOf(node));
  }
  return out.every((n) => x.dtype === 'float32' || Number.isSafeInteger(n)) ? [out] : null;
};

const FLOATS_ONLY = ['elementwise_fmax', 'elementwise_fmin', 'atan2'];

/** @param {(p: number, q: number) => number} f @returns {import('../node.js').Rule} */
const arithmetic = (f) => ({
  attrs: ['axis', ...FUSE_ATTRS],
  types: { X: NUMBER, Y: NUMBER },
  check: checkFused,
  shape: (node) => {
    const { x, dims } = operands(node);
    if (x.dtype !== 'float32' && FLOATS_ONLY.includes(node.type)) throw new ShapeError(`it takes no ${x.dtype}`);
    if (node.attrs.fuse_activation && x.dtype !== 'float32') throw new ShapeError('integers take no activation');
    return [{ shape: dims, dtype: x.dtype }];
  },
  evaluate: evaluateBy(f, (node) => node.x('X').dtype),
});

/** @param {(p: bigint, q: bigint) => bigint} f @returns {import('../node.js').Rule} */
const bitwise = (f) => ({
  attrs: [],
  types: { X: INTEGER, Y: INTEGER },
  shape: (node) => [{ shape: operands(node).dims, dtype: node.x('X').dtype }],
  evaluate: evaluateBy((p, q) => Number(f(BigInt(p), BigInt(q))), (node) => node.x('X').dtype),
});

/** @param {(p: number, q: number) => boolean} f @param {string[]} attrs @param {string[]} types @returns {import('../node.js').Rule} */
const comparison = (f, attrs, types) => ({
  attrs,
  types: { X: types, Y: types },
  shape: (node) => [{ shape: operands(node).dims, dtype: 'bool' }],
  evaluate: evaluateBy(f, () => 'bool'),
});

/** @type {Record<string, import('../node.js').Rule>} */
export const rules = Object.fromEntries([
  ...Object.entries(ARITHMETIC).map(([type, f]) => [type, arithmetic(f)]),
  ...Object.entries(BITWISE).map(([type, f]) => [type, bitwise(f)]),
  ...Object.entries(COMPARE).map(([type, f]) => [type, comparison(f, ['axis'], ANY.filter((dtype) => dtype !== 'int8'))]),
  ...Object.entries(LOGICAL).map(([type, f]) => [type, comparison(f, [], ['bool'])]),
]);
