// Every function of one element that steps may end with, on plain numbers: what a shader's expression has to compute.

/** @typedef {import('../../static/runtime/gpu/step.js').Act} Act */

/** @param {number} x @param {number} low @param {number} high */
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const { exp, tanh, log1p, abs } = Math;
/** @param {number} x */
const sigmoid = (x) => 1 / (1 + exp(-x));

/** Halves to even. @param {number} x */
function round(x) {
  const down = Math.floor(x), rest = x - down;
  return rest < 0.5 || (rest === 0.5 && down % 2 === 0) ? down : down + 1;
}

/** By its Maclaurin series, or its continued fraction far out. @param {number} x */
function erf(x) {
  const t = abs(x);
  if (t > 4) return Math.sign(x);
  let sum = t, term = t;
  for (let n = 1; n < 120; n++) {
    term *= -t * t / n;
    sum += term / (2 * n + 1);
  }
  return Math.sign(x) * 2 / Math.sqrt(Math.PI) * sum;
}

/** @type {Record<string, (x: number, alpha: number, beta: number, gamma: number) => number>} */
const FUNCTIONS = {
  clamp, sigmoid, tanh,
  swish: (x, alpha) => x * sigmoid(alpha * x),
  hard_swish: (x, alpha, beta, gamma) => x * clamp(x + gamma, 0, alpha) / beta,
  hard_sigmoid: (x, alpha, beta) => clamp(alpha * x + beta, 0, 1),
  leaky_relu: (x, alpha) => (x < 0 ? alpha * x : x),
  elu: (x, alpha) => (x < 0 ? alpha * Math.expm1(x) : x),
  gelu: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  gelu_tanh: (x) => 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x ** 3))),
  mish: (x) => x * tanh(log1p(exp(Math.min(x, 30)))),
  softplus: (x, alpha, beta) => (alpha * x > beta ? x : log1p(exp(alpha * x)) / alpha),
  exp, log: Math.log, sqrt: Math.sqrt, rsqrt: (x) => 1 / Math.sqrt(x), square: (x) => x * x, abs,
  floor: Math.floor, ceil: Math.ceil, round, sign: Math.sign, reciprocal: (x) => 1 / x, sin: Math.sin, cos: Math.cos, erf,
  pow: (x, alpha) => x ** alpha,
  affine: (x, alpha, beta) => x * alpha + beta, affine_after: (x, alpha, beta) => (x + beta) * alpha,
  softsign: (x) => x / (1 + abs(x)), tanh_shrink: (x) => x - tanh(x),
  softshrink: (x, alpha) => (x > alpha ? x - alpha : x < -alpha ? x + alpha : 0),
  hard_shrink: (x, alpha) => (x > -alpha && x < alpha ? 0 : x),
  thresholded_relu: (x, alpha, beta) => (x > alpha ? x : beta),
  logsigmoid: (x) => Math.min(x, 0) - log1p(exp(-abs(x))),
  celu: (x, alpha) => (x > 0 ? x : alpha * Math.expm1(x / alpha)),
  selu: (x, alpha, beta) => alpha * (x > 0 ? x : beta * Math.expm1(x)),
  stanh: (x, alpha, beta) => beta * tanh(alpha * x),
  expm1: Math.expm1, log1p, log2: Math.log2, log10: Math.log10, tan: Math.tan, asin: Math.asin, acos: Math.acos,
  atan: Math.atan, sinh: Math.sinh, cosh: Math.cosh, asinh: Math.asinh, acosh: Math.acosh, atanh: Math.atanh,
};

/** @param {Act} act @returns {(x: number) => number} */
export const functionOf = ({ kind, alpha, beta, gamma }) => (x) => FUNCTIONS[kind](x, alpha, beta, gamma);
