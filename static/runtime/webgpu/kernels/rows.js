// Products of matrices, softmax, reductions and normalisation on row-major memory.
import { texels } from '../../gpu/step.js';
import { count } from '../../ops/node.js';
import { Kernel, folded, GROUP_ID, LINE, LINE_ID, lines } from '../kernel.js';

/** @typedef {import('../../gpu/step.js').MatmulStep} MatmulStep */
/** @typedef {import('../../gpu/step.js').SoftmaxStep} SoftmaxStep */
/** @typedef {import('../../gpu/step.js').ReduceStep} ReduceStep */
/** @typedef {import('../../gpu/step.js').NormStep} NormStep */
/** @typedef {import('../kernel.js').Program} Program */
/** @typedef {import('./conv.js').FormatOf} FormatOf */

const MANY = 16384; // invocations that fill a large GPU

/** @param {Int32Array} list @param {number} unit */
const multiples = (list, unit) => list.every((n) => n % unit === 0);

/** @param {MatmulStep} step @param {FormatOf} formatOf @returns {Program[]} */
export function matmul(step, formatOf) {
  const { x, y, M, N, K, at, bt, am, ak, bk, bn } = step, k = new Kernel(formatOf), a = k.read(x[0]), b = k.read(x[1]);
  const batches = at.length, results = texels(y);
  let parts = 1;
  while (parts < 64 && parts * 8 <= K && results * parts < MANY) parts *= 2;
  const per = LINE / parts, total = k.number('results', results), depth = k.number('K', K), n = k.number('N', N), m = k.number('M', M);
  const [AM, AK, BK, BN] = [['am', am], ['ak', ak], ['bk', bk], ['bn', bn]].map(([name, s]) => k.number(String(name), Number(s)));
  const offsets = batches > 1 ? k.table({ key: '', format: 'f32', data: () => flat(at, bt) }) : null;
  const [a0, b0] = offsets ? ['0u', '0u'] : [k.number('a0', at[0]), k.number('b0', bt[0])];
  /** @param {string} row @param {string} batch */
  const place = (row, batch) => (offsets ? `let o = ld${offsets}(${batch}); let pa = u32(o.x) + ${row} * ${AM}; let pb = u32(o.y);`
    : `let pa = ${a0} + ${row} * ${AM}; let pb = ${b0};`);
  const wide = N % 4 === 0 && bn === 1 && bk % 4 === 0 && multiples(bt, 4);
  const deep = N % 4 === 0 && bk === 1 && ak === 1 && bn % 4 === 0 && am % 4 === 0 && K % 4 === 0 && multiples(at, 4) && multiples(bt, 4);
  const open = `let part = local.x / ${per}u;
  let t = (group.y * groups.x + group.x) * ${per}u + local.x % ${per}u;
  let live = t < ${total};
  var v = vec4<f32>(0.);
  if (live) {`;
  const shared = `let e = 4u * t; let column = e % ${n}; let row = (e / ${n}) % ${m}; let batch = e / ${n} / ${m}; ${place('row', 'batch')}`;
  const body = wide ? `${shared}
    for (var i = part; i < ${depth}; i += ${parts}u) { v = fma(vec4<f32>(sc${a}(pa + i * ${AK})), ld${b}((pb + i * ${BK} + column) / 4u), v); }`
    : deep ? `${shared}
    for (var i = 4u * part; i < ${depth}; i += ${4 * parts}u) {
      let r = ld${a}((pa + i) / 4u);
      v += vec4<f32>(${[0, 1, 2, 3].map((lane) => `dot(r, ld${b}((pb + i + (column + ${lane}u) * ${BN}) / 4u))`).join(', ')});
    }`
      : `for (var lane = 0u; lane < 4u; lane++) {
      let e = min(4u * t + lane, ${k.number('count', count(y.shape))} - 1u);
      let column = e % ${n}; let row = (e / ${n}) % ${m}; let batch = e / ${n} / ${m}; ${place('row', 'batch')}
      var sum = 0.;
      for (var i = part; i < ${depth}; i += ${parts}u) { sum = fma(sc${a}(pa + i * ${AK}), sc${b}(pb + i * ${BK} + column * ${BN}), sum); }
      v[lane] = sum;
    }`;
  if (parts > 1) k.globals.push(`var<workgroup> sums: array<vec4<f32>, ${LINE}>;`);
  const end = k.finish(step);
  const join = `sums[local.x] = v;
  workgroupBarrier();
  if (part > 0u || !live) { return; }
  for (var s = 1u; s < ${parts}u; s++) { v += sums[s * ${per}u + local.x]; }
  ${end}`;
  return [k.program(`${open}\n${body}\n}\n${parts > 1 ? join : `if (!live) { return; }\n${end}`}`, lines(results * parts))];
}

