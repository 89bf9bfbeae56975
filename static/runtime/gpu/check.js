// Is this GPU right? Its results beside those of WASM: on the model itself at load, and on small graphs of every kind of
// step when a driver is first met.
import { createEngine } from '../engine.js';
import { InPageError } from '../errors.js';
import { sampleFeeds } from '../measure.js';

/** @typedef {import('../tensor.js').Tensor} Tensor */
/** @typedef {import('./engine.js').GpuEngine} GpuEngine */
/**
 * @typedef {object} Numerics
 * @property {'float32'|'float16'} precision of what the GPU keeps between steps
 * @property {number|null} error the worst of all outputs on the check input, as a share of the range that WASM gives in
 *   float32; null where it was not checked
 * @property {number} tolerance what would have been too much
 * @property {string} note why the precision is not the one that was asked for, or was not checked on the bundle's own input
 */

export const TOLERANCE = { float32: 1e-3, float16: 2e-2 };

/** Numbers in [-1, 1), the same every time. @param {Float32Array} data */
function fill(data) {
  let state = 1;
  for (let i = 0; i < data.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    data[i] = (state >>> 0) / 2 ** 31 - 1;
  }
}

/**
 * An input for a model as its declaration and preprocessing say; floats are noise, integers zero.
 * @param {Parameters<typeof sampleFeeds>[0]} model @returns {Record<string, Tensor>}
 */
export function checkFeedsOf(model) {
  const feeds = sampleFeeds(model);
  for (const { data } of Object.values(feeds)) if (data instanceof Float32Array) fill(data);
  return feeds;
}

/**
 * The largest difference as a share of the expected range; Infinity where shapes or whole numbers differ, or something
 * is not finite.
 * @param {Record<string, Tensor>} got @param {Record<string, Tensor>} wanted
 * @param {number} [least] a smaller range counts as this @returns {number}
 */
export function worstError(got, wanted, least = 1e-30) {
  return Math.max(0, ...Object.entries(wanted).map(([name, { data, shape }]) => {
    const other = got[name];
    if (other.shape.join() !== shape.join()) return Infinity;
    if (!(data instanceof Float32Array)) return data.every((v, i) => v === other.data[i]) ? 0 : Infinity;
    let low = Infinity, high = -Infinity, worst = 0;
    for (let i = 0; i < data.length; i++) {
      low = Math.min(low, data[i]);
      high = Math.max(high, data[i]);
      const difference = Math.abs(Number(other.data[i]) - data[i]);
      worst = Math.max(worst, Number.isNaN(difference) ? Infinity : difference);
    }
    return worst === 0 ? 0 : worst / Math.max(high - low, least);
  }));
}

/**
 * Compares an engine with WASM on the check input.
 * @param {GpuEngine} engine @param {Record<string, Tensor>} feeds @param {WebAssembly.Module} wasm
 * @returns {Promise<{error: number|null, note: string}>} no error where the input does not suit the model
 */
export async function compare(engine, feeds, wasm) {
  const { graph, host } = engine, reference = await createEngine(graph, host.weights, { wasm }); // gone afterwards, with its memory
  try {
    return { error: worstError(await engine.run(feeds), await reference.run(feeds)), note: 'checked on noise alone: there is no check vector' };
  } catch (error) {
    if (!(error instanceof InPageError) || error.code !== 'invalid_input') throw error;
    return { error: null, note: error.message };
  } finally {
    reference.dispose();
  }
}
