// The weights of a model in the kernels' memory: as they came, or as a kernel packs them.
import { InPageError } from '../errors.js';
import { isHalf } from '../tensor.js';
import { align, writeStruct } from './wasm_struct.js';

/** @typedef {import('../plan.js').Plan} Plan */
/** @typedef {import('../plan.js').Resident} Resident */
/** @typedef {import('../plan.js').Weights} Weights */
/** @typedef {import('./wasm.js').WasmBackend} WasmBackend */
/** @typedef {import('../ops/dtype.js').Elements|Uint32Array} Elements */

const SLICE_MS = 8; // of packing, before the page has its turn
const STRUCT = 256; // bytes, of any packing kernel
/** Kernels that only move numbers of 32 bits: what they were given can be found in what they make. */
const MOVES = new Set(['pack_blocks', 'pack_rows', 'pack_columns', 'pack_transposed']);

/** Bytes of a weight in the kernels' memory. @param {Elements} source */
const sizeOf = (source) => (isHalf(source) ? 4 * source.length : source.byteLength);

export class Residents {
  /** @param {WasmBackend} backend @param {Weights} source */
  constructor(backend, source) {
    this.backend = backend;
    this.source = source;
    /** @type {Map<string, number>} address of each */
    this.homes = new Map();
    /** @type {Set<string>} those that lie there by now */
    this.here = new Set();
  }

  /** @param {string} key @returns {number} */
  address(key) {
    return this.homes.get(key) ?? 0;
  }

  /** Once a plan's weights are all here. */
  settle() {
    this.source.settle?.();
  }

  /** Where a weight will lie for good. @param {Resident} weight @returns {number} */
  house({ key, bytes }) {
    const { backend } = this, known = this.homes.get(key);
    if (known !== undefined) return known;
    const home = backend.end;
    backend.end = align(home + bytes);
    backend.reserve(backend.end);
    this.homes.set(key, home);
    return home;
  }

  /**
   * Where the weights of a plan lie, one behind the other.
   * @param {Resident[]} weights @returns {{packed: Uint8Array, sum: () => number}|null} null where those of another plan lie between them
   */
  stretch(weights) {
    const [first] = weights, start = first ? this.house(first) : this.backend.end;
    let end = start;
    for (const weight of weights) {
      if (this.house(weight) !== end) return null;
      end = align(end + weight.bytes);
    }
    const { kernels, memory } = this.backend;
    return { packed: new Uint8Array(memory.buffer, start, end - start), sum: () => kernels.sum_of(start, (end - start) / 4) };
  }

  /** Those that somebody else put where they lie. @param {Resident[]} weights @param {Map<string, number>} moved elements of those that lie nowhere else */
  admit(weights, moved) {
    for (const weight of weights) {
      const { key, name, pack } = weight, length = moved.get(name);
      this.here.add(key);
      if (length && (!pack || MOVES.has(pack.kernel))) this.source.lie?.(name, length, (n) => this.restore(weight, n));
    }
    this.backend.top = Math.max(this.backend.top, this.backend.end);
  }

  /** Puts a weight there. @param {Resident} weight */
  reside({ key, name, bytes, pack }) {
    if (this.here.has(key)) return;
    const { backend } = this, source = this.source.kept?.(name) ?? this.source.get(name);
    if (!source) throw new InPageError('invalid_model', `The weight "${name}" is missing`);
    const home = this.house({ key, name, bytes, pack });
    if (pack) this.pack(source, home, backend.end, pack);
    else this.put(source, home);
    this.here.add(key);
    backend.top = Math.max(backend.top, backend.end);
    if (!pack || MOVES.has(pack.kernel)) this.source.move?.(name, (length) => this.restore({ key, name, bytes, pack }, length));
  }

  /** Copies a weight, float16 as float32. @param {Elements} source @param {number} at reserved, aligned */
  put(source, at) {
    const { buffer } = this.backend.memory;
    if (isHalf(source)) new Float32Array(buffer, at, source.length).set(source);
    else new Uint8Array(buffer).set(new Uint8Array(source.buffer, source.byteOffset, source.byteLength), at);
  }

  /**
   * @param {Elements} raw @param {number} home where the packed numbers go @param {number} staged memory that is free from here on
   * @param {{kernel: string, args: number[]}} pack
   */
  pack(raw, home, staged, { kernel, args }) {
    const { backend } = this, struct = align(staged + sizeOf(raw));
    backend.reserve(struct + STRUCT);
    this.put(raw, staged);
    writeStruct(backend.view, struct, [staged, home, ...args], () => 0);
    backend.kernels[kernel](struct, 0, 1);
  }

  /**
   * A weight as it came: packing the numbers 1, 2, 3 … tells where each element went.
   * @param {Resident} weight @param {number} length @returns {Float32Array}
   */
  restore({ key, bytes, pack }, length) {
    const { memory, top } = this.backend, home = this.address(key), raw = new Float32Array(length);
    if (!pack) {
      raw.set(new Float32Array(memory.buffer, home, length));
      return raw;
    }
    const places = Uint32Array.from(raw, (_, i) => i + 1), told = align(top), n = bytes / 4;
    this.pack(places, told, align(told + bytes), pack);
    const packed = new Float32Array(memory.buffer, home, n), from = new Uint32Array(memory.buffer, told, n);
    for (let i = 0; i < n; i++) if (from[i]) raw[from[i] - 1] = packed[i];
    return raw;
  }

  /**
   * Packs the weights of a plan for a backend that has none yet, a slice of time at a time: the page stays responsive.
   * @param {Plan} plan
   */
  async packInSlices({ weights }) {
    let start_ms = performance.now();
    for (const weight of weights) {
      this.reside(weight);
      if (performance.now() - start_ms < SLICE_MS) continue;
      await breathe();
      start_ms = performance.now();
    }
  }
}

/** Until what else there is to do had its turn. @returns {Promise<void>} */
function breathe() {
  const { scheduler } = /** @type {{scheduler?: {yield?: () => Promise<void>}}} */ (globalThis);
  return scheduler?.yield?.() ?? new Promise((resolve) => { setTimeout(resolve, 0); });
}
