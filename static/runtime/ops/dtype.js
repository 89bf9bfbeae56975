// Element types: sizes, the codes of the cast kernel, and host numbers to bytes.

/** @typedef {Float32Array|Int32Array|BigInt64Array|Uint8Array|Int8Array|Int16Array} Elements */

/** Bytes per element in memory. @type {Record<string, number>} */
export const BYTES = { float32: 4, int32: 4, int64: 8, uint8: 1, bool: 1, int8: 1, int16: 2 };

/** The codes of ops/unary/kernel.c. @type {Record<string, number>} */
export const CODE = { float32: 0, int32: 1, int64: 2, uint8: 3, bool: 4, int8: 5 };

export const FLOAT = ['float32'];
export const INTEGER = ['int32', 'int64'];
export const NUMBER = ['float32', 'int32', 'int64'];
export const ANY = Object.keys(BYTES).filter((dtype) => dtype !== 'int16'); // which is for weights of int8 operators alone

/** @param {string} dtype @returns {string} the type that memory holds: float16 weights are widened at load */
export const normal = (dtype) => (dtype === 'float16' ? 'float32' : dtype);

/**
 * Host numbers as typed elements.
 * @param {readonly number[]} numbers @param {string} dtype @returns {Elements}
 */
export function elements(numbers, dtype) {
  switch (dtype) {
    case 'int64': return BigInt64Array.from(numbers, (n) => BigInt(Math.trunc(n)));
    case 'int32': return Int32Array.from(numbers);
    case 'uint8': return Uint8Array.from(numbers);
    case 'bool': return Uint8Array.from(numbers, (n) => (n ? 1 : 0));
    case 'int8': return Int8Array.from(numbers);
    case 'int16': return Int16Array.from(numbers);
    default: return Float32Array.from(numbers);
  }
}

/**
 * A number as an element of that type would hold it.
 * @param {number} n @param {string} dtype @returns {number}
 */
export function rounded(n, dtype) {
  if (dtype === 'float32') return Math.fround(n);
  if (dtype === 'bool') return n ? 1 : 0;
  return Number.isNaN(n) ? 0 : Math.trunc(n);
}

/** All elements of a typed array as exact numbers, or null where one is too large for that. @param {Elements} array */
export function numbers(array) {
  if (!(array instanceof BigInt64Array)) return Array.from(array);
  const list = Array.from(array, Number);
  return list.every(Number.isSafeInteger) ? list : null;
}
