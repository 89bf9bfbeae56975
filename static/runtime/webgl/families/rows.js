// Softmax, reductions and normalisation on linear values [outer][n][inner]. Long rows go in two draws: every chunk of
// a row first, then what the chunks say together.
import { operand, operandElements, perTexel, shaderOf } from '../tail.js';
import { Shader } from '../shader.js';

/** @typedef {import('../../gpu/step.js').SoftmaxStep} SoftmaxStep */
/** @typedef {import('../../gpu/step.js').ReduceStep} ReduceStep */
/** @typedef {import('../../gpu/step.js').NormStep} NormStep */
/** @typedef {import('../shader.js').Draw} Draw */
/** @typedef {import('../shader.js').Place} Place */

const SHORT = 64; // elements that one fragment runs over without help

/** @param {number} n @returns {{chunk: number, chunks: number}} */
function cut(n) {
  const chunk = n <= SHORT ? n : Math.max(SHORT / 4, Math.ceil(Math.sqrt(n)));
  return { chunk, chunks: Math.ceil(n / chunk) };
}

/**
 * The draw that says something of every chunk: texel (o * inner + i) * chunks + k.
 * @param {ReduceStep|SoftmaxStep|NormStep} step @param {{outer: number, n: number, inner: number}} sizes
 * @param {string} body sets v from elements `at(j)`, j from int j0 up to j1
 * @returns {{draw: Draw, place: Place, chunks: number}}
 */
function chunked(step, { outer, n, inner }, body) {
  const { chunk, chunks } = cut(n);
  /** @type {Place} */
  const place = { scratch: { texels: outer * inner * chunks, exact: true } };
  const shader = new Shader(`${step.kind} of ${step.where}, chunks`, place), x = operandElements(shader, step, 0);
  shader.ints({ CHUNKS: chunks, CHUNK: chunk, LENGTH: n, INNER: inner });
  shader.define('at', `float at(int row, int j) { return ${x}_e((row / INNER * LENGTH + j) * INNER + row % INNER); }`);
  const head = 'int row = t / CHUNKS, j0 = t % CHUNKS * CHUNK, j1 = min(j0 + CHUNK, LENGTH);';
  return { draw: shader.draw(`${head}\n${body}`), place, chunks };
}

/** Four results by a function of the element. @param {string} name */
const each = (name) => `v = vec4(${[0, 1, 2, 3].map((lane) => `${name}(4 * t + ${lane})`).join(', ')});`;

const SUMS = { sum: '0.', prod: '1.', max: '-INF', min: 'INF' };
const JOIN = { sum: 'a + b', prod: 'a * b', max: 'max(a, b)', min: 'min(a, b)' };

/** @param {ReduceStep} step @returns {Draw[]} */
export function reduce(step) {
  const { n, op } = step, fold = (/** @type {string} */ b) => `{ float b = ${b}; a = ${JOIN[op]}; }`;
  const shader = shaderOf(step), scale = step.scale === 1 ? '' : ` * ${shader.float(step.scale)}`;
  if (n <= SHORT) {
    const x = operandElements(shader, step, 0);
    shader.ints({ LENGTH: n, INNER: step.inner });
    shader.define('whole', `float whole(int row) { float a = ${SUMS[op]}; for (int j = 0; j < LENGTH; j++) ${fold(`${x}_e((row / INNER * LENGTH + j) * INNER + row % INNER)`)} return a${scale}; }`);
    return [perTexel(shader, step, each('whole'))];
  }
  const { draw, place, chunks } = chunked(step, step, `float a = ${SUMS[op]}; for (int j = j0; j < j1; j++) ${fold('at(row, j)')} v = vec4(a);`);
  shader.texture('parts', place);
  shader.int('CHUNKS', chunks);
  shader.define('whole', `float whole(int row) { float a = ${SUMS[op]}; for (int k = 0; k < CHUNKS; k++) ${fold('parts(row * CHUNKS + k).x')} return a${scale}; }`);
  return [draw, perTexel(shader, step, each('whole'))];
}

