// Convolutions on c4: every fragment makes four output channels of one pixel, as products of 4x4 blocks of weights.
import { count } from '../../ops/node.js';
import { coordinates, finish, operand, shaderOf } from '../tail.js';
import { fours } from '../shader.js';

/** @typedef {import('../../gpu/step.js').ConvStep} ConvStep */
/** @typedef {import('../../ops/conv/index.js').Window} Window */
/** @typedef {import('../shader.js').Draw} Draw */
/** @typedef {import('../shader.js').Shader} Shader */
/** @typedef {import('../shader.js').Table} Table */

const MAX_SPREAD = 2 ** 22; // weights of a grouped convolution that is computed as a dense one

/** @param {Window} g */
const isDepthwise = (g) => g.groups > 1 && g.groups === g.C && g.O === g.C;

/** Groups whose channels fill whole texels. @param {Window} g */
const isAligned = (g) => g.groups === 1 || (g.C / g.groups % 4 === 0 && g.O / g.groups % 4 === 0);

/** @param {ConvStep} step @returns {string} */
export function refuses({ g, w, bias }) {
  if (!w.data || (bias && !bias.data)) return 'its weights are computed';
  if (isDepthwise(g) || isAligned(g)) return '';
  return g.O * g.C * g.kh * g.kw > MAX_SPREAD ? 'its groups do not fill texels' : '';
}

/**
 * Weights as [O/4][taps][C/4] blocks of four texels: texel j holds what input channel j adds to four output channels.
 * @param {ConvStep} step @param {(o: number, c: number, tap: number) => number} at position in w, or -1
 * @param {number} channels read per output @returns {Table}
 */
function blocks({ g, w, kind }, at, channels) {
  const O4 = fours(g.O), C4 = fours(channels), taps = g.kh * g.kw;
  return {
    key: w.key && `${w.key}|${kind}|${g.groups}`, texels: 4 * O4 * taps * C4,
    make() {
      const from = /** @type {() => Float32Array} */ (w.data)(), out = new Float32Array(16 * O4 * taps * C4);
      for (let o = 0; o < g.O; o++) {
        for (let c = 0; c < channels; c++) {
          for (let tap = 0; tap < taps; tap++) {
            const i = at(o, c, tap);
            if (i >= 0) out[(((o >> 2) * taps + tap) * C4 + (c >> 2)) * 16 + (c & 3) * 4 + (o & 3)] = from[i];
          }
        }
      }
      return out;
    },
  };
}

/** Where (o, c, tap) lies in the filter of a convolution, or of its transpose. @param {ConvStep} step @param {boolean} dense */
function filter({ g, kind }, dense) {
  const taps = g.kh * g.kw, ins = g.C / g.groups, outs = g.O / g.groups;
  return (/** @type {number} */ o, /** @type {number} */ c, /** @type {number} */ tap) => {
    const group = Math.floor(o / outs), own = dense ? c - group * ins : c;
    if (own < 0 || own >= ins) return -1;
    return kind === 'conv' ? (o * ins + own) * taps + tap : ((group * ins + own) * outs + o % outs) * taps + tap;
  };
}

/** [taps][C/4] texels of four channels each. @param {ConvStep} step @returns {Table} */
function lanes({ g, w }) {
  const C4 = fours(g.C), taps = g.kh * g.kw;
  return {
    key: w.key && `${w.key}|lanes`, texels: C4 * taps,
    make() {
      const from = /** @type {() => Float32Array} */ (w.data)(), out = new Float32Array(4 * C4 * taps);
      for (let c = 0; c < g.C; c++) for (let tap = 0; tap < taps; tap++) out[(tap * C4 + (c >> 2)) * 4 + (c & 3)] = from[c * taps + tap];
      return out;
    },
  };
}

/** @param {import('../../gpu/step.js').GpuValue} value a constant @returns {Table} its elements, four per texel */
export function plain(value) {
  const texels = fours(count(value.shape));
  return {
    key: value.key && `${value.key}|plain`, texels,
    make() {
      const out = new Float32Array(4 * texels);
      out.set(/** @type {() => Float32Array} */ (value.data)());
      return out;
    },
  };
}

/**
 * The loop over a window that calls `inner` with ints ky, kx, iy, ix inside the picture.
 * @param {ConvStep} step @param {string} inner @returns {string}
 */
