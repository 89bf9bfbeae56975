// Functions of one element as kernels know them: a kind and three parameters. The kinds are the enum of unary/kernel.c.
import { f32 } from './node.js';

/** @typedef {{kind: number, alpha: number, beta: number, gamma: number}} Activation */

export const KINDS = [
  'clamp', 'sigmoid', 'tanh', 'swish', 'hard_swish', 'hard_sigmoid', 'leaky_relu', 'elu', 'gelu', 'gelu_tanh', 'mish',
  'softplus', 'exp', 'log', 'sqrt', 'rsqrt', 'square', 'abs', 'floor', 'ceil', 'round', 'sign', 'reciprocal', 'sin',
  'cos', 'erf', 'pow', 'affine', 'affine_after',
];

/** @param {string} kind @param {number} [alpha] @param {number} [beta] @param {number} [gamma] @returns {Activation} */
export function activation(kind, alpha = 0, beta = 0, gamma = 0) {
  const code = KINDS.indexOf(kind);
  if (code < 0) throw new RangeError(`no kernel computes ${kind}`);
  return { kind: code, alpha, beta, gamma };
}

export const NONE = activation('clamp', -Infinity, Infinity);

/** The activation that a fused operator ends with. @type {Record<string, (alpha: number, beta: number) => Activation>} */
const FUSED = {
  '': () => NONE,
  relu: () => activation('clamp', 0, Infinity),
  relu6: (alpha) => activation('clamp', 0, alpha),
  clip: (alpha, beta) => activation('clamp', alpha, beta),
  sigmoid: () => activation('sigmoid'),
  tanh: () => activation('tanh'),
  silu: () => activation('swish', 1),
  swish: (alpha) => activation('swish', alpha),
  mish: () => activation('mish'),
  gelu: () => activation('gelu'),
  hard_swish: () => activation('hard_swish', 6, 6, 3),
  hard_sigmoid: (alpha, beta) => activation('hard_sigmoid', alpha, beta),
  leaky_relu: (alpha) => activation('leaky_relu', alpha),
};

/** Attributes of an operator that can end with an activation. */
export const FUSE_ATTRS = ['fuse_activation', 'fuse_alpha', 'fuse_beta'];

/** @param {Record<string, any>} attrs @returns {Activation} */
export function fused({ fuse_activation, fuse_alpha, fuse_beta }) {
  return FUSED[fuse_activation](fuse_alpha, fuse_beta);
}

/** @param {{attrs: Record<string, any>}} op @returns {string} why its fused activation is refused, or '' */
export function checkFused({ attrs }) {
  return Object.hasOwn(FUSED, attrs.fuse_activation) ? '' : `fused activation ${JSON.stringify(attrs.fuse_activation)}`;
}

/** The four fields of the struct Activation. @param {Activation} act @returns {import('./node.js').Arg[]} */
export function actArgs({ kind, alpha, beta, gamma }) {
  return [kind, f32(alpha), f32(beta), f32(gamma)];
}

/** Whether it leaves its argument as it is. @param {Activation} act */
export const isNone = ({ kind, alpha, beta }) => kind === 0 && alpha === -Infinity && beta === Infinity;