/** @param {SoftmaxStep} step @returns {Draw[]} */
export function softmax(step) {
  const { inner, n, outer } = step;
  const { draw, place, chunks } = chunked(step, step, `float top = -3e38, sum = 0.;
for (int j = j0; j < j1; j++) top = max(top, at(row, j));
for (int j = j0; j < j1; j++) sum += exp(at(row, j) - top);
v = vec4(top, sum, 0., 0.);`);
  const shader = shaderOf(step), x = operand(shader, step, 0);
  shader.texture('parts', place);
  shader.ints({ CHUNKS: chunks, LENGTH: n, INNER: inner, ROWS: outer * inner });
  shader.define('share', `vec2 share(int e) {
int row = min(e / (LENGTH * INNER) * INNER + e % INNER, ROWS - 1) * CHUNKS;
float top = -3e38, sum = 0.;
for (int k = 0; k < CHUNKS; k++) top = max(top, parts(row + k).x);
for (int k = 0; k < CHUNKS; k++) { vec4 a = parts(row + k); sum += a.y * exp(a.x - top); }
return vec2(top, ${step.log ? 'log(sum)' : '1. / sum'});
}`);
  const of = (/** @type {string} */ s, /** @type {string} */ a) => (step.log ? `${a} - ${s}.x - ${s}.y` : `exp(${a} - ${s}.x) * ${s}.y`);
  const same = n % 4 === 0 && inner === 1; // four neighbours belong to one row
  const body = same ? `vec2 s = share(4 * t); v = ${x}(t); v = ${of('s', 'v')};`
    : `vec4 a = ${x}(t); vec2 s0 = share(4 * t), s1 = share(4 * t + 1), s2 = share(4 * t + 2), s3 = share(4 * t + 3);
v = vec4(${['x', 'y', 'z', 'w'].map((lane, i) => of(`s${i}`, `a.${lane}`)).join(', ')});`;
  return [draw, perTexel(shader, step, body)];
}

/** Mean and sum of squared deviations of every chunk, joined as Chan, Golub and LeVeque do. @param {NormStep} step @returns {Draw[]} */
export function norm(step) {
  const { rows, n } = step;
  const { draw, place, chunks } = chunked(step, { outer: rows, n, inner: 1 }, `float sum = 0., square = 0., size = float(j1 - j0);
for (int j = j0; j < j1; j++) sum += at(row, j);
float mean = sum / size;
for (int j = j0; j < j1; j++) { float d = at(row, j) - mean; square += d * d; }
v = vec4(mean, square, size, 0.);`);
  const shader = shaderOf(step), x = operand(shader, step, 0), epsilon = shader.float(step.epsilon);
  shader.texture('parts', place);
  shader.ints({ CHUNKS: chunks, LENGTH: n, ROWS: rows });
  shader.define('moments', `vec2 moments(int e) {
int row = min(e / LENGTH, ROWS - 1) * CHUNKS;
float mean = 0., square = 0., size = float(LENGTH);
for (int k = 0; k < CHUNKS; k++) { vec4 a = parts(row + k); mean += a.x * a.z / size; }
for (int k = 0; k < CHUNKS; k++) { vec4 a = parts(row + k); float d = a.x - mean; square += a.y + a.z * d * d; }
return vec2(mean, inversesqrt(square / size + ${epsilon}));
}`);
  const body = n % 4 === 0 ? `vec2 s = moments(4 * t); v = (${x}(t) - s.x) * s.y;`
    : `vec4 a = ${x}(t); vec2 s0 = moments(4 * t), s1 = moments(4 * t + 1), s2 = moments(4 * t + 2), s3 = moments(4 * t + 3);
v = vec4((a.x - s0.x) * s0.y, (a.y - s1.x) * s1.y, (a.z - s2.x) * s2.y, (a.w - s3.x) * s3.y);`;
  return [draw, perTexel(shader, step, body)];
}
