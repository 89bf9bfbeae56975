// What the GPU tests run inside a page: operator cases and models on one backend, and what came of them.
import { createGpuEngine } from '../../static/runtime/gpu/engine.js';
import { kernels } from '../../static/runtime/kernels.js';
import { deviation, graphOf, parseCases } from './case_graph.js';

/** @typedef {'webgpu'|'webgl'} Name */
/** @typedef {'float32'|'float16'} Precision */
/** @typedef {import('../../static/runtime/gpu/step.js').Backend} Backend */
/** @typedef {{name: string, tol: number, worst: number, steps: number, error: string}} Outcome steps that ran on the GPU */

/** @param {Name} name @param {Precision} precision @returns {Promise<Backend>} */
export async function open(name, precision) {
  const { createBackend } = await import(`../../static/runtime/${name}/index.js`);
  return createBackend({ precision });
}

/**
 * Every case of the files, twice each.
 * @param {{backend: Name, precision: Precision, files: string[]}} wish
 * @returns {Promise<Outcome[]>}
 */
export async function checkCases({ backend, precision, files }) {
  const wasm = await kernels(), keeper = await open(backend, precision);
  /** @type {Outcome[]} */
  const outcomes = [];
  for (const file of files) {
    for (const item of parseCases(await (await fetch(file)).text())) outcomes.push(await checkCase(item, backend, precision, wasm));
  }
  keeper.dispose();
  return outcomes;
}

/** @param {import('./case_graph.js').Case} item @param {Name} name @param {Precision} precision @param {WebAssembly.Module} wasm @returns {Promise<Outcome>} */
async function checkCase(item, name, precision, wasm) {
  const { graph, weights, feeds } = graphOf(item), outcome = { name: item.name, tol: item.tol, worst: 0, steps: 0, error: '' };
  const engine = await createGpuEngine(graph, weights, { wasm, open: () => open(name, precision) });
  try {
    for (let i = 0; i < 2; i++) {
      const out = await engine.run(feeds);
      for (const [slot, tensors] of Object.entries(item.outputs)) {
        tensors.forEach((expected, k) => { outcome.worst = Math.max(outcome.worst, deviation(out[`${slot}_${k}`], expected)); });
      }
    }
    const plans = await Promise.all([...engine.plans.values()]);
    outcome.steps = plans.reduce((sum, { plan }) => sum + plan.segments.reduce((n, s) => n + (s.on === 'gpu' ? s.steps.length : 0), 0), 0);
  } catch (error) {
    outcome.error = String(error);
  }
  engine.dispose();
  return outcome;
}
