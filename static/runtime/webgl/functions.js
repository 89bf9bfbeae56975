// Functions of one and two elements as GLSL: a row is an operator. x, b: vec4; a, b, g: parameters.

/** @typedef {import('../gpu/step.js').Act} Act */

/** Expressions of `x` with the parameters ALPHA, BETA, GAMMA; a second entry is a function that they call. @type {Record<string, [string, ...string[]]>} */
const UNARY = {
  clamp: ['clampf(x, ALPHA, BETA)', 'clampf'],
  sigmoid: ['sigmoid(x)', 'sigmoid'],
  tanh: ['tanhf(x)', 'tanhf'],
  swish: ['x * sigmoid(x * ALPHA)', 'sigmoid'],
  hard_swish: ['x * clampf(x + GAMMA, 0., ALPHA) / BETA', 'clampf'],
  hard_sigmoid: ['clampf(x * ALPHA + BETA, 0., 1.)', 'clampf'],
  leaky_relu: ['mix(x, x * ALPHA, lessThan(x, vec4(0.)))'],
  elu: ['mix(x, ALPHA * expm1f(x), lessThan(x, vec4(0.)))', 'expm1f'],
  gelu: ['.5 * x * (1. + erff(x * .70710678118654752))', 'erff'],
  gelu_tanh: ['.5 * x * (1. + tanhf(.7978845608028654 * (x + .044715 * x * x * x)))', 'tanhf'],
  mish: ['mish(x)', 'mish'],
  softplus: ['mix(softplus(x * ALPHA) / ALPHA, x, greaterThan(x * ALPHA, vec4(BETA)))', 'softplus'],
  exp: ['exp(x)'],
  log: ['logf(x)', 'logf'],
  sqrt: ['sqrt(x)'],
  rsqrt: ['1. / sqrt(x)'],
  square: ['x * x'],
  abs: ['abs(x)'],
  floor: ['floor(x)'],
  ceil: ['ceil(x)'],
  round: ['roundEven(x)'],
  sign: ['sign(x)'],
  reciprocal: ['1. / x'],
  sin: ['sin(x)'],
  cos: ['cos(x)'],
  erf: ['erff(x)', 'erff'],
  pow: ['powf(x, vec4(ALPHA))', 'powf'],
  affine: ['x * ALPHA + BETA'],
  affine_after: ['(x + BETA) * ALPHA'],
  softsign: ['softsign(x)', 'softsign'],
  tanh_shrink: ['x - tanhf(x)', 'tanhf'],
  softshrink: ['sign(x) * max(abs(x) - ALPHA, 0.)'],
  hard_shrink: ['mix(x, vec4(0.), lessThan(abs(x), vec4(ALPHA)))'],
  thresholded_relu: ['mix(vec4(BETA), x, greaterThan(x, vec4(ALPHA)))'],
  logsigmoid: ['-softplus(-x)', 'softplus'],
  celu: ['max(x, 0.) + min(ALPHA * expm1f(x / ALPHA), 0.)', 'expm1f'],
  selu: ['ALPHA * mix(x, BETA * expm1f(x), lessThan(x, vec4(0.)))', 'expm1f'],
  stanh: ['BETA * tanhf(ALPHA * x)', 'tanhf'],
  expm1: ['expm1f(x)', 'expm1f'],
  log1p: ['log1pf(x)', 'log1pf'],
  log2: ['logf(x) * 1.44269504088896341', 'logf'],
  log10: ['logf(x) * .43429448190325183', 'logf'],
  tan: ['sin(x) / cos(x)'],
  asin: ['within(abs(x), atanf(x, sqrt((1. - x) * (1. + x))))', 'within', 'atanf'],
  acos: ['within(abs(x), atanf(sqrt((1. - x) * (1. + x)), x))', 'within', 'atanf'],
  atan: ['mix(atanf(x, vec4(1.)), x, isnan(x))', 'atanf'],
  sinh: ['sinhf(x)', 'sinhf'],
  cosh: ['.5 * (exp(x) + exp(-x))'],
  asinh: ['mix(asinhf(x), x, isnan(x))', 'asinhf'],
  acosh: ['within(1. / x, logf(min(x, 1e18) + sqrt((min(x, 1e18) - 1.) * (min(x, 1e18) + 1.))) + logf(max(x / 1e18, 1.)))', 'within', 'logf'],
  atanh: ['.5 * (log1pf(x) - log1pf(-x))', 'log1pf'],
};

