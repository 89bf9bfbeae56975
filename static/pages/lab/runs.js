// Measuring one model on one backend: until the first result, run after run, several at once, step by step.
import { load } from '../../runtime/index.js';
import { quantile, sampleFeeds } from '../../runtime/measure.js';
import { onnxOf, openPeer } from './peers.js';

/** @typedef {import('../../runtime/index.js').Model} Model */
/** @typedef {import('../../runtime/index.js').StepTime} StepTime */
/** @typedef {import('../../runtime/tensor.js').Tensor} Tensor */
/** @typedef {{id: string, words: string, backend: 'wasm'|'webgl'|'webgpu', precision: 'float32'|'float16', peer?: boolean}} Wish */
/** @typedef {{feeds: Record<string, Tensor>, results: Record<string, Tensor>}} Known what went in and came out before */
/**
 * @typedef {Pick<Partial<Model>, 'name'|'memory'|'numerics'|'profile'> & {run: (feeds: Record<string, Tensor>, options?: {signal: AbortSignal}) =>
 *   Promise<Record<string, Tensor>>, dispose: () => Promise<void>}} Runnable a model of this runtime, or of a peer
 */
/**
 * @typedef {object} Outcome what one backend did
 * @property {Wish} wish
 * @property {string} problem why there is nothing else, or ''
 * @property {string} name of the model @property {string} inputs its inputs, in words
 * @property {'float32'|'float16'} precision that it really used @property {string} note about that
 * @property {number} bundle_ms until all weights were there @property {number} ready_ms until the model was ready
 * @property {number} first_ms until the first result, all three from the call of load()
 * @property {number[]} times_ms of single runs @property {number} median_ms @property {number} p90_ms @property {number} best_ms
 * @property {number} flight_ms per frame, eight at a time @property {number|null} bytes that the model held, where that is known
 * @property {number|null} difference from the first backend's results: the worst, as a share of their range
 * @property {StepTime[]} steps none where the backend has no clock for them
 */

/** @type {Wish[]} */
export const WISHES = [
  { id: 'wasm', words: 'WASM', backend: 'wasm', precision: 'float32' },
  { id: 'webgpu', words: 'WebGPU', backend: 'webgpu', precision: 'float32' },
  { id: 'webgpu16', words: 'WebGPU float16', backend: 'webgpu', precision: 'float16' },
  { id: 'webgl', words: 'WebGL', backend: 'webgl', precision: 'float32' },
  { id: 'webgl16', words: 'WebGL float16', backend: 'webgl', precision: 'float16' },
];
const WARM_UP = 5;
const RUNS = { most: 60, budget_ms: 4000 };
const FRAMES = { at_once: 8, most: 40, budget_ms: 3000 };

/** Inputs as the model declares them, filled with a wave: zeros would leave sparse arithmetic untouched. @param {Model} model @returns {Record<string, Tensor>} */
function feedsOf(model) {
  const feeds = sampleFeeds(model);
  for (const { data } of Object.values(feeds)) {
    if (data instanceof Float32Array) for (let i = 0; i < data.length; i++) data[i] = Math.sin(12.9898 * i) * 0.5 + Math.cos(0.01 * i) * 0.5;
  }
  return feeds;
}

/**
 * @param {Record<string, Tensor>} got @param {Record<string, Tensor>} wanted
 * @returns {number} the worst difference, as a share of the range of its output
 */
export function difference(got, wanted) {
  return Math.max(0, ...Object.entries(wanted).map(([name, { data }]) => {
    const other = got[name]?.data;
    if (other?.length !== data.length) return 1;
    let low = Infinity, high = -Infinity, worst = 0, largest = 0; // one number alone has no range: its size counts
    for (let i = 0; i < data.length; i++) {
      const want = Number(data[i]);
      low = Math.min(low, want);
      high = Math.max(high, want);
      largest = Math.max(largest, Math.abs(want));
      worst = Math.max(worst, Math.abs(Number(other[i]) - want));
    }
    return worst === 0 ? 0 : worst / (high > low ? high - low : largest || 1);
  }));
}

