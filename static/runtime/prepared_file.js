// The file of a prepared model: START bytes of numbers | a head of JSON, the constants of the plan and the loose weights | the packed weights.
// The numbers are written last, so that a file that was not written to its end is none.
import { DTYPES, Half } from './tensor.js';

/** @typedef {import('./wasm_engine.js').Ready} Ready */
/** @typedef {{name: string, kind: string, length: number}} Loose elements of the typed array of that name */
/**
 * @typedef {object} SyncFile a FileSystemSyncAccessHandle
 * @property {(into: Uint8Array, options: {at: number}) => number} read
 * @property {(from: Uint8Array, options: {at: number}) => number} write
 * @property {() => number} getSize
 * @property {(bytes: number) => void} truncate
 * @property {() => void} flush
 * @property {() => void} close
 */

const MAGIC = 0x31504950, START = 64, ALIGN = 64;
const SLICE_BYTES = 2 ** 20; // written at a time

/** @param {number} bytes */
const padded = (bytes) => Math.ceil(bytes / ALIGN) * ALIGN;

/** A sum that also depends on the order. @param {Uint8Array} bytes whole words, aligned @returns {number} 32 bits */
function sumOf({ buffer, byteOffset, length }) {
  const words = new Int32Array(buffer, byteOffset, length / 4);
  let sum = 1, sums = 0;
  for (let i = 0; i < words.length; i++) {
    sum = (sum + words[i]) | 0;
    sums = (sums + sum) | 0;
  }
  return sums ^ Math.imul(sum, 31);
}

/** @param {Uint8Array[]} parts @returns {Uint8Array<ArrayBuffer>} each behind the one before, aligned */
function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + padded(length), 0));
  parts.reduce((at, part) => { whole.set(part, at); return at + padded(part.length); }, 0);
  return whole;
}

/** @param {ArrayBufferView} view */
const bytesOf = ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength);

/**
 * @param {SyncFile} file @param {string} sources what it is made of @param {Ready} ready
 * @returns {Promise<void>} once it is there, written in slices of time
 */
export async function writeFile(file, sources, { key, plan, moved, loose, packed, sum }) {
  const steps = plan.steps.map((step) => ({ // JSON has no infinity
    ...step, args: step.args.map((arg) => (typeof arg === 'object' && 'f32' in arg ? { f32: String(Object.is(arg.f32, -0) ? '-0' : arg.f32) } : arg)),
  }));
  const arrays = Array.from(loose, ([name, { constructor: { name: kind }, length }]) => ({ name, kind, length }));
  const header = { sources, sum, key, plan: { ...plan, steps, data: [] }, moved: [...moved], data: plan.data.length, arrays };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const head = joined([json, plan.data, ...Array.from(loose.values(), bytesOf)]);
  file.truncate(0);
  let at = START;
  for (const part of [head, packed]) {
    for (let from = 0; from < part.length; from += SLICE_BYTES) {
      at += file.write(part.slice(from, from + SLICE_BYTES), { at });
      await new Promise((resolve) => { setTimeout(resolve, 0); });
    }
  }
  file.flush();
  file.write(bytesOf(Int32Array.of(MAGIC, json.length, head.length, packed.length, sumOf(head))), { at: 0 });
  file.flush();
}

/**
 * @param {SyncFile} file
 * @returns {{sources: string, ready: Omit<Ready, 'packed'>, fill: (packed: Uint8Array) => void}|null} fill: reads the packed weights, or
 *   throws where they are not whole; null where the head is not whole
 */
export function readFile(file) {
  const numbers = new Int32Array(5);
  file.read(bytesOf(numbers), { at: 0 });
  const [magic, jsonBytes, headBytes, packedBytes, headSum] = numbers;
  if (magic !== MAGIC || START + headBytes + packedBytes !== file.getSize()) return null;
  const head = new Uint8Array(headBytes);
  if (file.read(head, { at: START }) !== headBytes || sumOf(head) !== headSum) return null;
  const { sources, sum, key, plan, moved, data, arrays } = JSON.parse(new TextDecoder().decode(head.subarray(0, jsonBytes)));
  for (const { args } of plan.steps) for (const arg of args) if (arg.f32 !== undefined) arg.f32 = Number(arg.f32);
  let at = padded(jsonBytes);
  plan.data = head.subarray(at, at + data);
  at += padded(data);
  const kinds = new Map([...Object.values(DTYPES).map(({ array }) => array), ...(Half ? [Half] : [])].map((kind) => [kind.name, kind]));
  const loose = new Map(arrays.map((/** @type {Loose} */ { name, kind, length }) => {
    const array = new (/** @type {any} */ (kinds.get(kind)))(head.buffer, at, length);
    at += padded(array.byteLength);
    return [name, array];
  }));
  const fill = (/** @type {Uint8Array} */ packed) => {
    if (packed.length !== packedBytes || file.read(packed, { at: START + headBytes }) !== packedBytes) throw new RangeError('the file is not whole');
  };
  return { sources, ready: { key, plan, sum, moved: new Map(moved), loose }, fill };
}
