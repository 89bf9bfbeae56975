// What every family shares: coordinates of a fragment, reading an operand beside it, the elementwise tail.
import { operandMode } from '../gpu/step.js';
import { count, strides as stridesOf } from '../ops/node.js';
import { actOf, binaryOf } from './functions.js';
import { fours, Shader } from './shader.js';

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

/** Coordinates of the c4 texel t: ints w, h, c4, n. @param {Shader} shader @param {GpuValue} y @returns {string} */
export function coordinates(shader, { shape: [N, C, H, W] }) {
  shader.ints({ OW: W, OH: H, O4: fours(C) });
  const last = N > 1 ? 'int c4 = r % O4, n = r / O4;' : 'const int n = 0; int c4 = r;';
  return `int w = t % OW, r = t / OW, h = r % OH; r /= OH; ${last}`;
}

/**
 * Finishes a shader: the tail, lanes without a channel set to 0, and the draw.
 * @param {Shader} shader @param {Step} step
 * @param {string} body sets v
 * @param {boolean} located whether body has declared the coordinates
 * @returns {Draw}
 */
export function finish(shader, step, body, located) {
  const { y } = step, odd = y.layout === 'c4' ? y.shape[1] % 4 : 0;
  const tail = tailOf(shader, step);
  const wants = odd || /\b(c4|n|h|w)\b/.test(tail) || /\b(c4|n|h|w)\b/.test(located ? '' : body);
  const head = located || y.layout !== 'c4' || !wants ? '' : coordinates(shader, y);
  const spare = odd ? `if (c4 == O4 - 1) v = vec4(v.x, ${odd > 1 ? 'v.y' : '0.'}, ${odd > 2 ? 'v.z' : '0.'}, 0.);` : '';
  return shader.draw([head, body, tail, spare].filter(Boolean).join('\n'));
}

/** The tail as statements on v. @param {Shader} shader @param {Step} step @returns {string} */
export function tailOf(shader, step) {
  return step.tail.map((tail, i) => {
    if (tail.fn === 'act') return `{ vec4 x = v; v = ${actOf(shader, tail.act)}; }`;
    const [p, q] = tail.swap ? ['b', 'v'] : ['v', 'b'], text = read(shader, step, tail.with, tail.strides, `b${i}`);
    return `{ ${text.replace(/^/, 'vec4 b = ')}; vec4 p = ${p}, q = ${q}; v = ${binaryOf(shader, tail.op)}; }`;
  }).join('\n');
}

/**
 * An operand read through strides, as an expression at texel t (and c4, n, h, w of a c4 result).
 * @param {Shader} shader @param {Step} step @param {number} i which operand @param {number[]} strides @param {string} id
 * @returns {string}
 */
export function read(shader, step, i, strides, id) {
  const { mode, n } = operandMode(step, { fn: 'binary', op: 'add', with: i, swap: false, strides });
  const constant = mode === 'scalar' ? step.x[i].data?.()[0] : undefined;
  if (constant !== undefined && Number.isFinite(constant)) return `vec4(${shader.float(constant)})`;
  if (mode === 'strided') return strided(shader, step, i, strides, id);
  const name = operand(shader, step, i);
  if (mode === 'same') return `${name}(t)`;
  if (mode === 'scalar') return `vec4(${name}(0).x)`;
  if (mode === 'row') return `${name}(t % ${shader.int(`${id}_row`, n)})`;
  return n ? `${name}(n * ${shader.int(`${id}_image`, n)} + c4)` : `${name}(c4)`;
}

/** @param {Shader} shader @param {Step} step @param {number} i @param {number[]} strides @param {string} id @returns {string} */
function strided(shader, step, i, strides, id) {
  const name = operandElements(shader, step, i), { y } = step;
  if (y.layout === 'c4') {
    const [sn, sc, sh, sw] = strides.map((s, axis) => shader.int(`${id}_s${axis}`, s));
    const top = shader.int(`${id}_top`, y.shape[1] - 1);
    shader.define(`${id}_at`, `int ${id}_at(int n, int c, int h, int w) { return n * ${sn} + min(c, ${top}) * ${sc} + h * ${sh} + w * ${sw}; }`);
    return `vec4(${[0, 1, 2, 3].map((lane) => `${name}_e(${id}_at(n, 4 * c4 + ${lane}, h, w))`).join(', ')})`;
  }
  const top = shader.int(`${id}_top`, count(y.shape) - 1), own = stridesOf(y.shape), parts = [];
  for (let axis = 0; axis < strides.length; axis++) {
    if (!strides[axis] || y.shape[axis] === 1) continue;
    const by = own[axis] === 1 ? 'e' : `e / ${shader.int(`${id}_d${axis}`, own[axis])}`;
    const within = axis === 0 ? by : `(${by}) % ${shader.int(`${id}_n${axis}`, y.shape[axis])}`;
    parts.push(`(${within}) * ${shader.int(`${id}_s${axis}`, strides[axis])}`);
  }
  shader.define(`${id}_at`, `int ${id}_at(int t) { int e = min(t, ${top}); return ${parts.join(' + ') || '0'}; }`);
  return `vec4(${[0, 1, 2, 3].map((lane) => `${name}_e(${id}_at(4 * t + ${lane}))`).join(', ')})`;
}
