// Operators that only move elements → one move step per output.
import { padTables } from '../../ops/gather/index.js';
import { rules } from '../../ops/layout/index.js';
import { isRun, merge } from '../../ops/layout/move.js';
import { count, strides } from '../../ops/node.js';
import { StaysError } from '../values.js';

/** @typedef {import('../../ops/node.js').OpNode} OpNode */
/** @typedef {import('../../ops/node.js').Value} Value */
/** @typedef {import('../values.js').Draft} Draft */
/** @typedef {import('../step.js').Move} Move */
/** @typedef {import('./elementwise.js').Lower} Lower */

/**
 * Loops in falling order of the steps they take in the result, so that a position tells its loop counters.
 * @param {import('../../ops/node.js').Move} move @returns {Omit<Move, 'x'>}
 */
function sorted(move) {
  const { dims, ss, ds } = merge(move), order = dims.map((_, i) => i).sort((p, q) => ds[q] - ds[p]);
  const made = { dims: order.map((i) => dims[i]), ss: order.map((i) => ss[i]), ds: order.map((i) => ds[i]), fromAt: move.fromAt, toAt: move.toAt };
  let reach = 0;
  for (let i = order.length - 1; i >= 0; i--) {
    if (made.ds[i] <= reach) throw new StaysError('it moves elements in a way that cannot be turned around');
    reach += (made.dims[i] - 1) * made.ds[i];
  }
  return made;
}

/** @param {Draft} to @param {Value} out @param {import('../../ops/node.js').Move[]} list those that write it, in order */
function emitMoves(to, out, list) {
  const sources = [...new Set(list.map(({ from }) => from))], y = to.of(out);
  if (list.length === 1 && isRun(list[0]) && list[0].fromAt === 0 && count(sources[0].shape) === count(out.shape)) {
    to.view(to.of(sources[0]), y);
    return;
  }
  const moves = list.filter(({ dims }) => count(dims)).map((move) => ({ x: sources.indexOf(move.from), ...sorted(move) }));
  to.emit({ kind: 'move', x: sources.map((value) => to.of(value)), y, view: false, moves });
}

/** @type {Lower} */
function layout(node, to) {
  const list = rules[node.type].moves(node);
  for (const out of node.outputs) emitMoves(to, out, list.filter((move) => move.to === out));
}

/** Constant borders: the number everywhere, then the planes over it. @type {Lower} */
function pad(node, to) {
  const { mode, value, data_format: format, paddings } = node.attrs, x = node.x(), { shape } = x, y = node.out.shape;
  if (mode !== 'constant' || shape.length !== 4) throw new StaysError(`${mode} padding of rank ${shape.length}`);
  padTables(node);
  const first = format.endsWith('C') ? 1 : 2, ds = strides(y), n = count(y);
  /** @type {Value} */
  const fill = { ...x, name: `the number ${value} for ${node.out.name}`, shape: [1], host: [value], weight: false, block: null };
  emitMoves(to, node.out, [
    { from: fill, to: node.out, dims: [n], ss: [0], ds: [1], fromAt: 0, toAt: 0 },
    { from: x, to: node.out, dims: shape, ss: strides(shape), ds, fromAt: 0, toAt: paddings[2] * ds[first] + paddings[0] * ds[first + 1] },
  ]);
}

/** @type {Lower} */
function cast(node, to) { // float32 to itself: Draft refuses others
  to.view(to.of(node.x()), to.of(node.out));
}

/** @type {Record<string, Lower>} */
export const moves = { ...Object.fromEntries(Object.keys(rules).map((type) => [type, layout])), pad3d: pad, cast };
