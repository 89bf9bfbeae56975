// What every family shares: coordinates of a fragment, reading an operand beside it, the elementwise tail.
import { operandMode } from '../gpu/step.js';
import { count, strides as stridesOf } from '../ops/node.js';
import { actOf, binaryOf } from './functions.js';
import { fours, Shader, storageOfValue } from './shader.js';

/** @typedef {import('../gpu/step.js').Step} Step */
/** @typedef {import('../gpu/step.js').GpuValue} GpuValue */
/** @typedef {import('../gpu/step.js').Tail} Tail */
/** @typedef {import('./shader.js').Draw} Draw */

/** @param {Step} step @returns {Shader} that writes the step's result, and reads x[i] by `x<i>` */
export const shaderOf = (step) => new Shader(`${step.kind} of ${step.where}`, { value: step.y });

/** The name of an operand, its texture declared. @param {Shader} shader @param {Step} step @param {number} i @returns {string} */
export function operand(shader, step, i) {
  const at = step.x.indexOf(step.x[i]);
  shader.texture(`x${at}`, { value: step.x[at] });
  return `x${at}`;
}

/** The same for its elements by row-major position: call `name_e(e)`. @param {Shader} shader @param {Step} step @param {number} i @returns {string} */
export function operandElements(shader, step, i) {
  const at = step.x.indexOf(step.x[i]);
  shader.elements(`x${at}`, step.x[at]);
  return `x${at}`;
}

/** What functions on one texel of a result take, and get for column w: c4 results n, c4, h, w; linear ones the texel. @param {GpuValue} y */
const signature = ({ layout }) => (layout === 'c4' ? { takes: 'int n, int c4, int h, int w', gives: 'n, c4, h, w' } : { takes: 'int t', gives: 't' });

/** Declares n, c4, h and wc (w, too, of a flat result) of cell t. @param {Shader} shader @param {GpuValue} y @returns {string} */
function coordinates(shader, { shape: [N, C, H, W], layout }) {
  if (layout !== 'c4') return '';
  shader.int('O4', fours(C));
  const last = (/** @type {string} */ r) => (N > 1 ? `int c4 = ${r} % O4, n = ${r} / O4;` : `const int n = 0; int c4 = ${r};`);
  if (!shader.quad) return `const int h = 0, w = 0; ${last('t')}`;
  shader.ints({ OH: H, OW: W, CELLS: fours(W) });
  return `int wc = t % CELLS, r = t / CELLS, h = r % OH; r /= OH; ${last('r')}`;
}

/**
 * A draw whose texels do not share work.
 * @param {Shader} shader @param {Step} step
 * @param {string} body sets v from n, c4, h, w (c4) or t (linear)
 * @returns {Draw}
 */
export function perTexel(shader, step, body) {
  const { takes, gives } = signature(step.y), head = coordinates(shader, step.y), tail = defineTail(shader, step);
  shader.define('pixel', `vec4 pixel(${takes}) {\nvec4 v = vec4(0.);\n${body}\nreturn ${tail ? `tail(v, ${gives})` : 'v'};\n}`);
  if (!shader.quad) return shader.draw(`${head}\nv = pixel(${gives});`);
  const lanes = [0, 1, 2, 3].map((i) => `v${i} = pixel(n, c4, h, min(4 * wc + ${i}, OW - 1));`); // pixels past the row's end: finite
  return shader.draw(`${head}\n${lanes.join('\n')}`);
}

/**
 * A draw on planes that makes four neighbouring pixels at once.
 * @param {Shader} shader @param {Step} step
 * @param {string} body sets v0 to v3 from n, c4, h, wc: pixels 4 * wc and on
 * @returns {Draw}
 */
export function perCell(shader, step, body) {
  const head = coordinates(shader, step.y), tail = defineTail(shader, step);
  const lanes = tail ? [0, 1, 2, 3].map((i) => `v${i} = tail(v${i}, n, c4, h, min(4 * wc + ${i}, OW - 1));`) : [];
  return shader.draw([head, body, ...lanes].join('\n'));
}

