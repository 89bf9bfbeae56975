// Chooses how every value lies in memory, and adds a move where a step needs another order.
import { count } from '../ops/node.js';
import { isFull, layoutsAgree } from './step.js';

/** @typedef {import('./step.js').GpuValue} GpuValue */
/** @typedef {import('./step.js').Layout} Layout */
/** @typedef {import('./step.js').Step} Step */

const C4_KINDS = ['conv', 'deconv', 'pool', 'resize'], LINEAR_KINDS = ['matmul', 'softmax', 'reduce', 'norm'];

/** @param {Step} step @returns {Layout|null} what its kind demands of x[0] and y */
const demanded = ({ kind }) => (C4_KINDS.includes(kind) ? 'c4' : LINEAR_KINDS.includes(kind) ? 'linear' : null);

/** Whether the first operand of a map has every element of the result. @param {Step} step */
const mainIsFull = ({ kind, x, y }) => kind === 'map' && count(x[0].shape) === count(y.shape);

/** @param {Step} step @param {number} i @returns {boolean} whether x[i] is an operand of the tail with every element of y */
function isFullOperand({ x, y, tail }, i) {
  return count(x[i].shape) === count(y.shape) && count(y.shape) > 1
    && tail.some((t) => t.fn === 'binary' && t.with === i && isFull(t.strides, y.shape));
}

/**
 * @param {Step[][]} segments the steps of each, in order; uploads come linear
 * @param {GpuValue[][]} downloads of each segment: are left linear
 * @param {(like: GpuValue, shape: number[], layout: Layout) => GpuValue} make another value with these elements
 * @returns {{segments: Step[][], downloads: GpuValue[][]}}
 */
export function assignLayouts(segments, downloads, make) {
  choose(segments.flat(), downloads.flat());
  const pool = new Copies(make);
  return {
    segments: segments.map((steps, i) => {
      pool.steps = [];
      for (const step of steps) {
        if (step.kind === 'move' && step.view && becomesAlias(step.x[0], step.y)) continue;
        pool.steps.push(withOperands(step, pool));
      }
      downloads[i] = downloads[i].map((value) => pool.as(value, 'linear', value.shape));
      return pool.steps;
    }),
    downloads,
  };
}

/** @param {Step[]} steps @param {GpuValue[]} downloads */
function choose(steps, downloads) {
  /** @type {Map<GpuValue, number>} above 0: its readers would rather have c4 */
  const votes = new Map();
  const vote = (/** @type {GpuValue} */ value, /** @type {number} */ n) => votes.set(value, (votes.get(value) ?? 0) + n);
  const wish = (/** @type {GpuValue} */ value) => votes.get(value) ?? 0;
  for (const value of downloads) vote(value, -0.5);
  for (const step of [...steps].reverse()) {
    const demand = demanded(step);
    if (demand) vote(step.x[0], demand === 'c4' ? 1 : -1);
    if (step.kind === 'matmul') vote(step.x[1], -1);
    if (mainIsFull(step)) vote(step.x[0], Math.sign(wish(step.y)));
  }
  for (const step of steps) {
    const { x, y } = step, preferred = y.shape.length === 4 && wish(y) > 0 ? 'c4' : 'linear';
    const kept = mainIsFull(step) && !x[0].data && x[0].shape.length === y.shape.length ? x[0].layout : preferred;
    y.layout = demanded(step) ?? kept;
  }
}

/** Makes y the same memory as x, if its elements lie there already. @param {GpuValue} x @param {GpuValue} y @returns {boolean} */
function becomesAlias(x, y) {
  const linear = (/** @type {GpuValue} */ value) => value.layout === 'linear' || layoutsAgree(value.shape);
  const same = x.layout === y.layout && x.shape.join() === y.shape.join();
  if (!same && !(linear(x) && linear(y))) return false;
  y.of = x;
  return true;
}

/** The same step, its operands as it needs them. @template {Step} T @param {T} step @param {Copies} pool @returns {T} */
function withOperands(step, pool) {
  const { x, y } = step, demand = demanded(step);
  return {
    ...step,
    x: x.map((value, i) => {
      if (i === 0 && demand) return pool.as(value, demand, value.shape);
      if (i === 1 && step.kind === 'matmul') return pool.as(value, 'linear', value.shape);
      const full = (i === 0 && mainIsFull(step)) || isFullOperand(step, i);
      return full ? pool.as(value, y.layout, y.layout === 'c4' ? y.shape : value.shape) : value;
    }),
  };
}

/** Values in another order than their own, each made once. */
class Copies {
  /** @param {(like: GpuValue, shape: number[], layout: Layout) => GpuValue} make */
  constructor(make) {
    this.make = make;
    /** @type {Step[]} */
    this.steps = [];
    /** @type {Map<string, GpuValue>} */
    this.made = new Map();
  }

  /** @param {GpuValue} value @param {Layout} layout @param {number[]} shape @returns {GpuValue} */
  as(value, layout, shape) {
    if (value.layout === layout && (layout === 'linear' || value.shape.join() === shape.join())) return value;
    const key = `${value.id} ${layout} ${shape}`, old = this.made.get(key);
    if (old) return old;
    const copy = this.make(value, shape, layout), n = count(shape);
    this.made.set(key, copy);
    if (value.data) return copy; // constants are laid out by the host
    copy.data = null;
    if (!becomesAlias(value, copy)) {
      this.steps.push({
        kind: 'move', where: `layout of ${value.name}`, x: [value], y: copy, tail: [], flops: 0, view: true,
        moves: [{ x: 0, dims: [n], ss: [1], ds: [1], fromAt: 0, toAt: 0 }],
      });
    }
    return copy;
  }
}

