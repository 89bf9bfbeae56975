// Pooling and resizing on c4, by tables of where each output row and column reads.
import { coordinates, finish, operand, shaderOf } from '../tail.js';
import { fours, Shader } from '../shader.js';

/** @typedef {import('../../gpu/step.js').PoolStep} PoolStep */
/** @typedef {import('../../gpu/step.js').ResizeStep} ResizeStep */
/** @typedef {import('../../gpu/step.js').ResizeAxis} ResizeAxis */
/** @typedef {import('../../ops/pool/index.js').Span} Span */
/** @typedef {import('../shader.js').Draw} Draw */
/** @typedef {import('../shader.js').Place} Place */
/** @typedef {import('../shader.js').Table} Table */

const MAX_LOOP = 128; // texels that one fragment pools; larger windows go row by row first

/** One texel per window: start, stop, 1 / area. @param {Span[]} spans @returns {Table} */
const spanTable = (spans) => ({
  key: '', texels: spans.length, make: () => Float32Array.from(spans.flatMap(({ start, stop, area }) => [start, stop, 1 / area, 0])),
});

/**
 * The body that pools window rows × columns of `x`, whose planes are H × W.
 * @param {string} x @param {'max'|'avg'} type @param {string} rows declares int y0, y1, float ya @param {string} columns
 */
const poolBody = (x, type, rows, columns) => `${rows} ${columns}
int base = (n * O4 + c4) * H;
${type === 'max' ? 'v = vec4(-INF);' : ''}
for (int y = y0; y < y1; y++) for (int q = x0_; q < x1_; q++) { vec4 a = ${x}((base + y) * W + q); ${type === 'max' ? 'v = max(v, a);' : 'v += a;'} }
${type === 'max' ? '' : 'v *= ya * xa;'}`;

const ROWS = 'vec4 sr = rows(h); int y0 = int(sr.x), y1 = int(sr.y); float ya = sr.z;';
const COLUMNS = 'vec4 sc = columns(w); int x0_ = int(sc.x), x1_ = int(sc.y); float xa = sc.z;';

/** @param {PoolStep} step @returns {Draw[]} */
export function pool(step) {
  const { type, rows, columns, N, C, H, W, y } = step, tall = Math.max(...rows.map((s) => s.stop - s.start));
  const wide = Math.max(...columns.map((s) => s.stop - s.start));
  const shader = shaderOf(step);
  if (tall * wide <= MAX_LOOP || wide === 1) {
    const x = operand(shader, step, 0);
    shader.texture('rows', { table: spanTable(rows) });
    shader.texture('columns', { table: spanTable(columns) });
    shader.ints({ H, W });
    return [finish(shader, step, `${coordinates(shader, y)}\n${poolBody(x, type, ROWS, COLUMNS)}`, true)];
  }
  /** @type {Place} */
  const middle = { scratch: { texels: N * fours(C) * H * columns.length, exact: true } };
  const first = new Shader(`${shader.name}, rows`, middle), x = operand(first, step, 0);
  first.texture('columns', { table: spanTable(columns) });
  first.ints({ H, W });
  const head = coordinates(first, { ...y, shape: [N, C, H, columns.length] });
  shader.texture('middle', middle);
  shader.texture('rows', { table: spanTable(rows) });
  shader.ints({ H, W: columns.length });
  const body = poolBody('middle', type, ROWS, 'const float xa = 1.; int x0_ = w, x1_ = w + 1;');
  return [
    first.draw(`${head}\n${poolBody(x, type, 'const float ya = 1.; int y0 = h, y1 = h + 1;', COLUMNS)}`),
    finish(shader, step, `${coordinates(shader, y)}\n${body}`, true),
  ];
}

/** One texel per tap: position, weight. @param {ResizeAxis} axis @returns {Table} */
const tapTable = ({ at, weight }) => ({
  key: '', texels: at.length, make: () => Float32Array.from({ length: 4 * at.length }, (_, i) => [at[i >> 2], weight[i >> 2], 0, 0][i & 3]),
});

/** @param {ResizeStep} step @returns {Draw[]} */
export function resize(step) {
  const shader = shaderOf(step), x = operand(shader, step, 0), [, , H, W] = step.x[0].shape, { rows, columns } = step;
  shader.texture('rows', { table: tapTable(rows) });
  shader.texture('columns', { table: tapTable(columns) });
  shader.ints({ H, W });
  const body = `int base = (n * O4 + c4) * H;
for (int i = 0; i < ${rows.taps}; i++) {
vec4 r_ = rows(h * ${rows.taps} + i), line = vec4(0.);
for (int j = 0; j < ${columns.taps}; j++) { vec4 c_ = columns(w * ${columns.taps} + j); line += ${x}((base + int(r_.x)) * W + int(c_.x)) * c_.y; }
v += line * r_.y;
}`;
  return [finish(shader, step, `${coordinates(shader, step.y)}\n${body}`, true)];
}
