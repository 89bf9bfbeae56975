// The joined chunks -> one typed array per weight.
import { DTYPES, Half, sizeOf } from './tensor.js';

/** @typedef {import('./tensor.js').TensorData} TensorData */

/**
 * Orders names by code point, as the writer does; JavaScript's own order is by UTF-16 unit.
 * @param {string} a @param {string} b @returns {number}
 */
export function byCodePoint(a, b) {
  const left = a[Symbol.iterator](), right = b[Symbol.iterator]();
  for (;;) {
    const x = left.next(), y = right.next();
    if (x.done || y.done) return Number(!x.done) - Number(!y.done);
    const difference = /** @type {number} */ (x.value.codePointAt(0)) - /** @type {number} */ (y.value.codePointAt(0));
    if (difference) return difference;
  }
}

/**
 * Weights lie sorted by name, row-major, little-endian, without padding: a weight may start at any byte.
 * Aligned ones are views of `buffer` (no copy), the others are copied; float16 is widened, and so is int8 that has scales.
 * @param {Map<string, import('./manifest.js').Var>} vars
 * @param {ArrayBuffer} buffer all chunks, joined; its size was checked against the vars
 * @param {boolean} [keepHalves] leave float16 to who reads it, where the platform has arrays of it
 * @returns {Map<string, TensorData>}
 */
export function decodeWeights(vars, buffer, keepHalves = false) {
  /** @type {Map<string, TensorData>} */
  const weights = new Map();
  let offset = 0;
  for (const name of [...vars.keys()].sort(byCodePoint)) {
    const { shape, dtype, persistable, rows } = /** @type {import('./manifest.js').Var} */ (vars.get(name));
    if (!persistable) continue;
    const length = sizeOf(shape), stored = rows ? 'int8' : dtype;
    weights.set(name, decode(stored, buffer, offset, length, keepHalves));
    offset += length * DTYPES[stored].bytes;
  }
  for (const { name, shape, rows } of vars.values()) {
    if (rows) weights.set(name, scaled(/** @type {Int8Array} */ (weights.get(name)), shape, rows.axis, /** @type {Float32Array} */ (weights.get(rows.scale))));
  }
  return weights;
}

/**
 * @param {Int8Array} bytes row-major @param {number[]} shape @param {number} axis @param {Float32Array} scales along it
 * @returns {Float32Array} rounded as float32 rounds a product
 */
export function scaled(bytes, shape, axis, scales) {
  const out = new Float32Array(bytes.length), inner = sizeOf(shape.slice(axis + 1)), count = shape[axis];
  for (let start = 0, row = 0; start < out.length; start += inner, row++) {
    const scale = scales[row % count];
    for (let i = start; i < start + inner; i++) out[i] = bytes[i] * scale;
  }
  return out;
}

/**
 * @param {string} dtype @param {ArrayBuffer} buffer @param {number} offset in bytes @param {number} length in elements
 * @param {boolean} [keepHalves]
 * @returns {TensorData}
 */
export function decode(dtype, buffer, offset, length, keepHalves = false) {
  const { bytes, array } = DTYPES[dtype];
  const aligned = offset % bytes === 0;
  const source = aligned ? buffer : buffer.slice(offset, offset + length * bytes);
  const start = aligned ? offset : 0;
  if (dtype === 'float16') return keepHalves && Half ? new Half(source, start, length) : widen(new Uint16Array(source, start, length));
  return new array(source, start, length);
}

/** float16 bits -> float32, every one of the 65536; 256 KB, made when first needed. @type {Float32Array|undefined} */
let table;

/** @returns {Float32Array} */
function halfTable() {
  const floats = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31, fraction = bits & 1023;
    const magnitude = exponent === 31 ? (fraction ? NaN : Infinity)
      : exponent ? (1024 + fraction) * 2 ** (exponent - 25)
        : fraction * 2 ** -24;
    floats[bits] = bits & 0x8000 ? -magnitude : magnitude;
  }
  return floats;
}

/**
 * @param {Uint16Array} halves IEEE 754 binary16
 * @returns {Float32Array}
 */
export function widen(halves) {
  if (Half) return new Float32Array(new Half(halves.buffer, halves.byteOffset, halves.length));
  table ??= halfTable();
  const out = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) out[i] = table[halves[i]];
  return out;
}
