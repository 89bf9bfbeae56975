// Inside the page of gpu.py: every model on every backend, backends in turn for each model; one report per line.
import { load } from './static/runtime/index.js';

/** @typedef {{name: string, side: number}} Bench a bundle under models/, and the height and width it is fed with */
/** @typedef {{runs: number, models: Bench[], backends: {backend: string, precision?: string}[]}} Wish */

const FLIGHT = 8;

/** @param {unknown} report */
const say = (report) => fetch('/r', { method: 'POST', body: JSON.stringify(report) });
/** @param {number[]} times @param {number} share */
const quantile = (times, share) => [...times].sort((p, q) => p - q)[Math.min(times.length - 1, Math.floor(times.length * share))];
/** @param {number} ms */
const rounded = (ms) => Math.round(ms * 1000) / 1000;

/** The same noise every time. @param {string} name @param {number} side */
function frame(name, side) {
  const data = new Float32Array(3 * side * side);
  for (let i = 0, state = 7; i < data.length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    data[i] = state / 0x40000000 - 1;
  }
  return { [name]: { data, shape: [1, 3, side, side] } };
}

/** The worst difference as a share of the range. @param {Record<string, any>} got @param {Record<string, any>} wanted */
function errorOf(got, wanted) {
  const [p, q] = [got, wanted].map((tensors) => Object.values(tensors)[0].data);
  let low = Infinity, high = -Infinity, worst = 0;
  q.forEach((/** @type {number} */ v, /** @type {number} */ i) => {
    [low, high, worst] = [Math.min(low, v), Math.max(high, v), Math.max(worst, Math.abs(v - p[i]))];
  });
  return worst / (high - low);
}

/** @param {Bench} bench @param {Wish['backends'][number]} on @param {number} runs @param {Record<string, any>|null} wanted */
async function measure({ name, side }, on, runs, wanted) {
  const start = performance.now(), model = await load(`models/${name}`, /** @type {any} */ ({ ...on, worker: false, cache: false }));
  const feeds = frame(model.inputs[0].name, side), first = await model.run(feeds), first_ms = performance.now() - start;
  for (let i = 0; i < Math.min(10, runs); i++) await model.run(feeds);
  const times = [];
  for (let i = 0; i < runs; i++) {
    const began = performance.now();
    await model.run(feeds);
    times.push(performance.now() - began);
  }
  let left = 2 * runs;
  const began = performance.now();
  await Promise.all(Array.from({ length: FLIGHT }, async () => { while (left-- > 0) await model.run(feeds); }));
  const flight = (performance.now() - began) / (2 * runs), steps = await model.profile?.(feeds).catch(() => null);
  await say({
    model: name, side, ...on, median_ms: rounded(quantile(times, 0.5)), min_ms: rounded(Math.min(...times)),
    p90_ms: rounded(quantile(times, 0.9)), in_flight_ms: rounded(flight), first_ms: rounded(first_ms),
    error: wanted && errorOf(first, wanted), numerics: model.numerics ?? null, mb: rounded(model.memory().bytes / 1e6),
    steps: steps?.map(({ kind, ms }) => [kind, rounded(ms)]) ?? null,
  });
  await model.dispose();
  return first;
}

/** @param {Wish} wish */
async function main({ runs, models, backends }) {
  for (const bench of models) {
    /** @type {Record<string, any>|null} */
    let wanted = null;
    for (const on of backends) {
      try {
        const got = await measure(bench, on, runs, wanted);
        wanted ??= got;
      } catch (error) {
        await say({ model: bench.name, side: bench.side, ...on, failed: String(error) });
      }
    }
  }
}

main(await (await fetch('wish.json')).json()).catch((error) => say({ failed: String(error) })).finally(() => say({ done: true }));
