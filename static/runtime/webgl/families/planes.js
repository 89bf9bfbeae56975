// Pooling and resizing on c4, by tables of where each output row and column reads.
import { operand, perTexel, shaderOf } from '../tail.js';
import { fours, Shader } from '../shader.js';

/** @typedef {import('../../gpu/step.js').PoolStep} PoolStep */
/** @typedef {import('../../gpu/step.js').ResizeStep} ResizeStep */
/** @typedef {import('../../gpu/step.js').ResizeAxis} ResizeAxis */
/** @typedef {import('../../ops/pool/index.js').Span} Span */
/** @typedef {import('../shader.js').Draw} Draw */
/** @typedef {import('../shader.js').Place} Place */
/** @typedef {import('../shader.js').Table} Table */

const MAX_LOOP = 1024; // texels that one fragment pools into a single one; larger planes go row by row first

/** One texel per window: start, stop, 1 / area. @param {Span[]} spans @returns {Table} */
const spanTable = (spans) => ({
  key: '', storage: { quad: false, cells: spans.length },
  make: () => Float32Array.from(spans.flatMap(({ start, stop, area }) => [start, stop, 1 / area, 0])),
});

/** @param {PoolStep} step @returns {Draw[]} */
export function pool(step) {
  const { type, rows, columns, N, C, H, W } = step, max = type === 'max', start = max ? 'v = vec4(-INF);' : '';
  const add = max ? 'v = max(v, a);' : 'v += a;', shader = shaderOf(step);
  if (rows.length * columns.length > 1 || H * W <= MAX_LOOP) {
    const x = operand(shader, step, 0);
    shader.texture('rows', { table: spanTable(rows) });
    shader.texture('columns', { table: spanTable(columns) });
    shader.int('H', H);
    return [perTexel(shader, step, `vec4 a_ = rows(h), b_ = columns(w);
int base = (n * O4 + c4) * H;
${start}
for (int y = int(a_.x); y < int(a_.y); y++) for (int q = int(b_.x); q < int(b_.y); q++) { vec4 a = ${x}(base + y, q); ${add} }
${max ? '' : 'v *= a_.z * b_.z;'}`)];
  }
  /** @type {Place} */
  const middle = { scratch: { texels: N * fours(C) * H, exact: true } }, first = new Shader(`${shader.name}, rows`, middle);
  const x = operand(first, step, 0), [{ start: top, stop: bottom, area: tall }] = rows, [{ start: left, stop: right, area: wide }] = columns;
  first.ints({ LEFT: left, RIGHT: right });
  shader.texture('middle', middle);
  shader.ints({ H, TOP: top, BOTTOM: bottom });
  return [
    first.draw(`${start} for (int q = LEFT; q < RIGHT; q++) { vec4 a = ${x}(t, q); ${add} } ${max ? '' : `v *= ${first.float(1 / wide)};`}`),
    perTexel(shader, step, `${start} for (int y = TOP; y < BOTTOM; y++) { vec4 a = middle((n * O4 + c4) * H + y); ${add} } ${max ? '' : `v *= ${shader.float(1 / tall)};`}`),
  ];
}

/** One texel per tap: position, weight. @param {ResizeAxis} axis @returns {Table} */
const tapTable = ({ at, weight }) => ({
  key: '', storage: { quad: false, cells: at.length },
  make: () => Float32Array.from({ length: 4 * at.length }, (_, i) => [at[i >> 2], weight[i >> 2], 0, 0][i & 3]),
});

/** @param {ResizeStep} step @returns {Draw[]} */
export function resize(step) {
  const shader = shaderOf(step), x = operand(shader, step, 0), { rows, columns } = step;
  shader.texture('rows', { table: tapTable(rows) });
  shader.texture('columns', { table: tapTable(columns) });
  shader.int('H', step.x[0].shape[2]);
  return [perTexel(shader, step, `int base = (n * O4 + c4) * H;
for (int i = 0; i < ${rows.taps}; i++) {
vec4 r_ = rows(h * ${rows.taps} + i), line = vec4(0.);
for (int j = 0; j < ${columns.taps}; j++) { vec4 c_ = columns(w * ${columns.taps} + j); line += ${x}(base + int(r_.x), int(c_.x)) * c_.y; }
v += line * r_.y;
}`)];
}
