// Pooling and resizing on c4: positions come from tables that the plan made.
import { Kernel, folded, GROUP_ID, LINE, LINE_ID, lines } from '../kernel.js';

/** @typedef {import('../../gpu/step.js').PoolStep} PoolStep */
/** @typedef {import('../../gpu/step.js').ResizeStep} ResizeStep */
/** @typedef {import('../../gpu/step.js').ResizeAxis} ResizeAxis */
/** @typedef {import('../kernel.js').Program} Program */
/** @typedef {import('./conv.js').FormatOf} FormatOf */

const WIDE = 256; // invocations that share a large plane

/** @param {number} n */
const fours = (n) => Math.ceil(n / 4);

/** A texel per window: first, end, what its sum is divided by. @param {import('../../gpu/step.js').Span[]} spans */
const spanTable = (spans) => Float32Array.from(spans.flatMap(({ start, stop, area }) => [start, stop, area, 0]));

/** @param {PoolStep} step @param {FormatOf} formatOf @returns {Program[]} */
export function pool(step, formatOf) {
  const { x, N, C, H, W, rows, columns, type } = step, k = new Kernel(formatOf), b = k.read(x[0]), planes = N * fours(C);
  const c = k.number('C4', fours(C)), max = type === 'max', start = max ? 'vec4<f32>(-3.4e38)' : 'vec4<f32>(0.)';
  const add = (/** @type {string} */ value) => (max ? `v = max(v, ${value});` : `v += ${value};`);
  if (rows.length === 1 && columns.length === 1 && H * W >= 16 && rows[0].stop - rows[0].start === H && columns[0].stop - columns[0].start === W) {
    const P = k.number('P', H * W), scale = k.float('scale', max ? 1 : 1 / (rows[0].area * columns[0].area));
    const wide = H * W > 1024 ? WIDE : LINE;
    k.globals.push(`var<workgroup> sums: array<vec4<f32>, ${wide}>;`);
    const body = `${GROUP_ID}
    let t = g; let hw = 0u; let c4 = g % ${c}; let n = g / ${c};
    if (g >= ${k.number('planes', planes)}) { return; }
    var v = ${start};
    for (var i = local.x; i < ${P}; i += ${wide}u) { ${add(`ld${b}(g * ${P} + i)`)} }
    sums[local.x] = v;
    workgroupBarrier();
    for (var w = ${wide / 2}u; w > 0u; w /= 2u) {
      if (local.x < w) { v = sums[local.x]; ${add('sums[local.x + w]')} sums[local.x] = v; }
      workgroupBarrier();
    }
    if (local.x > 0u) { return; }
    v = sums[0] * ${scale};`;
    return [k.program(`${body}\n${k.finish(step)}`, folded(planes), [wide, 1, 1])];
  }
  const r = k.table({ key: '', format: 'f32', data: () => spanTable(rows) }), s = k.table({ key: '', format: 'f32', data: () => spanTable(columns) });
  const texels = planes * rows.length * columns.length, OW = k.number('OW', columns.length), P = k.number('P', rows.length * columns.length);
  const h = k.number('H', H), w = k.number('W', W);
  const body = `${LINE_ID}
  if (t >= ${k.number('texels', texels)}) { return; }
  let hw = t % ${P}; let nc = t / ${P}; let c4 = nc % ${c}; let n = nc / ${c};
  let row = ld${r}(hw / ${OW}); let column = ld${s}(hw % ${OW});
  var v = ${start};
  for (var i = u32(row.x); i < u32(row.y); i++) { for (var j = u32(column.x); j < u32(column.y); j++) {
    ${add(`ld${b}((nc * ${h} + i) * ${w} + j)`)}
  } }
  ${max ? '' : 'v /= row.z * column.z;'}`;
  return [k.program(`${body}\n${k.finish(step)}`, lines(texels))];
}

/** Two texels per output: four positions, four weights. @param {ResizeAxis} axis */
function axisTable({ at, weight, taps }) {
  const n = at.length / taps, out = new Float32Array(8 * n);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < taps; k++) {
      out[8 * i + k] = at[i * taps + k];
      out[8 * i + 4 + k] = weight[i * taps + k];
    }
  }
  return out;
}

/** @param {ResizeStep} step @param {FormatOf} formatOf @returns {Program[]} */
export function resize(step, formatOf) {
  const { x, y, rows, columns } = step, [N, C, OH, OW] = y.shape, [, , H, W] = x[0].shape, k = new Kernel(formatOf), b = k.read(x[0]);
  const r = k.table({ key: '', format: 'f32', data: () => axisTable(rows) }), s = k.table({ key: '', format: 'f32', data: () => axisTable(columns) });
  const texels = N * fours(C) * OH * OW, P = k.number('P', OH * OW), ow = k.number('OW', OW), c = k.number('C4', fours(C));
  const h = k.number('H', H), w = k.number('W', W);
  const taps = Array.from({ length: rows.taps * columns.taps }, (_, i) => [Math.floor(i / columns.taps), i % columns.taps]);
  const body = `${LINE_ID}
  if (t >= ${k.number('texels', texels)}) { return; }
  let hw = t % ${P}; let nc = t / ${P}; let c4 = nc % ${c}; let n = nc / ${c};
  let i = 2u * (hw / ${ow}); let j = 2u * (hw % ${ow});
  let rows = vec4<u32>(ld${r}(i)); let columns = vec4<u32>(ld${s}(j));
  ${taps.length > 1 ? `let a = ld${r}(i + 1u); let b = ld${s}(j + 1u);` : ''}
  var v = vec4<f32>(0.);
  ${taps.map(([p, q]) => `v += ${taps.length > 1 ? `a[${p}] * b[${q}] * ` : ''}ld${b}((nc * ${h} + rows[${p}]) * ${w} + columns[${q}]);`).join('\n')}`;
  return [k.program(`${body}\n${k.finish(step)}`, lines(texels))];
}
