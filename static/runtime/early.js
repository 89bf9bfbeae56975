// Before the weights of a model, or its first input, are there: the sizes that it will probably be asked for.
import { count } from './ops/node.js';
import { DTYPES } from './tensor.js';

/** @typedef {import('./wasm_engine.js').Values} Values */
/** @typedef {import('./plan.js').Graph} Graph */

const SLICE_MS = 8; // before others have their turn
export const MAX_KNOWN = 64; // elements of a value that may decide on shapes

/**
 * The inputs of a model that takes one size of each, as large as pictures: then nothing but sizes decides on its first plan.
 * @param {Pick<Graph, 'inputs'>} graph @returns {Values|null}
 */
export function fixedSizes({ inputs }) {
  const fixed = inputs.every(({ shape }) => shape.every((size) => typeof size === 'number' && size > 0));
  if (!fixed || inputs.some(({ shape }) => count(/** @type {number[]} */ (shape)) <= MAX_KNOWN)) return null;
  return new Map(inputs.map(({ name, shape, dtype }) => [name, { data: newArray(dtype, 0), shape: /** @type {number[]} */ (shape), dtype, known: false }]));
}

/** The same for a model that takes several sizes: a batch of one, and for a picture what it was exported for. @param {Graph} graph */
export function usualSizes({ inputs, usual }) {
  const sizeOf = (/** @type {number|string} */ size, /** @type {number} */ axis) => (
    typeof size === 'number' && size > 0 ? size : axis ? usual?.[axis] ?? size : 1);
  return fixedSizes({ inputs: inputs.map((input) => ({ ...input, shape: input.shape.map(sizeOf) })) });
}

/** In slices of time, until the weights are here. @param {(() => void)[]} calls @param {import('./held.js').HeldWeights} held */
export async function callAll(calls, held) {
  let start_ms = performance.now();
  for (const call of calls) {
    if (performance.now() - start_ms > SLICE_MS) {
      await new Promise((resolve) => { setTimeout(resolve, 0); });
      start_ms = performance.now();
    }
    if (!held.awaited) return;
    try {
      call();
    } catch {
      return; // a kernel that no numbers fit: nothing is lost, and with the weights they may
    }
  }
}

/** @param {string} dtype @param {number} length @returns {import('./tensor.js').TensorData & import('./ops/node.js').HostTensor['data']} */
export function newArray(dtype, length) {
  const { array } = DTYPES[dtype];
  return /** @type {any} */ (new array(new ArrayBuffer(length * DTYPES[dtype].bytes)));
}