function windowLoop({ kind, g }, inner) {
  const bounds = (/** @type {string} */ at, /** @type {string} */ size) => `if (${at} < 0 || ${at} >= ${size}) continue;`;
  const axis = (/** @type {string} */ i, /** @type {string} */ out, /** @type {string} */ k, /** @type {string} */ S, /** @type {string} */ size) => (kind === 'conv'
    ? `int ${i} = ${out} * S${S} - P${S} + ${k} * D${S}; ${bounds(i, size)}`
    : `int ${i} = ${out} + P${S} - ${k} * D${S}; if (${i} < 0 || ${i} % S${S} != 0) continue; ${i} /= S${S}; ${bounds(i, size)}`);
  return `for (int ky = 0; ky < ${g.kh}; ky++) {
${axis('iy', 'h', 'ky', 'Y', 'H')}
for (int kx = 0; kx < ${g.kw}; kx++) {
${axis('ix', 'w', 'kx', 'X', 'W')}
${inner}
} }`;
}

/** @param {Shader} shader @param {Window} g */
function windowInts(shader, g) {
  shader.ints({ H: g.H, W: g.W, SY: g.sh, SX: g.sw, PY: g.top, PX: g.left, DY: g.dh, DX: g.dw });
}

/** @param {ConvStep} step @returns {Draw} */
function depthwise(step) {
  const { g } = step, shader = shaderOf(step), x = operand(shader, step, 0);
  shader.texture('weight', { table: lanes(step) });
  windowInts(shader, g);
  const head = coordinates(shader, step.y);
  const loop = windowLoop(step, `v += ${x}(base + iy * W + ix) * weight((ky * ${g.kw} + kx) * O4 + c4);`);
  return finish(shader, step, `${head}\n${biasOf(shader, step)}\nint base = (n * O4 + c4) * H * W;\n${loop}`, true);
}

/** @param {Shader} shader @param {ConvStep} step @returns {string} */
function biasOf(shader, { bias }) {
  if (!bias) return '';
  shader.texture('bias', { table: plain(bias) });
  return 'v = bias(c4);';
}

/** @param {ConvStep} step @returns {Draw[]} */
export function draws(step) {
  const { g } = step;
  if (isDepthwise(g) && step.kind === 'conv') return [depthwise(step)];
  const dense = !isAligned(g), channels = dense ? g.C : g.C / g.groups;
  const shader = shaderOf(step), x = operand(shader, step, 0);
  shader.texture('weight', { table: blocks(step, filter(step, dense), channels) });
  const C4 = fours(channels), unroll = [4, 2, 1].find((n) => C4 % n === 0) ?? 1;
  shader.ints({ I4: fours(g.C), C4 });
  const first = dense || g.groups === 1 ? '0' : `c4 / ${shader.int('GO4', fours(g.O / g.groups))} * C4`;
  const block = (/** @type {number} */ i) => `{ vec4 a = ${x}(at); at += HW; int k = wt + ${16 * i / 4};
v += a.x * weight(k) + a.y * weight(k + 1) + a.z * weight(k + 2) + a.w * weight(k + 3); }`;
  const product = `for (int c = 0; c < C4; c += ${unroll}) {\n${Array.from({ length: unroll }, (_, i) => block(i)).join('\n')}\nwt += ${4 * unroll};\n}`;
  const head = coordinates(shader, step.y), taps = g.kh * g.kw;
  shader.int('HW', g.H * g.W);
  const start = `${biasOf(shader, step)}\nint base = (n * I4 + ${first}) * HW;`;
  const isPoint = taps === 1 && g.sh === 1 && g.sw === 1 && !g.top && !g.left && g.OH === g.H && g.OW === g.W;
  if (isPoint) {
    return [finish(shader, step, `${head}\n${start}\nint at = base + h * OW + w, wt = c4 * C4 * 4;\n${product}`, true)];
  }
  windowInts(shader, g);
  const inner = `int at = base + iy * W + ix, wt = ((c4 * ${taps} + ky * ${g.kw} + kx) * C4) * 4;\n${product}`;
  return [finish(shader, step, `${head}\n${start}\n${windowLoop(step, inner)}`, true)];
}

