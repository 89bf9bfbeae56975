// Elementwise steps become the tail of the step that makes their operand, where nothing else reads it.
import { count } from '../ops/node.js';
import { isFull } from './step.js';

/** @typedef {import('./step.js').GpuValue} GpuValue */
/** @typedef {import('./step.js').Step} Step */
/** @typedef {import('./step.js').MapStep} MapStep */
/** @typedef {import('./step.js').Tail} Tail */

/**
 * @param {Step[]} steps of one segment
 * @param {Map<GpuValue, number>} readers how often each value is read in the whole plan, aliases and read-backs included
 * @param {number} maxInputs of one step
 * @returns {Step[]}
 */
export function fuse(steps, readers, maxInputs) {
  /** @type {Step[]} */
  const out = [];
  for (const step of steps) {
    const merged = step.kind === 'map' ? mergedInto(step, out, readers, maxInputs) : null;
    if (!merged) {
      out.push(step);
      continue;
    }
    out.splice(out.indexOf(merged.host), 1);
    out.push(merged.step);
  }
  return out;
}

/** @param {MapStep} map @param {Step[]} before @param {Map<GpuValue, number>} readers @param {number} maxInputs */
function mergedInto(map, before, readers, maxInputs) {
  for (const at of operands(map)) {
    const host = before.find((step) => step.y === map.x[at]);
    if (!host || readers.get(host.y) !== 1 || !fits(host, map)) continue;
    const step = merge(host, map, at);
    if (step.x.length <= maxInputs) return { host, step };
  }
  return null;
}

/** Operands that hold every element of the result in its order: the work can go to who makes them. @param {MapStep} map */
function operands({ x, y, strides, tail }) {
  const list = isFull(strides, y.shape) && count(x[0].shape) === count(y.shape) ? [0] : [], first = tail[0];
  const full = first?.fn === 'binary' && first.with === 1 && isFull(first.strides, y.shape) && count(x[1].shape) === count(y.shape);
  return full && x[0] !== x[1] ? [...list, 1] : list;
}

/** @param {Step} host @param {MapStep} map */
function fits(host, { y }) {
  const whole = host.kind !== 'move' || host.moves.length === 1;
  return whole && host.y.layout === y.layout && host.y.shape.join() === y.shape.join();
}

/** @param {Step} host @param {MapStep} map @param {number} at which of its operands the host makes @returns {Step} */
function merge(host, map, at) {
  const x = [...host.x];
  /** @param {number} i @returns {number} where the map's operand is read now */
  const place = (i) => {
    const old = x.findIndex((value, k) => k >= 1 && value === map.x[i]);
    return old > 0 ? old : x.push(map.x[i]) - 1;
  };
  const tail = map.tail.map((t, i) => {
    if (t.fn === 'act') return t;
    if (i === 0 && at === 1) return { ...t, with: place(0), swap: !t.swap, strides: map.strides };
    return { ...t, with: place(t.with) };
  });
  return { ...host, x, y: map.y, tail: [...host.tail, ...tail], flops: host.flops + map.flops, where: `${host.where} … ${map.where}` };
}
