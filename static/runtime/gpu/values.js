// The GPU's side of a plan's values, and the steps made so far: what lowerings speak to.
import { elements } from '../ops/dtype.js';
import { count, strides } from '../ops/node.js';

/** @typedef {import('../ops/node.js').Value} Value */
/** @typedef {import('./step.js').GpuValue} GpuValue */
/** @typedef {import('./step.js').Step} Step */
/** @typedef {import('./step.js').Tail} Tail */

/** Why an operator stays on the host. */
export class StaysError extends Error {}

export class Draft {
  /** @param {import('../plan.js').Weights} weights */
  constructor(weights) {
    this.weights = weights;
    /** @type {Map<string, GpuValue>} */
    this.values = new Map();
    this.lastId = 0;
    /** @type {Step[]} */
    this.steps = [];
    this.where = '';
  }

  /** @param {string} name @param {number[]} shape @param {(() => Float32Array)|null} data @param {string} key @returns {GpuValue} */
  make(name, shape, data, key) {
    return { id: ++this.lastId, name, shape, layout: 'linear', data, key, of: null, first: -1, last: -1 };
  }

  /** The GPU's value for one of the plan. @param {Value} value @returns {GpuValue} */
  of(value) {
    if (value.dtype !== 'float32') throw new StaysError(`${value.name} is ${value.dtype}`);
    const old = this.values.get(value.name);
    if (old) return old;
    const made = this.make(value.name, value.shape, this.dataOf(value), value.weight ? value.name : '');
    this.values.set(value.name, made);
    return made;
  }

  /** @param {Value} value @returns {(() => Float32Array)|null} */
  dataOf({ name, host, weight, dtype }) {
    if (weight) return () => /** @type {Float32Array} */ (this.weights.get(name));
    return host && (() => /** @type {Float32Array} */ (elements(host, dtype)));
  }

  /** @param {Value} value which must be constant @returns {Float32Array} */
  numbers(value) {
    const data = this.of(value).data;
    if (!data) throw new StaysError(`${value.name} is not a constant`);
    return data();
  }

  /** A value between the steps of one operator. @param {number[]} shape @returns {GpuValue} */
  temporary(shape) {
    return this.make(`${this.where} #${this.lastId}`, shape, null, '');
  }

  /** @param {string} key @param {number[]} shape @param {() => Float32Array} data @returns {GpuValue} */
  constant(key, shape, data) {
    return this.make(key, shape, data, key);
  }

  /** @param {{kind: string, x: GpuValue[], y: GpuValue, tail?: Tail[], flops?: number, [key: string]: any}} step */
  emit(step) {
    this.steps.push(/** @type {Step} */ (/** @type {any} */ ({ tail: [], flops: 0, where: this.where, ...step })));
    return step.y;
  }

  /** The same elements in another shape. @param {GpuValue} x @param {GpuValue} y */
  view(x, y) {
    const n = count(y.shape);
    return this.emit({ kind: 'move', x: [x], y, view: true, moves: [{ x: 0, dims: [n], ss: [1], ds: [1], fromAt: 0, toAt: 0 }] });
  }

  /** @param {GpuValue} x @param {GpuValue} y @param {number[]} order axis of x for each axis of y */
  transpose(x, y, order) {
    const step = strides(x.shape);
    const move = { x: 0, dims: y.shape, ss: order.map((axis) => step[axis]), ds: strides(y.shape), fromAt: 0, toAt: 0 };
    return this.emit({ kind: 'move', x: [x], y, view: false, moves: [move] });
  }
}
