// Convolutions on c4: products of 4x4 blocks of weights. A fragment makes four output channels of four neighbouring
// pixels (of one where the result is a vector), so that four pixels share every weight and pixels share columns.
import { count } from '../../ops/node.js';
import { operand, perCell, perTexel, shaderOf } from '../tail.js';
import { fours, storageOfValue } from '../shader.js';

/** @typedef {import('../../gpu/step.js').ConvStep} ConvStep */
/** @typedef {import('../absorb.js').ScaledConv} ScaledConv */
/** @typedef {import('../../ops/conv/index.js').Window} Window */
/** @typedef {import('../shader.js').Draw} Draw */
/** @typedef {import('../shader.js').Shader} Shader */
/** @typedef {import('../shader.js').Table} Table */
/** @typedef {{kx: number, lane: number, at: number}} Use pixel `lane` of a cell reads column `at` under tap kx; columns
 *   count from the first that a cell without padding would read */

const MAX_SPREAD = 2 ** 22; // weights of a grouped convolution that is computed as a dense one
const MAX_COLUMNS = 16; // of the input that a fragment holds at a time

/** @param {Window} g */
const isDepthwise = (g) => g.groups > 1 && g.groups === g.C && g.O === g.C;

/** Groups whose channels fill whole texels. @param {Window} g */
const isAligned = (g) => g.groups === 1 || (g.C / g.groups % 4 === 0 && g.O / g.groups % 4 === 0);

/** Whether every output channel reads every input channel. @param {Window} g */
export const isDense = (g) => g.groups === 1;

/** @param {ConvStep} step @returns {string} */
export function refuses({ g, w, bias }) {
  if (!w.data || (bias && !bias.data)) return 'its weights are computed';
  if (isDepthwise(g) || isAligned(g)) return '';
  return g.O * g.C * g.kh * g.kw > MAX_SPREAD ? 'its groups do not fill texels' : '';
}

/**
 * Weights as [O/4][taps][C/4] cells of four texels: layer j holds what input channel j adds to four output channels.
 * @param {ConvStep} step @param {boolean} dense @returns {Table}
 */
