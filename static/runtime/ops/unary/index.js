// Functions of one element: X of any shape → Out of the same shape. A row of the table is an operator.
import { activation } from '../activation.js';
import { ANY, FLOAT, INTEGER, NUMBER, rounded } from '../dtype.js';
import { like } from '../node.js';

/** @typedef {import('../node.js').OpNode} OpNode */
/** @typedef {import('../activation.js').Activation} Activation */
/** @typedef {Record<string, any>} Attrs */
/**
 * @typedef {object} Row
 * @property {string[]} [attrs]
 * @property {(attrs: Attrs) => Activation} act the kernel's function
 * @property {boolean} [rare] computed by the kernel `special` instead of `unary`
 * @property {string[]} [types] element types; float32 alone unless said
 * @property {(x: number, attrs: Attrs) => number} [host] the same on a host number
 */

/** @param {number} x @param {number} low @param {number} high */
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

/** @param {Attrs} attrs */
const affine = ({ scale, bias, bias_after_scale: after }) => activation(after ? 'affine' : 'affine_after', scale, bias);

/** @param {number} factor @returns {Activation} */
function power(factor) {
  if (factor === 1) return activation('clamp', -Infinity, Infinity);
  return factor === 2 ? activation('square') : activation('pow', factor);
}

/** The functions of unary/special.c, in its order. */
const RARE = [
  'softsign', 'tanh_shrink', 'softshrink', 'hard_shrink', 'thresholded_relu', 'logsigmoid', 'celu', 'selu', 'stanh', 'expm1',
  'log1p', 'log2', 'log10', 'tan', 'asin', 'acos', 'atan', 'sinh', 'cosh', 'asinh', 'acosh', 'atanh',
];

/** @param {string} type @param {string[]} [attrs] its parameters, alpha and beta of the kernel @returns {Row} */
function rare(type, attrs = []) {
  return {
    attrs, rare: true,
    act: (a) => ({ kind: RARE.indexOf(type), alpha: a[attrs[0]] ?? 0, beta: a[attrs[1]] ?? 0, gamma: 0 }),
  };
}

/** @type {Record<string, Row>} */
export const UNARY = {
  relu: { act: () => activation('clamp', 0, Infinity), types: NUMBER, host: (x) => Math.max(x, 0) },
  relu6: { attrs: ['threshold'], act: (a) => activation('clamp', 0, a.threshold) },
  clip: { attrs: ['min', 'max'], act: (a) => activation('clamp', a.min, a.max), types: NUMBER, host: (x, a) => clamp(x, a.min, a.max) },
  sigmoid: { act: () => activation('sigmoid') },
  tanh: { act: () => activation('tanh') },
  silu: { act: () => activation('swish', 1) },
  swish: { attrs: ['beta'], act: (a) => activation('swish', a.beta) },
  hard_swish: { attrs: ['threshold', 'scale', 'offset'], act: (a) => activation('hard_swish', a.threshold, a.scale, a.offset) },
  hard_sigmoid: { attrs: ['slope', 'offset'], act: (a) => activation('hard_sigmoid', a.slope, a.offset) },
  leaky_relu: { attrs: ['alpha'], act: (a) => activation('leaky_relu', a.alpha) },
  elu: { attrs: ['alpha'], act: (a) => activation('elu', a.alpha) },
  gelu: { attrs: ['approximate'], act: (a) => activation(a.approximate ? 'gelu_tanh' : 'gelu') },
  mish: { act: () => activation('mish') },
  softplus: { attrs: ['beta', 'threshold'], act: (a) => activation('softplus', a.beta, a.threshold) },
  exp: { act: () => activation('exp') },
  log: { act: () => activation('log') },
  sqrt: { act: () => activation('sqrt'), host: Math.sqrt },
  rsqrt: { act: () => activation('rsqrt') },
  square: { act: () => activation('square'), types: NUMBER, host: (x) => x * x },
  abs: { act: () => activation('abs'), types: NUMBER, host: Math.abs },
  floor: { act: () => activation('floor'), host: Math.floor },
  ceil: { act: () => activation('ceil'), host: Math.ceil },
  round: { act: () => activation('round') },
  sign: { act: () => activation('sign'), types: NUMBER, host: Math.sign },
  reciprocal: { act: () => activation('reciprocal'), host: (x) => 1 / x },
  sin: { act: () => activation('sin') },
  cos: { act: () => activation('cos') },
  erf: { act: () => activation('erf') },
  pow: { attrs: ['factor'], act: (a) => power(a.factor) },
  softsign: rare('softsign'),
  tanh_shrink: rare('tanh_shrink'),
  softshrink: rare('softshrink', ['lambda']),
  hard_shrink: rare('hard_shrink', ['threshold']),
  thresholded_relu: rare('thresholded_relu', ['threshold', 'value']),
  logsigmoid: rare('logsigmoid'),
  celu: rare('celu', ['alpha']),
  selu: rare('selu', ['scale', 'alpha']),
  stanh: rare('stanh', ['scale_a', 'scale_b']),
  ...Object.fromEntries(['expm1', 'log1p', 'log2', 'log10', 'tan', 'asin', 'acos', 'atan', 'sinh', 'cosh', 'asinh', 'acosh',
    'atanh'].map((type) => [type, rare(type)])),
  bitwise_not: { act: () => activation('affine', -1, -1), types: INTEGER, host: (x) => -x - 1 },
  scale: {
    attrs: ['scale', 'bias', 'bias_after_scale'], act: affine, types: NUMBER,
    host: (x, { scale: k, bias: b, bias_after_scale: after }) => (after ? x * k + b : (x + b) * k),
  },
};

