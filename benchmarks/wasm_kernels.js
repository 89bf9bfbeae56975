// Times every step of a plan, the whole plan, and the machine's peak, in short turns. Loaded by wasm_kernels.py.
import { createBackend, STEP_BYTES } from '/static/runtime/backends/wasm.js';
import { loadBundle } from '/static/runtime/bundle.js';
import { compile } from '/static/runtime/kernels.js';
import { loadOperators } from '/static/runtime/ops/index.js';
import { makePlan, opsOf } from '/static/runtime/plan.js';

const CHUNK_MS = 0.25;
const PEAK_TURNS = 2000;

/** How long one call takes, in ms: the mean over a chunk long enough for the clock. */
function time(call, guess_ms) {
  const turns = Math.max(1, Math.round(CHUNK_MS / Math.max(guess_ms, 1e-4))), start = performance.now();
  for (let i = 0; i < turns; i++) call();
  return (performance.now() - start) / turns;
}

/**
 * @param {string} address of the bundle @param {number[]} shape of its first input @param {boolean} strict
 * @param {number} rounds
 * @returns {Promise<{steps: {kernel: string, where: string, work: number, ms: number}[], run_ms: number, gflops: number}>}
 *   best of all rounds; gflops: the peak in registers, a multiply-add counting two
 */
export async function profile(address, shape, strict, rounds) {
  const { graph, weights } = await loadBundle(address, { cache: false });
  const operators = await loadOperators(opsOf(graph).map(({ type }) => type));
  const shapes = Object.fromEntries(graph.inputs.map(({ name }, i) => [name, i ? graph.inputs[i].shape : shape]));
  const plan = makePlan(graph, shapes, operators, weights);
  const module = await compile(fetch(`/static/runtime/wasm/kernels${strict ? '.strict' : ''}.wasm`));
  const backend = await createBackend(module, weights), [prepared] = backend.prepare([plan]);
  const { exports: peak } = await WebAssembly.instantiate(await compile(fetch('/bench/peak.wasm')));
  const feeds = plan.inputs.map(({ shape: own }) => Float32Array.from({ length: own.reduce((p, q) => p * q, 1) }, (_, i) => Math.sin(i * 0.37)));
  const step = (i) => backend.kernels.run(prepared.steps + i * STEP_BYTES, 1, 1);
  const whole = () => backend.run(prepared, feeds, plan.outputs.map(({ shape: own }) => new Float32Array(own.reduce((p, q) => p * q, 1))));
  const best = new Float64Array(plan.steps.length).fill(Infinity);
  let run_ms = Infinity, peak_ms = Infinity;
  for (let i = 0; i < 50; i++) whole(); // the optimising compiler gets its turn
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < best.length; i++) {
      if (i % 8 === 0) {
        run_ms = Math.min(run_ms, time(whole, 1)); // also freshens what steps in place wear out
        peak_ms = Math.min(peak_ms, time(() => peak[strict ? 'strict' : 'relaxed'](PEAK_TURNS, 0.5, 0.25), 0.02));
      }
      best[i] = Math.min(best[i], time(() => step(i), Math.min(best[i], 0.05)));
    }
  }
  const steps = plan.steps.map(({ kernel, where, work }, i) => ({ kernel, where, work, ms: best[i] }));
  return { steps, run_ms, gflops: PEAK_TURNS * 4 * 12 * 4 * 2 / peak_ms / 1e6 };
}