/**
 * The model ready to run, in this runtime or in a peer.
 * @param {string|import('../../runtime/source.js').Source} address @param {Wish} wish @param {AbortSignal} signal @param {string} peers
 * @param {() => void} arrived called when all of the model is there @returns {Promise<Runnable>}
 */
async function opened(address, wish, signal, peers, arrived) {
  if (wish.peer) {
    const onnx = await onnxOf(address, peers, signal);
    arrived();
    return openPeer(onnx, wish, peers);
  }
  return load(/** @type {string} */ (address), {
    backend: wish.backend, precision: wish.precision, worker: false, signal, cache: false,
    onProgress: ({ loaded, total }) => { if (loaded === total) arrived(); },
  });
}

/**
 * @param {string|import('../../runtime/source.js').Source} address @param {Wish} wish
 * @param {{signal: AbortSignal, say: (words: string) => void, known: Known|null, peers: string}} options known: results to
 *   compare with, and what made them; peers: where the site keeps other runtimes
 * @returns {Promise<{outcome: Outcome, known: Known}>} @throws {InPageError} and whatever a peer throws
 */
export async function measureOn(address, wish, { signal, say, known, peers }) {
  const start = performance.now();
  let bundle_ms = 0;
  say(`${wish.words}: loading`);
  const model = await opened(address, wish, signal, peers, () => { bundle_ms ||= performance.now() - start; });
  try {
    const ready_ms = performance.now() - start, feeds = known?.feeds ?? feedsOf(/** @type {Model} */ (model)), results = await model.run(feeds, { signal });
    const first_ms = performance.now() - start;
    say(`${wish.words}: running`);
    const times_ms = await singles(model, feeds, signal), flight_ms = await flights(model, feeds, signal);
    say(`${wish.words}: timing its steps`);
    const steps = await stepsOf(model, feeds), { numerics } = model;
    const outcome = {
      wish, problem: '', name: model.name ?? '', inputs: Object.entries(feeds).map(([name, { shape }]) => `${name} ${shape.join('×')}`).join(', '),
      precision: numerics?.precision ?? /** @type {const} */ ('float32'), note: numerics?.note ?? '', bundle_ms: bundle_ms || ready_ms, ready_ms, first_ms, times_ms,
      median_ms: quantile(times_ms, 0.5), p90_ms: quantile(times_ms, 0.9), best_ms: Math.min(...times_ms), flight_ms,
      bytes: model.memory?.().bytes ?? null, difference: known && difference(results, known.results), steps,
    };
    return { outcome, known: known ?? { feeds, results } };
  } finally {
    await model.dispose();
  }
}

/** @param {Runnable} model @param {Record<string, Tensor>} feeds @param {AbortSignal} signal @returns {Promise<number[]>} */
async function singles(model, feeds, signal) {
  const times = [], began = performance.now();
  for (let i = 0; i < WARM_UP && performance.now() - began < RUNS.budget_ms / 4; i++) await model.run(feeds, { signal });
  for (const from = performance.now(); times.length < 3 || (times.length < RUNS.most && performance.now() - from < RUNS.budget_ms);) {
    const start = performance.now();
    await model.run(feeds, { signal });
    times.push(performance.now() - start);
    if (times.length % 8 === 0) await new Promise((resolve) => { setTimeout(resolve, 0); }); // the page may draw
  }
  return times;
}

/** @param {Runnable} model @param {Record<string, Tensor>} feeds @param {AbortSignal} signal @returns {Promise<number>} ms per frame */
async function flights(model, feeds, signal) {
  const began = performance.now();
  let done = 0;
  while (done < FRAMES.most && performance.now() - began < FRAMES.budget_ms) {
    await Promise.all(Array.from({ length: FRAMES.at_once }, () => model.run(feeds, { signal })));
    done += FRAMES.at_once;
  }
  return (performance.now() - began) / done;
}

/** @param {Runnable} model @param {Record<string, Tensor>} feeds @returns {Promise<StepTime[]>} */
async function stepsOf(model, feeds) {
  try {
    return await model.profile?.(feeds) ?? [];
  } catch (error) {
    if (/** @type {{code?: string}} */ (error).code === 'unsupported') return []; // no clock for steps there
    throw error;
  }
}
