// Buffers of a plan: values that do not live at the same time share one.
import { texels } from '../gpu/step.js';

/** @typedef {import('../gpu/step.js').GpuValue} GpuValue */
/** @typedef {{bytes: number, free: number}} Slot free: the step from which on nobody needs it */
/** @typedef {{slots: number[], of: Map<GpuValue, number>}} Assignment slots: bytes of each; of: the slot of every value */

/**
 * Assigns slots in order of first use: the smallest free one that is large enough, else the largest free one, grown.
 * @param {GpuValue[]} values owners of memory, constants aside
 * @param {(value: GpuValue) => number} bytesOf
 * @returns {Assignment}
 */
export function assign(values, bytesOf) {
  /** @type {Slot[]} */
  const slots = [];
  /** @type {Map<GpuValue, number>} */
  const of = new Map();
  for (const value of [...values].sort((p, q) => p.first - q.first || q.last - p.last)) {
    const bytes = bytesOf(value), free = slots.filter((slot) => slot.free < value.first);
    const fitting = free.filter((slot) => slot.bytes >= bytes).sort((p, q) => p.bytes - q.bytes)[0];
    const slot = fitting ?? free.sort((p, q) => q.bytes - p.bytes)[0] ?? { bytes: 0, free: 0 };
    if (!slots.includes(slot)) slots.push(slot);
    slot.bytes = Math.max(slot.bytes, bytes);
    slot.free = value.last;
    of.set(value, slots.indexOf(slot));
  }
  return { slots: slots.map(({ bytes }) => bytes), of };
}

/** @param {GpuValue} value @param {import('./kernel.js').Format} format @returns {number} */
export const bytesOf = (value, format) => texels(value) * (format === 'f32' ? 16 : 8);

/** @param {Float32Array} numbers @param {import('./kernel.js').Format} format @returns {Float32Array|Uint16Array} padded to whole texels */
export function packed(numbers, format) {
  const length = Math.ceil(numbers.length / 4) * 4;
  if (format === 'f32') {
    if (length === numbers.length) return numbers;
    const out = new Float32Array(length);
    out.set(numbers);
    return out;
  }
  const out = new Uint16Array(length);
  for (let i = 0; i < numbers.length; i++) out[i] = half(numbers[i]);
  return out;
}

const FLOAT = new Float32Array(1), BITS = new Uint32Array(FLOAT.buffer);

/** The nearest float16, halves to even; beyond its range the largest. @param {number} x @returns {number} bits */
export function half(x) {
  FLOAT[0] = x;
  const bits = BITS[0], sign = (bits >>> 16) & 0x8000, size = bits & 0x7fffffff;
  if (size > 0x7f800000) return 0x7e00; // NaN
  if (size >= 0x477ff000) return sign | 0x7bff;
  if (size < 0x38800000) { // denormal: the mantissa counts multiples of 2^-24
    return sign | evenly(Math.abs(x) * 2 ** 24);
  }
  const rounded = size + 0xfff + ((size >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** To the nearest whole number, halves to even. @param {number} x */
function evenly(x) {
  const down = Math.floor(x), rest = x - down;
  return rest > 0.5 || (rest === 0.5 && down % 2) ? down + 1 : down;
}