/**
 * On integers the parameters are integers, as Paddle casts them; infinities become the type's ends.
 * @param {Attrs} attrs @param {string} dtype @returns {Attrs}
 */
export function castAttrs(attrs, dtype) {
  if (dtype === 'float32') return attrs;
  const end = dtype === 'int32' ? 2 ** 31 - 1 : Number.MAX_SAFE_INTEGER;
  return Object.fromEntries(Object.entries(attrs).map(
    ([key, value]) => [key, typeof value === 'number' ? Math.trunc(clamp(value, -end - 1, end)) : value]));
}

/** @param {Row} row @returns {import('../node.js').Rule} */
function ruleOf({ attrs = [], types = FLOAT, host }) {
  /** @param {OpNode} node */
  const evaluate = (node) => {
    const x = node.x(), parameters = castAttrs(node.attrs, x.dtype);
    return host && x.host ? [x.host.map((n) => rounded(host(n, parameters), x.dtype))] : null;
  };
  return { attrs, types: { X: types }, shape: (node) => [like(node.x())], ...(host ? { evaluate } : {}) };
}

/** Classes of float; the order is the enum of unary/special.c. @type {Record<string, (x: number) => boolean>} */
export const CLASSES = {
  isnan_v2: Number.isNaN, isinf_v2: (x) => Math.abs(x) === Infinity, isfinite_v2: Number.isFinite,
};

/** @param {(x: number) => boolean} test @returns {import('../node.js').Rule} */
const classRule = (test) => ({
  attrs: [], types: { X: FLOAT },
  shape: (node) => [{ shape: node.x().shape, dtype: 'bool' }],
  evaluate: (node) => [(node.x().host ?? []).map((x) => Number(test(x)))],
});

/** @type {Record<string, import('../node.js').Rule>} */
export const rules = {
  ...Object.fromEntries(Object.entries(CLASSES).map(([type, test]) => [type, classRule(test)])),
  ...Object.fromEntries(Object.entries(UNARY).map(([type, row]) => [type, ruleOf(row)])),
  logical_not: {
    attrs: [], types: { X: ['bool'] },
    shape: (node) => [like(node.x())],
    evaluate: (node) => [(node.x().host ?? []).map((n) => (n ? 0 : 1))],
  },
  cast: {
    attrs: ['out_dtype'], types: { X: ANY },
    check: ({ attrs }) => (ANY.includes(attrs.out_dtype) ? '' : `a cast to ${attrs.out_dtype}`),
    shape: (node) => [{ shape: node.x().shape, dtype: node.attrs.out_dtype }],
    evaluate: (node) => [(node.x().host ?? []).map((n) => rounded(n, node.attrs.out_dtype))],
    alias: (node) => (node.x().dtype === node.attrs.out_dtype ? [{ of: node.x(), elements: 0 }] : null),
  },
};
