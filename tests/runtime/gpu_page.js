// What the GPU tests run inside a page: operator cases and models on one backend, and what came of them.
import { loadBundle } from '../../static/runtime/bundle.js';
import { createGpuEngine } from '../../static/runtime/gpu/engine.js';
import { load } from '../../static/runtime/index.js';
import { kernels } from '../../static/runtime/kernels.js';
import { graphOf, parseCases, worstOfTwo } from './case_graph.js';

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
  /** @type {import('../../static/runtime/gpu/engine.js').GpuEngine|undefined} */
  let engine;
  try {
    engine = await createGpuEngine(graph, weights, { wasm, open: () => open(name, precision) });
    outcome.worst = await worstOfTwo(engine, feeds, item);
    const plans = await Promise.all([...engine.plans.values()]);
    outcome.steps = plans.reduce((sum, { plan }) => sum + plan.segments.reduce((n, s) => n + (s.on === 'gpu' ? s.steps.length : 0), 0), 0);
  } catch (error) {
    outcome.error = String(error);
  }
  engine?.dispose();
  return outcome;
}

/** @typedef {Record<string, {shape: number[], base64: string, dtype?: string}>} Packed */
/** @typedef {import('../../static/runtime/tensor.js').Tensor} Tensor */

/** @param {Packed} packed float32 or int32 @returns {Record<string, Tensor>} */
export function unpack(packed) {
  return Object.fromEntries(Object.entries(packed).map(([name, { shape, base64, dtype }]) => {
    const { buffer } = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    return [name, { shape, data: dtype === 'int32' ? new Int32Array(buffer) : new Float32Array(buffer) }];
  }));
}

/** @param {Record<string, Tensor>} tensors @returns {Packed} */
export function pack(tensors) {
  return Object.fromEntries(Object.entries(tensors).map(([name, { shape, data }]) => {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    let text = '';
    for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return [name, { shape, dtype: data.constructor.name.replace(/Big|Array/g, '').toLowerCase(), base64: btoa(text) }];
  }));
}

/** Keeps a device, and with it its compiled programs, for as long as the page lives. @param {Name} name */
export async function keep(name) {
  await open(name, 'float32');
}

/**
 * A model through load(), once.
 * @param {{backend: Name, bundle: string, feeds: Packed, precision: Precision, worker: boolean}} wish
 */
export async function runModel({ backend, bundle, feeds, precision, worker }) {
  const model = await load(bundle, { backend, precision, worker, cache: false }), start = performance.now();
  const outputs = await model.run(unpack(feeds)), ms = performance.now() - start;
  const told = { outputs: pack(outputs), backend: model.backend, numerics: model.numerics, ms, bytes: model.memory().bytes };
  await model.dispose();
  return { ...told, left: model.memory().bytes };
}

/** Numbers in [-1, 1] that are the same every time. @param {number} n @param {number} [phase] */
export const wave = (n, phase = 1) => Float32Array.from({ length: n }, (_, i) => Math.sin(12.9898 * i + phase));
/** What the small bundle takes. @param {number} [phase] @param {number} [high] @param {number} [wide] @returns {Record<string, Tensor>} */
export const frame = (phase, high = 8, wide = 6) => ({ x: { data: wave(3 * high * wide, phase), shape: [1, 3, high, wide] } });
/** @param {Record<string, Tensor>} p @param {Record<string, Tensor>} q */
export const same = (p, q) => p.y.data.length === q.y.data.length && p.y.data.every((value, i) => value === q.y.data[i]);

/**
 * An engine for the small bundle, and all backends that it opened.
 * @template {Backend} T
 * @param {string} address
 * @param {(wish: {precision: Precision}) => Promise<T>} createBackend
 */
export async function small(address, createBackend) {
  const { graph, weights } = await loadBundle(address, { cache: false, check: async () => {} });
  /** @type {T[]} */
  const opened = [];
  const engine = await createGpuEngine(graph, weights, {
    wasm: await kernels(),
    open: async (precision) => {
      const backend = await createBackend({ precision });
      opened.push(backend);
      return backend;
    },
  });
  return { engine, opened };
}
