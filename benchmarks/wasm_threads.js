// A worker that runs one plan with different numbers of threads in turn. Loaded by wasm_threads.py.
import { createBackend } from '/static/runtime/backends/wasm.js';
import { loadBundle } from '/static/runtime/bundle.js';
import { compile } from '/static/runtime/kernels.js';
import { loadOperators } from '/static/runtime/ops/index.js';
import { makePlan, opsOf } from '/static/runtime/plan.js';

const TURN = 10; // runs before the next number of threads has its turn
const TRIPS = 200, BALL = 0, AWAKE = 32; // of a word to another core and back; places in shared memory, far from each other
const always = { withHelpers: () => true, note() {} }; // instead of the pace, which would give up on a busy machine

/** Where two cores lie, by the ns of such a trip. @type {[string, number][]} */
const PLACES = [['near', 200], ['far', 1000], ['busy', Infinity]];
const placeOf = (/** @type {number} */ ns) => /** @type {[string, number]} */ (PLACES.find(([, most]) => ns <= most))[0];

/** @param {number[]} shape */
const count = (shape) => shape.reduce((p, q) => p * q, 1);

/** What the thread does that hands a word back. @param {Int32Array} words */
function echo(words) {
  for (;; Atomics.wait(words, AWAKE, 0)) while (Atomics.load(words, AWAKE)) if (Atomics.load(words, BALL) & 1) Atomics.add(words, BALL, 1);
}

/** How long such a trip takes in ns; Infinity where that thread has no core to itself. @param {Int32Array} words */
function distance(words) {
  let best_ms = Infinity;
  Atomics.store(words, AWAKE, 1);
  Atomics.notify(words, AWAKE);
  for (let turn = 0; turn < 8; turn++) {
    const start_ms = performance.now();
    let left = TRIPS;
    for (; left; left--) {
      Atomics.add(words, BALL, 1);
      for (let i = 0; i < 100_000 && Atomics.load(words, BALL) & 1; i++);
      if (Atomics.load(words, BALL) & 1) break;
    }
    while (Atomics.load(words, BALL) & 1);
    if (!left) best_ms = Math.min(best_ms, performance.now() - start_ms);
  }
  Atomics.store(words, AWAKE, 0);
  return best_ms * 1e6 / TRIPS;
}

onmessage = async ({ data: { words: echoed, bundle, shape, threads, seconds, adaptive } }) => {
  if (echoed) {
    postMessage('ready');
    echo(echoed);
  }
  const { graph, weights } = await loadBundle(bundle, { cache: false });
  const operators = await loadOperators(opsOf(graph).map(({ type }) => type));
  const plan = makePlan(graph, { [graph.inputs[0].name]: shape }, operators, weights);
  const module = await compile(fetch('/static/runtime/wasm/kernels.wasm'));
  const feeds = [Float32Array.from({ length: count(shape) }, (_, i) => Math.sin(i * 0.37))];
  const results = plan.outputs.map((out) => new Float32Array(count(out.shape)));
  const entries = await Promise.all(threads.map(async (n) => {
    const backend = await createBackend(module, weights, { threads: n }), [prepared] = backend.prepare([plan]);
    backend.run(prepared, feeds, results); // helpers start after a first run
    await new Promise((resolve) => { setTimeout(resolve, 0); });
    await backend.enlisted;
    if (n > 1 && !adaptive) prepared.pace = always;
    return { backend, prepared, times_ms: /** @type {Record<string, number[]>} */ ({}) };
  }));
  const words = new Int32Array(new SharedArrayBuffer(256));
  const other = new Worker('/bench/driver.js', { type: 'module' });
  other.postMessage({ words });
  await new Promise((resolve) => { other.onmessage = resolve; });
  let end_ms = performance.now() + 500;
  for (let warm = true; warm || performance.now() < end_ms;) {
    const before_ns = distance(words), turn = entries.map(() => []);
    entries.forEach(({ backend, prepared }, k) => {
      for (let i = 0; i < TURN; i++) {
        const start_ms = performance.now();
        backend.run(prepared, feeds, results);
        turn[k].push(performance.now() - start_ms);
      }
    });
    const place = placeOf(before_ns), same = place === placeOf(distance(words));
    if (same && !warm) entries.forEach((entry, k) => (entry.times_ms[place] ??= []).push(...turn[k]));
    await new Promise((resolve) => { setTimeout(resolve, 0); }); // helpers read their mail
    if (warm && performance.now() > end_ms) {
      warm = false;
      end_ms = performance.now() + 1000 * seconds;
    }
  }
  postMessage(PLACES.flatMap(([place]) => entries.map((entry, i) => {
    const sorted = (entry.times_ms[place] ?? []).sort((p, q) => p - q), at = (share) => sorted[Math.floor((sorted.length - 1) * share)];
    return { place, threads: threads[i], runs: sorted.length, best: at(0), median: at(0.5), p99: at(0.99), helped: entry.backend.kernels.helped() };
  })).filter(({ runs }) => runs));
};
