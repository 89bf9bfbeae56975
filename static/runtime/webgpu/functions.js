// Functions of one and two elements as WGSL expressions on vec4<f32> x with parameters a, b, c.
// Exponentials are kept from overflowing: the language leaves open what comes of infinity.

/** Helpers by name; an expression that calls one brings it along. @type {Record<string, string>} */
export const HELPERS = {
  exp_: 'fn exp_(x: vec4<f32>) -> vec4<f32> { return exp(clamp(x, vec4<f32>(-87.), vec4<f32>(88.))); }',
  sigmoid_: 'fn sigmoid_(x: vec4<f32>) -> vec4<f32> { return 1. / (1. + exp_(-x)); }',
  tanh_: 'fn tanh_(x: vec4<f32>) -> vec4<f32> { return tanh(clamp(x, vec4<f32>(-12.), vec4<f32>(12.))); }',
  log1p_: `fn log1p_(x: vec4<f32>) -> vec4<f32> {
    let u = 1. + x;
    return select(log(u) + (x - (u - 1.)) / u, x, abs(x) < vec4<f32>(1e-4));
  }`,
  expm1_: `fn expm1_(x: vec4<f32>) -> vec4<f32> {
    return select(exp_(x) - 1., x * (1. + x * (.5 + x * (.16666667 + x * .041666668))), abs(x) < vec4<f32>(.1));
  }`,
  erf_: `fn erf_(x: vec4<f32>) -> vec4<f32> {
    let t = abs(x);
    let s = x * x;
    var r = .000383197126 - .0000172853470 * t;
    r = (.0242546219 - .00388396438 * t) + r * s;
    r = -.106777877 + r * t;
    r = -.634846687 + r * t;
    r = -.128717512 + r * t;
    let far = sign(x) * (1. - exp_(r * t - t));
    let near = x + x * (.128379166 + s * (-.376125336 + s * (.112819925 + s * (-.0267681349 + s * (.00499119423 - s * .000596761703)))));
    return select(near, select(far, sign(x), t > vec4<f32>(4.)), t > vec4<f32>(.927734375));
  }`,
  log2_: `fn log2_(x: vec4<f32>) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(x); // denormals count as zero in arithmetic
    let tiny = (bits < vec4<u32>(0x00800000u)) & (bits > vec4<u32>(0u));
    var ends = vec2<u32>(0xff800000u, 0x7fc00000u); // -infinity and NaN, which constants may not be
    let y = select(log2(x), log2(vec4<f32>(bits & vec4<u32>(0x007fffffu))) - 149., tiny);
    let low = select(y, vec4<f32>(bitcast<f32>(ends.x)), (bits & vec4<u32>(0x7fffffffu)) == vec4<u32>(0u));
    return select(low, vec4<f32>(bitcast<f32>(ends.y)), x < vec4<f32>(0.));
  }`,
  pow_: `fn pow_(x: vec4<f32>, y: vec4<f32>) -> vec4<f32> {
    let size = pow(abs(x), y);
    let odd = abs(y - 2. * round(y * .5)) == vec4<f32>(1.);
    return select(select(size, -size, odd & (x < vec4<f32>(0.))), vec4<f32>(1.), y == vec4<f32>(0.));
  }`,
  turn_: `fn turn_(x: vec4<f32>) -> vec4<f32> {
    let k = round(x * .15915494);
    return ((x - k * 6.28125) - k * .0019340515) - k * 1.2556659e-6;
  }`,
};

/** @type {Record<string, string>} */
export const FUNCTIONS = {
  clamp: 'min(max(x, a), b)',
  sigmoid: 'sigmoid_(x)',
  tanh: 'tanh_(x)',
  swish: 'x * sigmoid_(a * x)',
  hard_swish: 'x * clamp(x + c, vec4<f32>(0.), a) / b',
  hard_sigmoid: 'clamp(x * a + b, vec4<f32>(0.), vec4<f32>(1.))',
  leaky_relu: 'select(x, x * a, x < vec4<f32>(0.))',
  elu: 'select(x, a * expm1_(x), x < vec4<f32>(0.))',
  gelu: '.5 * x * (1. + erf_(x * .70710678))',
  gelu_tanh: '.5 * x * (1. + tanh_(.79788456 * (x + .044715 * x * x * x)))',
  mish: 'x * tanh_(log1p_(exp_(min(x, vec4<f32>(30.)))))',
  softplus: 'select((max(a * x, vec4<f32>(0.)) + log1p_(exp_(-abs(a * x)))) / a, x, a * x > b)',
  exp: 'exp(x)',
  log: 'log2_(x) * .69314718',
  sqrt: 'sqrt(x)',
  rsqrt: '1. / sqrt(x)',
  square: 'x * x',
  abs: 'abs(x)',
  floor: 'floor(x)',
  ceil: 'ceil(x)',
  round: 'round(x)',
  sign: 'sign(x)',
  reciprocal: '1. / x',
  sin: 'sin(turn_(x))',
  cos: 'cos(turn_(x))',
  erf: 'erf_(x)',
  pow: 'pow_(x, a)',
  affine: 'x * a + b',
  affine_after: '(x + b) * a',
  softsign: 'x * .0625 / (.0625 + .0625 * abs(x))',
  tanh_shrink: 'x - tanh_(x)',
  softshrink: 'select(select(vec4<f32>(0.), x + a, x < -a), x - a, x > a)',
  hard_shrink: 'select(x, vec4<f32>(0.), (x > -a) & (x < a))',
  thresholded_relu: 'select(b, x, x > a)',
  logsigmoid: 'min(x, vec4<f32>(0.)) - log1p_(exp_(-abs(x)))',
  celu: 'select(a * expm1_(x / a), x, x > vec4<f32>(0.))',
  selu: 'a * select(b * expm1_(x), x, x > vec4<f32>(0.))',
  stanh: 'b * tanh_(a * x)',
  expm1: 'expm1_(x)',
  log2: 'log2_(x)',
  log10: 'log2_(x) * .30103',
  atan: 'atan(x)',
};

/** @type {Record<string, string>} x op y on vec4<f32> */
export const BINARY = {
  add: 'x + y',
  sub: 'x - y',
  mul: 'x * y',
  div: 'x / y',
  max: 'max(x, y)',
  min: 'min(x, y)',
  pow: 'pow_(x, y)',
  prelu: 'select(x, x * y, x < vec4<f32>(0.))',
};

/** The helpers that a text calls, directly or not, each before its callers. @param {string} text @returns {string[]} */
export function helpersOf(text) {
  /** @type {string[]} */
  const out = [];
  const visit = (/** @type {string} */ code, /** @type {string} */ self) => {
    for (const [name, body] of Object.entries(HELPERS)) {
      if (name === self || !code.includes(`${name}(`) || out.includes(body)) continue;
      visit(body, name);
      out.push(body);
    }
  };
  visit(text, '');
  return out;
}