/** Defines `tail`: what is done to a texel before it is written. Lanes without a channel become 0. @param {Shader} shader @param {Step} step @returns {boolean} whether there is anything to do */
function defineTail(shader, step) {
  const { y } = step, odd = y.layout === 'c4' ? y.shape[1] % 4 : 0, lines = tailOf(shader, step);
  if (odd) lines.push(`if (c4 == O4 - 1) v = vec4(v.x, ${odd > 1 ? 'v.y' : '0.'}, ${odd > 2 ? 'v.z' : '0.'}, 0.);`);
  if (lines.length) shader.define('tail', `vec4 tail(vec4 v, ${signature(y).takes}) {\n${lines.join('\n')}\nreturn v;\n}`);
  return lines.length > 0;
}

/** @param {Shader} shader @param {Step} step @returns {string[]} statements on v */
function tailOf(shader, step) {
  return step.tail.map((tail, i) => {
    if (tail.fn === 'act') return `{ vec4 x = v; v = ${actOf(shader, tail.act)}; }`;
    const [p, q] = tail.swap ? ['b', 'v'] : ['v', 'b'];
    return `{ vec4 b = ${read(shader, step, tail.with, tail.strides, `b${i}`)}, p = ${p}, q = ${q}; v = ${binaryOf(shader, tail.op)}; }`;
  });
}

/**
 * An operand read through strides, as an expression of n, c4, h, w (c4) or t (linear).
 * @param {Shader} shader @param {Step} step @param {number} i which operand @param {number[]} strides @param {string} id
 * @returns {string}
 */
export function read(shader, step, i, strides, id) {
  const { mode, n } = operandMode(step, { fn: 'binary', op: 'add', with: i, swap: false, strides });
  const constant = mode === 'scalar' ? step.x[i].data?.()[0] : undefined;
  if (constant !== undefined && Number.isFinite(constant)) return `vec4(${shader.float(constant)})`;
  if (mode === 'strided') return strided(shader, step, i, strides, id);
  const name = operand(shader, step, i), { quad } = storageOfValue(step.x[i]);
  if (mode === 'same') return quad ? `${name}_at(t, w & 3)` : `${name}(t)`;
  if (mode === 'scalar') return `vec4(${name}(0).x)`;
  if (mode === 'row') return `${name}(t % ${shader.int(`${id}_row`, n)})`;
  return n ? `${name}(n * ${shader.int(`${id}_image`, n)} + c4)` : `${name}(c4)`;
}

/** @param {Shader} shader @param {Step} step @param {number} i @param {number[]} strides @param {string} id @returns {string} */
function strided(shader, step, i, strides, id) {
  const name = operandElements(shader, step, i), { y } = step, four = (/** @type {(lane: number) => string} */ at) => `vec4(${[0, 1, 2, 3].map((lane) => `${name}_e(${at(lane)})`).join(', ')})`;
  if (y.layout === 'c4') {
    const [sn, sc, sh, sw] = strides.map((s, axis) => shader.int(`${id}_s${axis}`, s)), top = shader.int(`${id}_top`, y.shape[1] - 1);
    shader.define(`${id}_at`, `int ${id}_at(int n, int c, int h, int w) { return n * ${sn} + min(c, ${top}) * ${sc} + h * ${sh} + w * ${sw}; }`);
    return four((lane) => `${id}_at(n, 4 * c4 + ${lane}, h, w)`);
  }
  const top = shader.int(`${id}_top`, count(y.shape) - 1), own = stridesOf(y.shape), parts = [];
  for (let axis = 0; axis < strides.length; axis++) {
    if (!strides[axis] || y.shape[axis] === 1) continue;
    const by = own[axis] === 1 ? 'e' : `e / ${shader.int(`${id}_d${axis}`, own[axis])}`;
    const within = axis === 0 ? by : `(${by}) % ${shader.int(`${id}_n${axis}`, y.shape[axis])}`;
    parts.push(`(${within}) * ${shader.int(`${id}_s${axis}`, strides[axis])}`);
  }
  shader.define(`${id}_at`, `int ${id}_at(int e_) { int e = min(e_, ${top}); return ${parts.join(' + ') || '0'}; }`);
  return four((lane) => `${id}_at(4 * t + ${lane})`);
}
