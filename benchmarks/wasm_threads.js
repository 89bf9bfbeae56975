// A worker that runs one plan with different numbers of threads in turn. Loaded by wasm_threads.py.
import { compile, createBackend } from '/static/runtime/backends/wasm.js';
import { loadBundle } from '/static/runtime/bundle.js';
import { loadOperators } from '/static/runtime/ops/index.js';
import { makePlan, opsOf } from '/static/runtime/plan.js';

const TURN = 10; // runs before the next number of threads has its turn
const always = { withHelpers: () => true, note() {} }; // instead of the pace, which would give up on a busy machine

/** @param {number[]} shape */
const count = (shape) => shape.reduce((p, q) => p * q, 1);

onmessage = async ({ data: { bundle, shape, threads, seconds, adaptive } }) => {
  const { graph, weights } = await loadBundle(bundle, { cache: false });
  const operators = await loadOperators(opsOf(graph).map(({ type }) => type));
  const plan = makePlan(graph, { [graph.inputs[0].name]: shape }, operators, weights);
  const module = await compile(fetch('/static/runtime/wasm/kernels.wasm'));
  const feeds = [Float32Array.from({ length: count(shape) }, (_, i) => Math.sin(i * 0.37))];
  const results = plan.outputs.map((out) => new Float32Array(count(out.shape)));
  const entries = await Promise.all(threads.map(async (n) => {
    const backend = await createBackend(module, weights, { threads: n }), [prepared] = backend.prepare([plan]);
    await backend.enlisted;
    if (n > 1 && !adaptive) prepared.pace = always;
    return { backend, prepared, times_ms: [] };
  }));
  const end_ms = performance.now() + 1000 * seconds;
  while (performance.now() < end_ms) {
    for (const { backend, prepared, times_ms } of entries) {
      for (let i = 0; i < TURN; i++) {
        const start_ms = performance.now();
        backend.run(prepared, feeds, results);
        times_ms.push(performance.now() - start_ms);
      }
      await new Promise((resolve) => { setTimeout(resolve, 0); }); // helpers read their mail
    }
  }
  postMessage(entries.map(({ backend, times_ms }, i) => {
    const sorted = times_ms.slice(times_ms.length >> 2).sort((p, q) => p - q), at = (share) => sorted[Math.floor((sorted.length - 1) * share)];
    return { threads: threads[i], runs: sorted.length, best: at(0), median: at(0.5), p99: at(0.99), helped: backend.kernels.helped() };
  }));
};
