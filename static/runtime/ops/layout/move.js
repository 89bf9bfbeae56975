// What follows from a list of moves: values on the host, steps for the copy kernel, parts of another value's memory.
import { count } from '../node.js';

/** @typedef {import('../node.js').OpNode} OpNode */
/** @typedef {import('../node.js').Move} Move */
/** @typedef {{dims: number[], ss: number[], ds: number[]}} Loops */

/**
 * Host values of all outputs.
 * @param {OpNode} node @param {Move[]} moves @returns {number[][]|null}
 */
export function evaluate(node, moves) {
  const outs = new Map(node.outputs.map((out) => /** @type {const} */ ([out, /** @type {number[]} */ (new Array(count(out.shape)))])));
  for (const { from, to, dims, ss, ds, fromAt, toAt } of moves) {
    const target = outs.get(to);
    if (!from.host || !target) return null;
    const n = count(dims);
    for (let i = 0; i < n; i++) {
      let s = fromAt, d = toAt;
      for (let axis = dims.length - 1, rest = i; axis >= 0; rest = Math.floor(rest / dims[axis--])) {
        s += rest % dims[axis] * ss[axis];
        d += rest % dims[axis] * ds[axis];
      }
      target[d] = from.host[s];
    }
  }
  return [...outs.values()];
}

/** Joins neighbouring dimensions that run on in both layouts; at least one dimension. @param {Loops} loops @returns {Loops} */
export function merge({ dims, ss, ds }) {
  /** @type {Loops} */
  const out = { dims: [], ss: [], ds: [] };
  for (let i = dims.length - 1; i >= 0; i--) {
    if (dims[i] === 1) continue;
    const n = out.dims[0];
    if (n !== undefined && ss[i] === out.ss[0] * n && ds[i] === out.ds[0] * n) {
      out.dims[0] *= dims[i];
    } else {
      out.dims.unshift(dims[i]);
      out.ss.unshift(ss[i]);
      out.ds.unshift(ds[i]);
    }
  }
  return out.dims.length ? out : { dims: [1], ss: [1], ds: [1] };
}

/**
 * For the copy kernel's transposition: the loop in which the source runs on goes next to the innermost one.
 * @param {Loops} loops @returns {Loops}
 */
export function ordered({ dims, ss, ds }) {
  const last = dims.length - 1, run = ss.lastIndexOf(1);
  if (ss[last] === 1 || run < 0 || run === last - 1) return { dims, ss, ds };
  /** @param {number[]} list */
  const moved = (list) => [...list.slice(0, run), ...list.slice(run + 1, last), list[run], list[last]];
  return { dims: moved(dims), ss: moved(ss), ds: moved(ds) };
}

/** Whether a move makes the whole output one unbroken piece of the input. @param {Move} move @returns {boolean} */
export function isRun(move) {
  const { dims, ss, ds } = merge(move);
  return dims.length === 1 && ss[0] === 1 && ds[0] === 1 && move.toAt === 0 && dims[0] === count(move.to.shape);
}

/** @param {OpNode} node @param {Move[]} moves unbroken pieces, in order of the outputs @returns {{of: import('../node.js').Value, elements: number}[]|null} */
export function alias(node, moves) {
  if (moves.length !== node.outputs.length) return null;
  return moves.map(({ from, fromAt }) => ({ of: from, elements: fromAt }));
}
