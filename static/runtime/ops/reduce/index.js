// Reductions over any axes; position of the largest or smallest value.
import { CODE, FLOAT, INTEGER, NUMBER } from '../dtype.js';
import { axisOf, count } from '../node.js';

/** @typedef {import('../node.js').OpNode} OpNode */
/** @typedef {import('../node.js').Rule} Rule */
/** @typedef {{op: number, types: string[], host: (p: number, q: number) => number, mean?: boolean}} Row op: as in kernel.c */

const SUM = 0, MAX = 1, MIN = 2, PROD = 3;

/** @type {Record<string, Row>} */
export const REDUCE = {
  reduce_mean: { op: SUM, types: FLOAT, host: (p, q) => p + q, mean: true },
  reduce_sum: { op: SUM, types: [...NUMBER, 'bool'], host: (p, q) => p + q },
  reduce_max: { op: MAX, types: NUMBER, host: Math.max },
  reduce_min: { op: MIN, types: NUMBER, host: Math.min },
  reduce_prod: { op: PROD, types: NUMBER, host: (p, q) => p * q },
  reduce_all: { op: MIN, types: ['bool'], host: Math.min },
  reduce_any: { op: MAX, types: ['bool'], host: Math.max },
};

/** Which axes go: all of them where none is named. @param {OpNode} node @returns {boolean[]} */
export function reducedAxes(node) {
  const { dim, reduce_all: all } = node.attrs, rank = node.x().shape.length;
  const flags = new Array(rank).fill(all || !dim.length);
  for (const axis of dim) if (rank) flags[axisOf(axis, rank)] = true;
  return flags;
}

/** @param {OpNode} node @returns {string} Paddle sums int32 and bool to int64 */
function sumType(node) {
  const { dtype } = node.x();
  return node.type === 'reduce_sum' && (dtype === 'int32' || dtype === 'bool') ? 'int64' : dtype;
}

/**
 * The steps of a reduction: one per run of neighbouring axes, the last run first, each over the middle of
 * [outer][n][inner].
 * @param {number[]} shape @param {boolean[]} flags
 * @returns {{outer: number, n: number, inner: number}[]}
 */
export function passes(shape, flags) {
  /** @type {{size: number, gone: boolean}[]} */
  const runs = [];
  shape.forEach((size, i) => {
    const top = runs[runs.length - 1];
    if (size === 1) return;
    if (top && top.gone === flags[i]) top.size *= size;
    else runs.push({ size, gone: flags[i] });
  });
  const out = [];
  for (let i = runs.length - 1, inner = 1; i >= 0; i--) {
    if (!runs[i].gone) inner *= runs[i].size;
    else out.push({ outer: count(runs.slice(0, i).map((run) => run.size)), n: runs[i].size, inner });
  }
  return out.length ? out : [{ outer: count(shape), n: 1, inner: 1 }];
}

/** @param {Row} row @returns {Rule['evaluate']} */
const evaluateBy = ({ host, mean }) => (node) => {
  const x = node.x();
  let values = /** @type {number[]|null} */ (x.host), total = 1;
  if (!values || x.dtype === 'float32') return null;
  for (const { outer, n, inner } of passes(x.shape, reducedAxes(node))) {
    /** @type {number[]} */
    const from = values;
    total *= n;
    values = Array.from({ length: outer * inner }, (_, at) => {
      const first = Math.floor(at / inner) * n * inner + at % inner;
      return Array.from({ length: n }, (_unused, k) => from[first + k * inner]).reduce(host);
    });
  }
  return values.every(Number.isSafeInteger) ? [mean ? values.map((v) => v / total) : values] : null;
};

/** @param {Row} row @returns {Rule} */
const reduction = (row) => ({
  attrs: ['dim', 'keep_dim', 'reduce_all'],
  types: { X: row.types },
  shape: (node) => {
    const flags = reducedAxes(node), { shape } = node.x();
    const kept = node.attrs.keep_dim ? shape.map((size, i) => (flags[i] ? 1 : size)) : shape.filter((_, i) => !flags[i]);
    return [{ shape: kept, dtype: sumType(node) }];
  },
  evaluate: evaluateBy(row),
});

/** @type {Rule} */
const position = {
  attrs: ['axis', 'keepdims', 'flatten', 'dtype'],
  types: { X: NUMBER },
  check: ({ attrs }) => (INTEGER.includes(attrs.dtype) ? '' : `dtype ${attrs.dtype}`),
  shape: (node) => {
    const { axis, keepdims, flatten, dtype } = node.attrs, { shape } = node.x();
    const gone = flatten ? shape.map(() => true) : shape.map((_, i) => i === axisOf(axis, shape.length));
    return [{ shape: keepdims ? shape.map((size, i) => (gone[i] ? 1 : size)) : shape.filter((_, i) => !gone[i]), dtype }];
  },
};

/** The arg kernel's sizes. @param {OpNode} node @returns {number[]} outer, n, inner, code of the element type */
export function argSizes(node) {
  const { axis, flatten } = node.attrs, { shape, dtype } = node.x();
  if (flatten || !shape.length) return [1, count(shape), 1, CODE[dtype]];
  const at = axisOf(axis, shape.length);
  return [count(shape.slice(0, at)), shape[at], count(shape.slice(at + 1)), CODE[dtype]];
}

/** @type {Record<string, Rule>} */
export const rules = {
  ...Object.fromEntries(Object.entries(REDUCE).map(([type, row]) => [type, reduction(row)])),
  arg_max: position,
  arg_min: position,
};
