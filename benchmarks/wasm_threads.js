// A worker that runs one plan with different numbers of threads in turn. Loaded by wasm_threads.py.
import { createBackend } from '/static/runtime/backends/wasm.js';
import { loadBundle } from '/static/runtime/bundle.js';
import { compile } from '/static/runtime/kernels.js';
import { loadOperators } from '/static/runtime/ops/index.js';
import { makePlan, opsOf } from '/static/runtime/plan.js';

const TURN = 10; // runs before the next number of threads has its turn
const TRIPS = 200, BALL = 0, TASK = 32, LOOPS = 64; // of a word to another core and back; places in shared memory, far from each other
const SLEEP = 0, ECHO = 1, COMPUTE = 2; // what the thread there is to do
const SPEED_LOOPS = 200, FREE = 0.95; // how near to the best speed ever seen both cores compute, where nobody else uses them
const always = { withHelpers: () => true, note() {} }; // instead of the pace, which would give up on a busy machine

/** Where two cores lie, by the ns of such a trip. @type {[string, number][]} */
const PLACES = [['near', 200], ['far', 1000], ['busy', Infinity]];
const placeOf = (/** @type {number} */ ns) => /** @type {[string, number]} */ (PLACES.find(([, most]) => ns <= most))[0];

/** @param {number[]} shape */
const count = (shape) => shape.reduce((p, q) => p * q, 1);

/** What the thread on the other core does. @param {Int32Array} words @param {() => void} loop */
function serve(words, loop) {
  for (;; Atomics.wait(words, TASK, SLEEP)) {
    for (let task; (task = Atomics.load(words, TASK)) !== SLEEP;) {
      if (task === COMPUTE) {
        loop();
        Atomics.add(words, LOOPS, 1);
      } else if (Atomics.load(words, BALL) & 1) Atomics.add(words, BALL, 1);
    }
  }
}

/** @param {Int32Array} words @param {number} task */
function ask(words, task) {
  Atomics.store(words, TASK, task);
  Atomics.notify(words, TASK);
}

/** Loops per ms of the slower of both cores, while both compute. @param {Int32Array} words @param {() => void} loop */
function speed(words, loop) {
  ask(words, COMPUTE);
  for (const first = Atomics.load(words, LOOPS); Atomics.load(words, LOOPS) < first + 10;);
  const start_ms = performance.now(), before = Atomics.load(words, LOOPS);
  for (let i = 0; i < SPEED_LOOPS; i++) loop();
  const ms = performance.now() - start_ms, theirs = Atomics.load(words, LOOPS) - before;
  ask(words, SLEEP);
  return Math.min(SPEED_LOOPS, theirs) / ms;
}

/** How long such a trip takes in ns; Infinity where that thread has no core to itself. @param {Int32Array} words */
function distance(words) {
  let best_ms = Infinity;
  ask(words, ECHO);
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
  ask(words, SLEEP);
  return best_ms * 1e6 / TRIPS;
}

onmessage = async ({ data: { words: shared, bundle, shape, threads, seconds, adaptive } }) => {
  const { exports: peak } = await WebAssembly.instantiate(await compile(fetch('/bench/peak.wasm'))), loop = () => peak.relaxed(50, 0.5, 0.25);
  if (shared) {
    postMessage('ready');
    serve(shared, loop);
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
    return { backend, prepared };
  }));
  const words = new Int32Array(new SharedArrayBuffer(512));
  const other = new Worker('/bench/driver.js', { type: 'module' });
  other.postMessage({ words });
  await new Promise((resolve) => { other.onmessage = resolve; });
  /** @type {{place: string, speed: number, times_ms: number[][]}[]} */
  const turns = [];
  let end_ms = performance.now() + 500;
  for (let warm = true; warm || performance.now() < end_ms;) {
    const place = placeOf(distance(words)), before = speed(words, loop);
    const times_ms = entries.map(({ backend, prepared }) => Array.from({ length: TURN }, () => {
      const start_ms = performance.now();
      backend.run(prepared, feeds, results);
      return performance.now() - start_ms;
    }));
    const same = place === placeOf(distance(words));
    if (same && !warm) turns.push({ place, speed: Math.min(before, speed(words, loop)), times_ms });
    await new Promise((resolve) => { setTimeout(resolve, 0); }); // helpers read their mail
    if (warm && performance.now() > end_ms) {
      warm = false;
      end_ms = performance.now() + 1000 * seconds;
    }
  }
  const best = Math.max(...turns.map((turn) => turn.speed));
  const states = PLACES.flatMap(([place, most_ns]) => [...(most_ns < Infinity ? [{ name: `${place} and free`, place, least: FREE * best }] : []), { name: place, place, least: 0 }]);
  postMessage(states.flatMap(({ name, place, least }) => entries.map((entry, i) => {
    const sorted = turns.filter((turn) => turn.place === place && turn.speed >= least).flatMap((turn) => turn.times_ms[i]).sort((p, q) => p - q);
    const at = (/** @type {number} */ part) => sorted[Math.floor((sorted.length - 1) * part)];
    return { place: name, threads: threads[i], runs: sorted.length, best: at(0), median: at(0.5), p99: at(0.99), helped: entry.backend.kernels.helped() };
  })).filter(({ runs }) => runs));
};