/** What some of them call, after what they call themselves. Hyperbolic functions near 0 are series: exp(x) - 1 has no digits there. @type {Record<string, [string, ...string[]]>} */
const HELPERS = {
  clampf: ['vec4 clampf(vec4 x, float low, float high) { return min(max(x, low), high); }'],
  sigmoid: ['vec4 sigmoid(vec4 x) { return 1. / (1. + exp(-x)); }'],
  expm1f: [`vec4 expm1f(vec4 x) {
  vec4 s = x * (1. + x * (.5 + x * (1. / 6. + x * (1. / 24. + x / 120.))));
  return mix(exp(x) - 1., s, lessThan(abs(x), vec4(.2)));
}`],
  tanhf: [`vec4 tanhf(vec4 x) {
  vec4 y = clamp(x, -20., 20.), q = y * y, e = exp(2. * y);
  vec4 s = y * (1. + q * (-1. / 3. + q * (2. / 15. + q * (-17. / 315. + q * 62. / 2835.))));
  return mix((e - 1.) / (e + 1.), s, lessThan(abs(y), vec4(.25)));
}`],
  sinhf: [`vec4 sinhf(vec4 x) {
  vec4 q = x * x, s = x * (1. + q * (1. / 6. + q * (1. / 120. + q / 5040.)));
  return mix(.5 * (exp(x) - exp(-x)), s, lessThan(abs(x), vec4(.5)));
}`],
  erff: [`vec4 erff(vec4 x) { // Abramowitz and Stegun 7.1.26 far from 0, its series near it
  vec4 y = abs(x), q = x * x, k = 1. / (1. + .3275911 * y);
  vec4 p = k * (.254829592 + k * (-.284496736 + k * (1.421413741 + k * (-1.453152027 + k * 1.061405429))));
  vec4 s = 1.1283791670955126 * x * (1. + q * (-1. / 3. + q * (.1 + q * (-1. / 42. + q * (1. / 216. - q / 1320.)))));
  return mix(sign(x) * (1. - p * exp(-q)), s, lessThan(y, vec4(.6)));
}`],
  logf: [`vec4 logf(vec4 x) { // GPUs take denormals for 0: those by their bits
  ivec4 bits = floatBitsToInt(x);
  bvec4 tiny = lessThan(abs(vec4(bits) - 4194304.), vec4(4194304.));
  vec4 y = mix(mix(log(x), vec4(-INF), equal(bits & 0x7fffffff, ivec4(0))), log(vec4(bits)) - 103.27892990343185, tiny);
  return mix(y, vec4(NAN), lessThan(x, vec4(0.)));
}`],
  log1pf: [`vec4 log1pf(vec4 x) { // the rounding of 1 + x is put right to first order
  vec4 u = 1. + x;
  vec4 fix = (x - (u - 1.)) / u;
  return logf(u) + mix(vec4(0.), fix, lessThan(abs(fix), vec4(1.)));
}`, 'logf'],
  softplus: ['vec4 softplus(vec4 x) { return max(x, 0.) + log1pf(exp(-abs(x))); }', 'log1pf'],
  softsign: [`vec4 softsign(vec4 x) { // GPUs divide by way of 1 / y, which is 0 for the largest y
  vec4 s = mix(vec4(1.), vec4(5.4e-20), greaterThan(abs(x), vec4(1e18)));
  return x * s / ((1. + abs(x)) * s);
}`],
  within: ['vec4 within(vec4 x, vec4 y) { return mix(y, vec4(NAN), greaterThan(x, vec4(1.))); }'],
  asinhf: [`vec4 asinhf(vec4 x) { // by its logarithm where squares would overflow
  vec4 a = abs(x), y = min(a, 1e9);
  return sign(x) * mix(log1pf(y + y * y / (1. + sqrt(y * y + 1.))), logf(a) + .69314718055994531, greaterThan(a, vec4(1e9)));
}`, 'log1pf'],
  mish: [`vec4 mish(vec4 x) { // x * tanh(log(1 + e^x)) = x * p / (p + 2), p = e^x * (e^x + 2)
  vec4 n = exp(min(x, 20.)), p = n * (n + 2.);
  return x * (p / (p + 2.));
}`],
  powf: [`vec4 powf(vec4 x, vec4 y) {
  vec4 odd = abs(mod(y, 2.)), r = exp2(y * log2(abs(x)));
  bvec4 whole = equal(floor(y), y);
  r = mix(r, -r, bvec4(ivec4(lessThan(x, vec4(0.))) * ivec4(equal(odd, vec4(1.)))));
  r = mix(r, vec4(NAN), bvec4(ivec4(lessThan(x, vec4(0.))) * (1 - ivec4(whole))));
  r = mix(r, mix(vec4(INF), vec4(0.), greaterThan(y, vec4(0.))), equal(x, vec4(0.)));
  return mix(r, vec4(1.), equal(y, vec4(0.)));
}`],
  atanf: [`vec4 atanf(vec4 y, vec4 x) {
  vec4 p = abs(y), q = abs(x), low = min(p, q), high = max(p, q);
  bvec4 big = greaterThan(low, .4142135623730950 * high);
  vec4 z = mix(low / max(high, 1e-37), (low - high) / max(low + high, 1e-37), big), s = z * z;
  vec4 r = z * (1. + s * (-.333329491539 + s * (.199777106478 + s * (-.138776856032 + s * 8.05374449538e-2)))) + vec4(big) * .78539816339744831;
  r = mix(r, 1.57079632679489662 - r, greaterThan(p, q));
  r = mix(r, 3.14159265358979324 - r, lessThan(x, vec4(0.)));
  return mix(r, -r, lessThan(y, vec4(0.)));
}`],
};

