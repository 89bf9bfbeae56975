// Weights by name that need not be kept as they came: what lies packed in the kernels' memory is made from there again in
// the rare case that someone asks, so that a model takes its memory once.

import { isHalf, sizeOf } from './tensor.js';

/** @typedef {import('./ops/dtype.js').Elements} Elements */

const LEAST_BYTES = 8192; // below, a plan may read the elements, and there is little to gain

/** Elements that somebody asks for before they are here. */
export class NotHereError extends Error {}

/** @extends {Map<string, Elements>} */
export class HeldWeights extends Map {
  /** @param {Iterable<[string, Elements]>} weights */
  constructor(weights) {
    super(weights);
    /** @type {Map<string, {length: number, restore: () => Elements}>} */
    this.moved = new Map();
    /** @type {Map<string, number>|null} elements of each that is still to come */
    this.awaited = null;
  }

  /** Of weights that are on their way. @param {Map<string, import('./manifest.js').Var>} vars @returns {HeldWeights} */
  static awaiting(vars) {
    const held = new HeldWeights([]), persistable = [...vars.values()].filter((declared) => declared.persistable);
    held.awaited = new Map(persistable.map(({ name, shape }) => [name, sizeOf(shape)]));
    return held;
  }

  /** They have come. @param {Iterable<[string, Elements]>} weights */
  fill(weights) {
    this.awaited = null;
    for (const [name, data] of weights) this.set(name, data);
  }

  /** @param {string} name @returns {number|undefined} elements */
  lengthOf(name) {
    return this.awaited?.get(name) ?? this.moved.get(name)?.length ?? super.get(name)?.length;
  }

  /** @param {string} name @returns {boolean} */
  has(name) {
    return this.moved.has(name) || super.has(name);
  }

  /** In float32, where it is kept in float16. @param {string} name @returns {Elements|undefined} */
  get(name) {
    if (this.awaited?.has(name)) throw new NotHereError(`The weight "${name}" has not come yet`);
    const data = this.moved.get(name)?.restore() ?? super.get(name);
    return data && isHalf(data) ? Float32Array.from(data) : data;
  }

  /** As it is kept. @param {string} name @returns {Elements|undefined} */
  kept(name) {
    return this.moved.has(name) ? this.get(name) : super.get(name);
  }

  /**
   * Gives up a weight in float32, or float16, that can be made again, once.
   * @param {string} name @param {(length: number) => Elements} restore
   */
  move(name, restore) {
    const data = super.get(name);
    if (!data || !(data instanceof Float32Array || isHalf(data)) || data.byteLength < LEAST_BYTES) return;
    this.lie(name, data.length, restore);
    super.delete(name);
  }

  /** One that is nowhere but where it can be made again from. @param {string} name @param {number} length @param {(length: number) => Elements} restore */
  lie(name, length, restore) {
    this.moved.set(name, { length, restore: () => restore(length) });
  }

  /** Cuts what is left loose from a buffer that mostly held weights which moved. */
  settle() {
    /** @type {Map<ArrayBufferLike, number>} */
    const used = new Map();
    for (const { buffer, byteLength } of super.values()) used.set(buffer, (used.get(buffer) ?? 0) + byteLength);
    for (const [name, data] of super.entries()) {
      if (2 * (used.get(data.buffer) ?? 0) < data.buffer.byteLength) super.set(name, data.slice());
    }
  }
}