function blocks(step, dense) {
  const { g, w, kind } = step, channels = dense ? g.C : g.C / g.groups, taps = g.kh * g.kw;
  const O4 = fours(g.O), C4 = fours(channels), cells = O4 * taps * C4, at = filter(step, dense);
  return {
    key: w.key && `${w.key}|${kind}|${g.groups}`, storage: { quad: true, cells },
    make() {
      const from = /** @type {() => Float32Array} */ (w.data)(), out = new Float32Array(16 * cells);
      for (let o = 0; o < g.O; o++) {
        for (let c = 0; c < channels; c++) {
          for (let tap = 0; tap < taps; tap++) {
            const i = at(o, c, tap);
            if (i >= 0) out[((c & 3) * cells + ((o >> 2) * taps + tap) * C4 + (c >> 2)) * 4 + (o & 3)] = from[i];
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

/** [C/4][taps] texels of four channels each. @param {ConvStep} step @returns {Table} */
function lanes({ g, w }) {
  const taps = g.kh * g.kw, cells = fours(g.C) * taps;
  return {
    key: w.key && `${w.key}|lanes`, storage: { quad: false, cells },
    make() {
      const from = /** @type {() => Float32Array} */ (w.data)(), out = new Float32Array(4 * cells);
      for (let c = 0; c < g.C; c++) for (let tap = 0; tap < taps; tap++) out[((c >> 2) * taps + tap) * 4 + (c & 3)] = from[c * taps + tap];
      return out;
    },
  };
}

/** @param {import('../../gpu/step.js').GpuValue} value a constant @returns {Table} its elements, four per texel */
function plain(value) {
  const cells = fours(count(value.shape));
  return {
    key: value.key && `${value.key}|plain`, storage: { quad: false, cells },
    make() {
      const out = new Float32Array(4 * cells);
      out.set(/** @type {() => Float32Array} */ (value.data)());
      return out;
    },
  };
}

/** @param {number} x @param {number} n */
const modulo = (x, n) => ((x % n) + n) % n;

/**
 * Which columns a cell reads; null where that is not the same for all cells of a row, or too many.
 * @param {ConvStep} step @returns {Use[]|null}
 */
function usesOf({ kind, g }) {
  const uses = [];
  if (kind === 'deconv' && 4 % g.sw) return null;
  for (let kx = 0; kx < g.kw; kx++) {
    for (let lane = 0; lane < 4; lane++) {
      const at = kind === 'conv' ? lane * g.sw + kx * g.dw - g.left : lane + g.left - kx * g.dw;
      if (kind === 'conv') uses.push({ kx, lane, at });
      else if (modulo(at, g.sw) === 0) uses.push({ kx, lane, at: at / g.sw });
    }
  }
  return new Set(uses.map(({ at }) => at)).size <= MAX_COLUMNS ? uses : null;
}

/** Rows of the input under a row of taps: sets int iy, or goes on with the next ky. @param {ConvStep} step @returns {string} */
const rowOf = ({ kind }) => (kind === 'conv'
  ? 'int iy = h * SY - PY + ky * DY; if (iy < 0 || iy >= H) continue;'
  : 'int iy = h + PY - ky * DY; if (iy < 0 || iy % SY != 0) continue; iy /= SY; if (iy >= H) continue;');

/** @param {number} at @returns {string} part of a name */
const id = (at) => (at < 0 ? `m${-at}` : `${at}`);

/**
 * The columns of a cell's window: checks of where they lie, made once, and reading them in a row.
 * @param {Shader} shader @param {ConvStep} step @param {string} x @param {Use[]} uses
 * @returns {{checks: string, load: string}} load: from int row, into vec4 a<id>
 */
function columnsOf(shader, { kind, g, x: [input] }, x, uses) {
  const list = [...new Set(uses.map(({ at }) => at))].sort((p, q) => p - q), { quad } = storageOfValue(input);
  const per = kind === 'conv' ? 4 * g.sw : 4 / g.sw; // input columns per cell
  const inside = (/** @type {number} */ at) => kind === 'conv' && at >= 0 && (Math.ceil(g.OW / 4) - 1) * per + at < g.W;
  const checks = list.filter((at) => !inside(at)).map((at) => `bool k${id(at)} = wc * ${per} + ${at} >= 0 && wc * ${per} + ${at} < W;`);
  const load = list.map((at) => {
    const texel = quad && per % 4 === 0 ? `${x}_at(cell + ${Math.floor(at / 4)}, ${modulo(at, 4)})` : `${x}(row, wc * ${per} + ${at})`;
    return `vec4 a${id(at)} = ${inside(at) ? texel : `k${id(at)} ? ${texel} : vec4(0.)`};`;
  });
  const cell = quad && per % 4 === 0 ? `int cell = row * ${x}_CELLS + wc * ${per / 4};` : '';
  return { checks: checks.join('\n'), load: [cell, ...load].join('\n') };
}

/** @param {Shader} shader @param {ConvStep} step @param {number} layers @returns {string} the start of all sums */
function biasOf(shader, { bias }, layers) {
  if (!bias) return '';
  shader.texture('bias', { table: plain(bias) });
  return layers === 1 ? 'v = bias(c4);' : 'v0 = bias(c4); v1 = v0; v2 = v0; v3 = v0;';
}

/** @param {Shader} shader @param {ConvStep} step @param {string} x @param {Use[]} uses @returns {Draw} */
function depthwiseCells(shader, step, x, uses) {
  const { g } = step, { checks, load } = columnsOf(shader, step, x, uses);
  const sums = Array.from({ length: g.kw }, (_, kx) => {
    const add = uses.filter((use) => use.kx === kx).map(({ lane, at }) => `v${lane} += m * a${id(at)};`);
    return `{ vec4 m = weight(k + ${kx}); ${add.join(' ')} }`;
  });
  return perCell(shader, step, `${biasOf(shader, step, 4)}
${checks}
for (int ky = 0; ky < ${g.kh}; ky++) {
${rowOf(step)}
int row = (n * O4 + c4) * H + iy, k = c4 * ${g.kh * g.kw} + ky * ${g.kw};
${load}
${sums.join('\n')}
}`);
}

/** The factor of channel block c, if there is one, as part of a product. @param {Shader} shader @param {ScaledConv} step @returns {string} */
function factorOf(shader, step) {
  if (!step.scale) return '';
  const name = operand(shader, step, step.scale.x);
  return ` * ${name}(${step.scale.n ? `n * ${shader.int('SCALES', step.scale.n)} + ` : ''}c)`;
}

/** @param {Shader} shader @param {ConvStep} step @param {string} x @param {Use[]} uses @param {string} first channel block of the group @returns {Draw} */
function cells(shader, step, x, uses, first) {
  const { g } = step, { checks, load } = columnsOf(shader, step, x, uses), taps = g.kh * g.kw, factor = factorOf(shader, step);
  const scaled = factor && `vec4 s = vec4(1.)${factor}; ${[...new Set(uses.map(({ at }) => `a${id(at)} *= s;`))].join(' ')}`;
  const sums = Array.from({ length: g.kw }, (_, kx) => {
    const add = uses.filter((use) => use.kx === kx).map(({ lane, at }) => `v${lane} += m * a${id(at)};`);
    if (!add.length) return '';
    return `{ int k_ = k + ${kx} * C4; mat4 m = mat4(${[0, 1, 2, 3].map((j) => `weight_at(k_, ${j})`).join(', ')}); ${add.join(' ')} }`;
  });
  return perCell(shader, step, `${biasOf(shader, step, 4)}
${checks}
for (int ky = 0; ky < ${g.kh}; ky++) {
${rowOf(step)}
int row = (n * I4 + ${first}) * H + iy, k = (c4 * ${taps} + ky * ${g.kw}) * C4;
for (int c = 0; c < C4; c++) {
${load}
${scaled}
${sums.filter(Boolean).join('\n')}
row += H; k++;
}
}`);
}

/** One texel at a time, any window. @param {Shader} shader @param {ConvStep} step @param {string} x @param {string} inner from int row, q (a column) and ky, kx @returns {Draw} */
function pixels(shader, step, x, inner) {
  const { g, kind } = step, column = kind === 'conv'
    ? 'int q = w * SX - PX + kx * DX; if (q < 0 || q >= W) continue;'
    : 'int q = w + PX - kx * DX; if (q < 0 || q % SX != 0) continue; q /= SX; if (q >= W) continue;';
  shader.ints({ SX: g.sw, PX: g.left, DX: g.dw });
  return perTexel(shader, step, `${biasOf(shader, step, 1)}
for (int ky = 0; ky < ${g.kh}; ky++) {
${rowOf(step)}
for (int kx = 0; kx < ${g.kw}; kx++) {
${column}
${inner}
} }`);
}

/** @param {ConvStep} step @returns {Draw[]} */
export function draws(step) {
  const { g } = step, shader = shaderOf(step), x = operand(shader, step, 0), uses = shader.quad ? usesOf(step) : null;
  shader.ints({ H: g.H, W: g.W, SY: g.sh, PY: g.top, DY: g.dh });
  if (isDepthwise(g) && step.kind === 'conv') {
    shader.texture('weight', { table: lanes(step) });
    if (uses) return [depthwiseCells(shader, step, x, uses)];
    return [pixels(shader, step, x, `v += ${x}((n * O4 + c4) * H + iy, q) * weight(c4 * ${g.kh * g.kw} + ky * ${g.kw} + kx);`)];
  }
  const dense = !isAligned(g);
  shader.texture('weight', { table: blocks(step, dense) });
  shader.ints({ I4: fours(g.C), C4: fours(dense ? g.C : g.C / g.groups) });
  const first = dense || g.groups === 1 ? '0' : `c4 / ${shader.int('GO4', fours(g.O / g.groups))} * C4`;
  if (uses) return [cells(shader, step, x, uses, first)];
  return [pixels(shader, step, x, `int row = (n * I4 + ${first}) * H + iy, k = (c4 * ${g.kh * g.kw} + ky * ${g.kw} + kx) * C4;
for (int c = 0; c < C4; c++) {
v += mat4(${[0, 1, 2, 3].map((j) => `weight_at(k, ${j})`).join(', ')}) * (${x}(row, q)${factorOf(shader, step)}); row += H; k++;
}`)];
}