/** Expressions of p and q. @type {Record<string, [string, ...string[]]>} */
const BINARY = {
  add: ['p + q'],
  sub: ['p - q'],
  mul: ['p * q'],
  div: ['p / q'],
  max: ['max(p, q)'],
  min: ['min(p, q)'],
  pow: ['powf(p, q)', 'powf'],
  mod: ['p - floor(p / q) * q'],
  floordiv: ['floor(p / q)'],
  fmax: ['max(p, q)'],
  fmin: ['min(p, q)'],
  atan2: ['atanf(p, q)', 'atanf'],
  prelu: ['mix(p, p * q, lessThan(p, vec4(0.)))'],
};

/** @param {Act} act @returns {string} why there is none, or '' */
export const lacksAct = ({ kind }) => (Object.hasOwn(UNARY, kind) ? '' : `no shader computes ${kind}`);

/** @param {string} op @returns {string} */
export const lacksBinary = (op) => (Object.hasOwn(BINARY, op) ? '' : `no shader computes ${op}`);

/** @param {import('./shader.js').Shader} shader @param {string[]} helpers */
function include(shader, helpers) {
  for (const name of helpers) {
    const [text, ...below] = HELPERS[name];
    include(shader, below);
    if (!shader.functions.has(name)) shader.define(name, text);
  }
}

/**
 * act(x) as an expression of the variable `x`.
 * @param {import('./shader.js').Shader} shader @param {Act} act @returns {string}
 */
export function actOf(shader, { kind, alpha, beta, gamma }) {
  if (kind === 'clamp') { // open ends cost nothing
    if (alpha === -Infinity) return beta === Infinity ? 'x' : `min(x, ${shader.float(beta)})`;
    if (beta === Infinity) return `max(x, ${shader.float(alpha)})`;
  }
  const [text, ...helpers] = UNARY[kind];
  include(shader, helpers);
  /** @type {Record<string, number>} */
  const parameters = { ALPHA: alpha, BETA: beta, GAMMA: gamma };
  return text.replace(/\b(ALPHA|BETA|GAMMA)\b/g, (name) => shader.float(parameters[name]));
}

/** `p op q` as an expression. @param {import('./shader.js').Shader} shader @param {string} op @returns {string} */
export function binaryOf(shader, op) {
  const [text, ...helpers] = BINARY[op];
  include(shader, helpers);
  return text;
}