/** A texel per matrix of the batch: its offsets. @param {Int32Array} at @param {Int32Array} bt */
function flat(at, bt) {
  const out = new Float32Array(4 * at.length);
  at.forEach((a, i) => out.set([a, bt[i]], 4 * i));
  return out;
}

/**
 * A program that leaves a texel of statistics per row in scratch memory: one workgroup per row.
 * @param {Kernel} k @param {string} name @param {number} rows @param {string} body sets `v` of invocation 0
 * @returns {Program}
 */
function statistics(k, name, rows, body) {
  k.globals.push(`var<workgroup> sums: array<f32, ${LINE}>;`, `fn total(local: u32, mine: f32) -> f32 {
    sums[local] = mine;
    workgroupBarrier();
    for (var w = ${LINE / 2}u; w > 0u; w /= 2u) { if (local < w) { sums[local] += sums[local + w]; } workgroupBarrier(); }
    let all = sums[0];
    workgroupBarrier();
    return all;
  }`, `fn largest(local: u32, mine: f32) -> f32 {
    sums[local] = mine;
    workgroupBarrier();
    for (var w = ${LINE / 2}u; w > 0u; w /= 2u) { if (local < w) { sums[local] = max(sums[local], sums[local + w]); } workgroupBarrier(); }
    let all = sums[0];
    workgroupBarrier();
    return all;
  }`);
  k.output({ scratch: name, bytes: 16 * rows }, 'f32');
  const guard = k.number('rows', rows);
  return k.program(`${GROUP_ID}\nlet row = min(g, ${guard} - 1u);\n${body}\nif (local.x == 0u && g < ${guard}) { st(g, v); }`, folded(rows));
}

/** @param {SoftmaxStep} step @param {FormatOf} formatOf @returns {Program[]} */
export function softmax(step, formatOf) {
  const { x, y, outer, n, inner, log } = step, rows = outer * inner, first = new Kernel(formatOf), b = first.read(x[0]);
  const [N, I] = [first.number('n', n), first.number('inner', inner)];
  const one = statistics(first, 'rows', rows, `let base = (row / ${I}) * ${N} * ${I} + row % ${I};
    var top = -3.4e38;
    for (var i = local.x; i < ${N}; i += ${LINE}u) { top = max(top, sc${b}(base + i * ${I})); }
    top = largest(local.x, top);
    var sum = 0.;
    for (var i = local.x; i < ${N}; i += ${LINE}u) { sum += exp(sc${b}(base + i * ${I}) - top); }
    sum = total(local.x, sum);
    let v = vec4<f32>(top, ${log ? 'log(sum)' : '1. / sum'}, 0., 0.);`);
  const k = new Kernel(formatOf), c = k.read(x[0]), s = k.scratch('rows', 16 * rows), [M, J] = [k.number('n', n), k.number('inner', inner)];
  const last = k.number('rows', rows - 1);
  const lanes = [0, 1, 2, 3].map((lane) => `{ let e = 4u * t + ${lane}u; let q = ld${s}(min(e / ${J} / ${M} * ${J} + e % ${J}, ${last}));
    v[${lane}] = ${log ? `v[${lane}] - q.x - q.y` : `exp(v[${lane}] - q.x) * q.y`}; }`);
  const two = k.program(`${LINE_ID}\nif (t >= ${k.number('texels', texels(y))}) { return; }\nvar v = ld${c}(t);\n${lanes.join('\n')}\n${k.finish(step)}`, lines(texels(y)));
  return [one, two];
}

