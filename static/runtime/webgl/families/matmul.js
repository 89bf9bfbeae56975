// Batches of products of two linear matrices: four neighbouring columns per fragment, whole texels where rows allow it.
import { count } from '../../ops/node.js';
import { operand, operandElements, perTexel, shaderOf } from '../tail.js';
import { fours } from '../shader.js';

/** @typedef {import('../../gpu/step.js').MatmulStep} MatmulStep */
/** @typedef {import('../shader.js').Draw} Draw */
/** @typedef {import('../shader.js').Shader} Shader */

const EXACT = 2 ** 24; // integers that a float32 table holds

/** @param {MatmulStep} step @returns {string} */
export const refuses = ({ at, bt }) => (isRegular(at) && isRegular(bt) ? '' : Math.max(...at, ...bt) >= EXACT ? 'its batches lie too far apart' : '');

/** @param {Int32Array} list of offsets @returns {boolean} whether it is 0, s, 2s … */
const isRegular = (list) => list.every((offset, i) => offset === i * (list[1] ?? 0));

/** Where matrix b of an operand starts, as an expression of int b. @param {Shader} shader @param {string} name @param {Int32Array} list */
function startOf(shader, name, list) {
  if (list.every((offset) => offset === 0)) return '0';
  if (isRegular(list)) return `b * ${shader.int(`${name}_step`, list[1])}`;
  shader.texture(name, { table: { key: '', storage: { quad: false, cells: list.length }, make: () => Float32Array.from({ length: 4 * list.length }, (_, i) => (i & 3 ? 0 : list[i >> 2])) } });
  return `int(${name}(b).x)`;
}

/** @param {readonly number[]|Int32Array} list */
const allFours = (list) => Array.from(list).every((n) => n % 4 === 0);

/** @param {MatmulStep} step @returns {Draw[]} */
export function matmul(step) {
  const { M, N, K, at, bt, am, ak, bk, bn } = step, shader = shaderOf(step);
  shader.ints({ M, N, K, AM: am, BK: bk, BN: bn });
  const a = startOf(shader, 'at', at), b = startOf(shader, 'bt', bt);
  const columns = N % 4 === 0 || (M === 1 && at.length === 1), rowsOfA = ak === 1 && K % 4 === 0 && (M === 1 || am % 4 === 0) && allFours(at);
  const place = 'int e = 4 * t, m = e / N % M, col = e % N, b = e / N / M;';
  if (columns && rowsOfA && step.x[1].data && bt.length === 1) return [packed(shader, step, place, a)];
  if (columns && rowsOfA && N % 4 === 0 && bn === 1 && bk % 4 === 0 && allFours(bt)) {
    const [x, y] = [operand(shader, step, 0), operand(shader, step, 1)];
    return [perTexel(shader, step, `${place}
int pa = (${a} + m * AM) >> 2, pb = (${b} + col) >> 2, step_ = BK >> 2;
for (int k = 0; k < K; k += 4) { vec4 q = ${x}(pa++);
v += q.x * ${y}(pb) + q.y * ${y}(pb + step_) + q.z * ${y}(pb + 2 * step_) + q.w * ${y}(pb + 3 * step_); pb += 4 * step_; }`)];
  }
  if (columns && rowsOfA && N % 4 === 0 && bk === 1 && bn % 4 === 0 && allFours(bt)) {
    const [x, y] = [operand(shader, step, 0), operand(shader, step, 1)];
    return [perTexel(shader, step, `${place}
int pa = (${a} + m * AM) >> 2, pb = (${b} + col * BN) >> 2, step_ = BN >> 2;
for (int k = 0; k < K; k += 4) { vec4 q = ${x}(pa++);
v += vec4(dot(q, ${y}(pb)), dot(q, ${y}(pb + step_)), dot(q, ${y}(pb + 2 * step_)), dot(q, ${y}(pb + 3 * step_))); pb++; }`)];
  }
  const [x, y] = [operandElements(shader, step, 0), operandElements(shader, step, 1)];
  shader.ints({ AK: ak, LAST: count(step.y.shape) - 1 });
  shader.define('dot_', `float dot_(int e) {
e = min(e, LAST);
int m = e / N % M, col = e % N, b = e / N / M, pa = ${a} + m * AM, pb = ${b} + col * BN;
float sum = 0.;
for (int k = 0; k < K; k++) { sum += ${x}_e(pa) * ${y}_e(pb); pa += AK; pb += BK; }
return sum;
}`);
  return [perTexel(shader, step, `v = vec4(${[0, 1, 2, 3].map((lane) => `dot_(4 * t + ${lane})`).join(', ')});`)];
}

/**
 * The right side is a constant: packed once as [N/4][K] texels of four columns.
 * @param {Shader} shader @param {MatmulStep} step @param {string} place @param {string} start @returns {Draw}
 */
function packed(shader, step, place, start) {
  const { N, K, bk, bn, bt } = step, right = step.x[1], N4 = fours(N);
  shader.texture('weight', {
    table: {
      key: right.key && `${right.key}|columns|${bk}|${bn}|${bt[0]}`, storage: { quad: false, cells: N4 * K },
      make() {
        const from = /** @type {() => Float32Array} */ (right.data)(), out = new Float32Array(4 * N4 * K);
        for (let n = 0; n < N; n++) for (let k = 0; k < K; k++) out[((n >> 2) * K + k) * 4 + (n & 3)] = from[bt[0] + k * bk + n * bn];
        return out;
      },
    },
  });
  const x = operand(shader, step, 0);
  return perTexel(shader, step, `${place}
int pa = (${start} + m * AM) >> 2, pw = (col >> 2) * K;
for (int k = 0; k < K; k += 4) { vec4 q = ${x}(pa++);
v += q.x * weight(pw) + q.y * weight(pw + 1) + q.z * weight(pw + 2) + q.w * weight(pw + 3); pw += 4; }`);
}
