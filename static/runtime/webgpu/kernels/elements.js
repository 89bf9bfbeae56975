// Elementwise steps, and steps that move elements: an invocation per texel of the result.
import { isFull, texels } from '../../gpu/step.js';
import { count } from '../../ops/node.js';
import { Kernel, LINE_ID, lines } from '../kernel.js';

/** @typedef {import('../../gpu/step.js').MapStep} MapStep */
/** @typedef {import('../../gpu/step.js').MoveStep} MoveStep */
/** @typedef {import('../../gpu/step.js').Move} Move */
/** @typedef {import('../../gpu/step.js').GpuValue} GpuValue */
/** @typedef {import('../../gpu/step.js').Step} Step */
/** @typedef {import('../kernel.js').Program} Program */
/** @typedef {import('./conv.js').FormatOf} FormatOf */

/** Opens an invocation: t, and where the result is c4 its coordinates. @param {Kernel} k @param {GpuValue} y */
function open(k, y) {
  const start = `${LINE_ID}\nif (t >= ${k.number('texels', texels(y))}) { return; }`;
  if (y.layout === 'linear') return start;
  const [, C, H, W] = y.shape, P = k.number('P', H * W), c = k.number('C4', Math.ceil(C / 4));
  return `${start}\nlet hw = t % ${P}; let nc = t / ${P}; let c4 = nc % ${c}; let n = nc / ${c};`;
}

/** @param {MapStep} step @param {FormatOf} formatOf @returns {Program[]} */
export function map(step, formatOf) {
  const { x, y, strides } = step, k = new Kernel(formatOf), start = open(k, y);
  const whole = x[0].layout === y.layout && count(x[0].shape) === count(y.shape) && isFull(strides, y.shape);
  const v = whole ? `ld${k.read(x[0])}(t)` : k.operand(step, { fn: 'binary', op: '', with: 0, swap: false, strides });
  return [k.program(`${start}\nvar v = ${v};\n${k.finish(step)}`, lines(texels(y)))];
}

/** @param {MoveStep} step @param {FormatOf} formatOf @returns {Program[]} */
export function move(step, formatOf) {
  const { x, y, moves } = step, k = new Kernel(formatOf), start = open(k, y), runs = moves.map((one) => run(step, one));
  if (runs.every((one) => one !== null)) {
    const copies = runs.map((one, i) => {
      const { from, to, n } = /** @type {{from: number, to: number, n: number}} */ (one), [f, at, size] = [k.number('from', from), k.number('to', to), k.number('n', n)];
      return `if (t >= ${at} && t - ${at} < ${size}) { v = ld${k.read(x[moves[i].x])}(t - ${at} + ${f}); }`;
    });
    return [k.program(`${start}\nvar v = vec4<f32>(0.);\n${copies.join('\n')}\n${k.finish(step)}`, lines(texels(y)))];
  }
  const element = y.layout === 'linear' ? 'e = 4u * t + lane;'
    : `let c = min(4u * c4 + lane, ${k.number('C', y.shape[1])} - 1u); e = (n * ${k.number('C', y.shape[1])} + c) * ${k.number('P', y.shape[2] * y.shape[3])} + hw;`;
  const size = k.number('count', count(y.shape));
  const body = `${start}
  var v = vec4<f32>(0.);
  for (var lane = 0u; lane < 4u; lane++) {
    var e = 0u;
    ${element}
    e = min(e, ${size} - 1u);
    ${moves.map((one) => source(k, x[one.x], one, moves.length === 1 && count(one.dims) === count(y.shape))).join('\n')}
  }`;
  return [k.program(`${body}\n${k.finish(step)}`, lines(texels(y)))];
}

/** Code that reads the source of element e into a lane, if this move reaches it. @param {Kernel} k @param {GpuValue} from @param {Move} move @param {boolean} whole */
function source(k, from, { dims, ss, ds, fromAt, toAt }, whole) {
  const loops = dims.map((d, i) => ({ d: k.number('d', d), s: k.int('s', ss[i]), step: ds[i] === 1 ? '' : k.number('ds', ds[i]) }));
  const text = loops.map(({ d, s, step }) => {
    const at = step ? `let q = r / ${step}; r -= q * ${step};` : 'let q = r; r = 0u;';
    return `{ ${at} ${whole ? '' : `hit = hit && q < ${d};`} at += i32(q) * ${s}; }`;
  });
  const first = k.number('to', toAt);
  return `{
    var hit = e >= ${first}; var r = e - ${first}; var at = ${k.int('from', fromAt)};
    ${text.join('\n')}
    if (${whole ? 'true' : 'hit && r == 0u'}) { v[lane] = ${k.element(from, 'u32(at)')}; }
  }`;
}

/**
 * A move as a run of whole texels, where it is one: both sides start and end between texels that lie alike.
 * @param {MoveStep} step @param {Move} move @returns {{from: number, to: number, n: number}|null}
 */
function run({ x, y }, { x: at, dims, ss, ds, fromAt, toAt }) {
  const from = x[at], unit = from.layout === y.layout ? unitOf(from, y) : 0;
  if (!unit || dims.length !== 1 || ss[0] !== 1 || ds[0] !== 1 || fromAt % unit || toAt % unit) return null;
  const ends = dims[0] % unit === 0 || (fromAt + dims[0] === count(from.shape) && toAt + dims[0] === count(y.shape));
  const texel = unit / 4;
  return ends ? { from: fromAt / unit * texel, to: toAt / unit * texel, n: Math.ceil(dims[0] / unit) * texel } : null;
}

/** Elements of the smallest piece that is whole texels on both sides; 0 where there is none. @param {GpuValue} x @param {GpuValue} y */
function unitOf(x, y) {
  if (x.layout === 'linear') return 4;
  const [N, , H, W] = x.shape, [M, , OH, OW] = y.shape;
  return N === 1 && M === 1 && H === OH && W === OW ? 4 * H * W : 0;
}