/** @param {NormStep} step @param {FormatOf} formatOf @returns {Program[]} */
export function norm(step, formatOf) {
  const { x, y, rows, n, epsilon } = step, first = new Kernel(formatOf), b = first.read(x[0]), N = first.number('n', n);
  const one = statistics(first, 'rows', rows, `let base = row * ${N};
    var sum = 0.;
    for (var i = local.x; i < ${N}; i += ${LINE}u) { sum += sc${b}(base + i); }
    let mean = total(local.x, sum) / f32(${N});
    var square = 0.;
    for (var i = local.x; i < ${N}; i += ${LINE}u) { let d = sc${b}(base + i) - mean; square += d * d; }
    let v = vec4<f32>(mean, 1. / sqrt(total(local.x, square) / f32(${N}) + ${first.float('epsilon', epsilon)}), 0., 0.);`);
  const k = new Kernel(formatOf), c = k.read(x[0]), s = k.scratch('rows', 16 * rows), M = k.number('n', n), last = k.number('rows', rows - 1);
  const lanes = [0, 1, 2, 3].map((lane) => `{ let q = ld${s}(min((4u * t + ${lane}u) / ${M}, ${last})); v[${lane}] = (v[${lane}] - q.x) * q.y; }`);
  const two = k.program(`${LINE_ID}\nif (t >= ${k.number('texels', texels(y))}) { return; }\nvar v = ld${c}(t);\n${lanes.join('\n')}\n${k.finish(step)}`, lines(texels(y)));
  return [one, two];
}

const REDUCE = {
  sum: { start: '0.', join: (/** @type {string} */ p, /** @type {string} */ q) => `${p} + ${q}` },
  max: { start: '-3.4e38', join: (/** @type {string} */ p, /** @type {string} */ q) => `max(${p}, ${q})` },
  min: { start: '3.4e38', join: (/** @type {string} */ p, /** @type {string} */ q) => `min(${p}, ${q})` },
  prod: { start: '1.', join: (/** @type {string} */ p, /** @type {string} */ q) => `${p} * ${q}` },
};

/** A workgroup per texel of the result. @param {ReduceStep} step @param {FormatOf} formatOf @returns {Program[]} */
export function reduce(step, formatOf) {
  const { x, y, outer, n, inner, op, scale } = step, k = new Kernel(formatOf), b = k.read(x[0]), { start, join } = REDUCE[op];
  const [N, I, last] = [k.number('n', n), k.number('inner', inner), k.number('last', outer * inner - 1)], total = k.number('texels', texels(y));
  k.globals.push(`var<workgroup> sums: array<vec4<f32>, ${LINE}>;`);
  const body = `${GROUP_ID}
  let t = g;
  let e = min(vec4<u32>(4u * min(t, ${total} - 1u)) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(${last}));
  let base = (e / ${I}) * (${N} * ${I}) + e % ${I};
  var v = vec4<f32>(${start});
  for (var i = local.x; i < ${N}; i += ${LINE}u) {
    let q = base + i * ${I};
    v = ${join('v', `vec4<f32>(sc${b}(q.x), sc${b}(q.y), sc${b}(q.z), sc${b}(q.w))`)};
  }
  sums[local.x] = v;
  workgroupBarrier();
  for (var w = ${LINE / 2}u; w > 0u; w /= 2u) { if (local.x < w) { sums[local.x] = ${join('sums[local.x]', 'sums[local.x + w]')}; } workgroupBarrier(); }
  if (local.x > 0u || t >= ${total}) { return; }
  v = sums[0] * ${k.float('scale', scale)};`;
  return [k.program(`${body}\n${k.finish(step)}`, folded(texels(y)))];
}
