// map: elementwise with broadcast. move: elements that go elsewhere, whole texels where channels stay together.
import { isFull } from '../../gpu/step.js';
import { merge } from '../../ops/layout/move.js';
import { count } from '../../ops/node.js';
import { operand, operandElements, perTexel, read, shaderOf } from '../tail.js';
import { fours } from '../shader.js';

/** @typedef {import('../../gpu/step.js').MapStep} MapStep */
/** @typedef {import('../../gpu/step.js').MoveStep} MoveStep */
/** @typedef {import('../../gpu/step.js').Move} Move */
/** @typedef {import('../shader.js').Draw} Draw */
/** @typedef {import('../shader.js').Shader} Shader */
/** @typedef {{x: number, from: number, to: number, size: number}} Run channels [from, from + size) of x go to `to` */

const MAX_INTS = 400; // of the uniforms that every device has

/** @param {MapStep} step @returns {Draw[]} */
export function map(step) {
  const shader = shaderOf(step);
  return [perTexel(shader, step, `v = ${read(shader, step, 0, step.strides, 'main')};`)];
}

/** @param {MoveStep} step @returns {string} */
export function refuses({ moves }) {
  const ints = moves.reduce((sum, move) => sum + 3 * merge(move).dims.length + 2, 0);
  return ints > MAX_INTS ? `it moves ${moves.length} pieces` : '';
}

/** @param {MoveStep} step @returns {Draw[]} */
export function move(step) {
  const shader = shaderOf(step);
  const runs = channelRuns(step);
  if (runs) return [byChannels(shader, step, runs)];
  return [byElements(shader, step)];
}

/**
 * A move that keeps the pixels and only sends channels elsewhere; null if it is something else.
 * @param {MoveStep} step @returns {Run[]|null}
 */
function channelRuns({ x, y, moves }) {
  if (y.layout !== 'c4') return null;
  const [N, C, H, W] = y.shape, plane = H * W, runs = [];
  for (const one of moves) {
    const from = x[one.x], [n, c, h, w] = from.shape;
    if (from.layout !== 'c4' || n !== N || h !== H || w !== W) return null;
    const { dims, ss, ds } = merge(one), flat = dims.length === 1 && N === 1;
    const [size, sx, sy] = flat ? [dims[0], c * plane, C * plane] : dims.length === 2 && dims[0] === N ? [dims[1], ss[0], ds[0]] : [0, 0, 0];
    const whole = [size, one.fromAt, one.toAt].every((k) => k % plane === 0);
    if (!size || !whole || ss[ss.length - 1] !== 1 || ds[ds.length - 1] !== 1 || sx !== c * plane || sy !== C * plane) return null;
    if (one.fromAt >= c * plane || one.toAt >= C * plane) return null;
    runs.push({ x: one.x, from: one.fromAt / plane, to: one.toAt / plane, size: size / plane });
  }
  return runs;
}

/** @param {Shader} shader @param {MoveStep} step @param {Run[]} runs @returns {Draw} */
function byChannels(shader, step, runs) {
  const [, C, H] = step.y.shape;
  const packed = runs.every(({ from, to, size }) => from % 4 === 0 && to % 4 === 0 && (size % 4 === 0 || to + size === C));
  shader.int('H', H);
  const spots = runs.map((run, i) => {
    const name = operand(shader, step, run.x), own = fours(step.x[run.x].shape[1]);
    shader.ints({ [`by${i}`]: run.from - run.to, [`to${i}`]: run.to, [`end${i}`]: run.to + run.size, [`own${i}`]: own });
    return { name, i };
  });
  if (packed) {
    const body = spots.map(({ name, i }) => `if (4 * c4 >= to${i} && 4 * c4 < end${i}) v = ${name}((n * own${i} + c4 + by${i} / 4) * H + h, w);`);
    return perTexel(shader, step, body.join('\n'));
  }
  const lane = spots.map(({ name, i }) => `if (c >= to${i} && c < end${i}) { int k = c + by${i}; a = ${name}((n * own${i} + (k >> 2)) * H + h, w)[k & 3]; }`);
  shader.define('lane', `float lane(int n, int c, int h, int w) {\nfloat a = 0.;\n${lane.join('\n')}\nreturn a;\n}`);
  return perTexel(shader, step, `v = vec4(${[0, 1, 2, 3].map((i) => `lane(n, 4 * c4 + ${i}, h, w)`).join(', ')});`);
}

/**
 * Every element by itself: which move made it, later ones first, and from where.
 * @param {Shader} shader @param {MoveStep} step @returns {Draw}
 */
function byElements(shader, step) {
  const { y, moves } = step;
  const tries = moves.map((one, i) => {
    const name = operandElements(shader, step, one.x), { dims, ss, ds } = merge(one);
    const whole = moves.length === 1 && one.toAt === 0 && count(dims) === count(y.shape) && isFull(ds, dims);
    const from = shader.int(`from${i}`, one.fromAt), lines = /** @type {string[]} */ ([]), terms = [from];
    dims.forEach((size, axis) => {
      const id = `${i}_${axis}`, s = shader.int(`ss${id}`, ss[axis]);
      if (ds[axis] === 1) lines.push(`int i${axis} = d; d = 0;`);
      else lines.push(`int i${axis} = d / ${shader.int(`ds${id}`, ds[axis])}; d -= i${axis} * ds${id};`);
      if (!whole) lines.push(`ok = ok && i${axis} < ${shader.int(`dim${id}`, size)};`);
      terms.push(`i${axis} * ${s}`);
    });
    if (whole) return `{ int d = e; ${lines.join(' ')} return ${name}_e(${terms.join(' + ')}); }`;
    return `{ int d = e - ${shader.int(`to${i}`, one.toAt)}; if (d >= 0) { bool ok = true; ${lines.join(' ')} if (ok && d == 0) return ${name}_e(${terms.join(' + ')}); } }`;
  });
  shader.define('pick', `float pick(int e) {\n${tries.reverse().join('\n')}\nreturn 0.;\n}`);
  if (y.layout === 'linear') {
    const top = shader.int('top', count(y.shape) - 1);
    return perTexel(shader, step, `v = vec4(${[0, 1, 2, 3].map((lane) => `pick(min(4 * t + ${lane}, ${top}))`).join(', ')});`);
  }
  const [, C, H, W] = y.shape;
  shader.ints({ C, H, W });
  const four = [0, 1, 2, 3].map((lane) => `pick(((n * C + min(4 * c4 + ${lane}, C - 1)) * H + h) * W + w)`).join(', ');
  return perTexel(shader, step, `v = vec4(${four});`);
}
