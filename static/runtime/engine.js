// Graph + weights + kernels → something that runs.
import { createBackend } from './backends/wasm.js';
import { callAll, fixedSizes, usualSizes } from './early.js';
import { InPageError } from './errors.js';
import { HeldWeights } from './held.js';
import { loadOperators } from './ops/index.js';
import { opsOf, problemsOfGraph } from './plan.js';
import { WasmEngine } from './wasm_engine.js';

/** @typedef {import('./plan.js').Graph} Graph */
/** @typedef {import('./plan.js').Weights} Weights */
/** @typedef {import('./tensor.js').Tensor} Tensor */
/** @typedef {import('./ops/index.js').Problem} Problem */
/**
 * @typedef {object} EngineOptions
 * @property {'wasm'} [backend]
 * @property {WebAssembly.Module} wasm the kernels, from kernels() or compile() of kernels.js
 * @property {number} [maxArenaBytes] working memory that a plan may take
 * @property {boolean} [poison] fill the working memory with NaN before every run; for tests
 * @property {number} [threads] at most (default: what fits the device)
 * @property {boolean} [stress] divide every step among the threads, in changing order; for tests
 * @property {ReturnType<typeof openEngine>} [opened] for the same graph
 */
/** @typedef {Awaited<ReturnType<typeof createEngine>>} Engine */

/**
 * Everything of a graph that this runtime cannot compute; an empty list where it can run it.
 * @param {Graph} graph
 * @returns {Promise<Problem[]>}
 */
export async function unsupported(graph) {
  return problemsOfGraph(graph, await loadOperators(opsOf(graph).map((op) => op.type)));
}

/**
 * @param {Graph} graph
 * @param {Weights} weights by name; must not change while the engine lives
 * @param {EngineOptions} options
 * @throws {InPageError} unsupported, naming everything that is missing; out_of_memory
 */
export async function createEngine(graph, weights, { backend = 'wasm', opened, ...options }) {
  if (backend !== 'wasm') throw new InPageError('no_backend', `There is no backend "${backend}"`, { hint: 'use "wasm"' });
  const { engine, held, rehearsed } = await (opened ?? newEngine(graph, options));
  held.fill(weights);
  await rehearsed;
  await engine.beginEarly(fixedSizes(graph));
  return runnable(engine, held);
}

/**
 * An engine as another one was when its snapshot was taken: the weights are where its plan has them.
 * @param {Graph} graph @param {EngineOptions} options @param {Omit<import('./wasm_engine.js').Ready, 'packed'>} ready
 * @param {(packed: Uint8Array) => void} fill puts the weights there, or throws
 */
export async function restoreEngine(graph, options, ready, fill) {
  const { engine, held } = await newEngine(graph, options);
  held.fill(ready.loose);
  engine.restore(ready, fill);
  return runnable(engine, held);
}

/** @param {WasmEngine} engine @param {HeldWeights} held */
function runnable(engine, held) {
  const backend = /** @type {const} */ ('wasm');
  /** @type {Promise<unknown>} settles when all runs so far are done */
  let turn = Promise.resolve();
  return /** @type {const} */ ({
    backend,
    /** @param {Record<string, Tensor>} feeds @returns {Promise<Record<string, Tensor>>} */
    run: (feeds) => {
      const result = turn.then(() => engine.begin(engine.valuesOf(feeds))).then(() => engine.run(feeds));
      turn = result.then(() => {}, () => {}); // the caller has the failure
      return result;
    },
    /** @returns {{bytes: number}} memory of the backend */
    memory: () => ({ bytes: engine.bytes }),
    /** What `restoreEngine` needs, for as long as nothing else is asked of the engine; null where it has no first plan. */
    snapshot: () => engine.snapshot(held),
    dispose: () => engine.dispose(),
  });
}

/**
 * What can be done of an engine before its weights are here: they may take a while.
 * @param {Graph} graph
 * @param {EngineOptions} options
 * @throws {InPageError} as createEngine
 */
export async function openEngine(graph, options) {
  const opened = await newEngine(graph, options);
  return { ...opened, rehearsed: callAll(opened.engine.rehearsal(usualSizes(graph)), opened.held) };
}

/** @param {Graph} graph @param {EngineOptions} options */
async function newEngine(graph, { wasm, maxArenaBytes, poison = false, threads, stress }) {
  const operators = await loadOperators(opsOf(graph).map((op) => op.type));
  refuse(problemsOfGraph(graph, operators));
  const held = HeldWeights.awaiting(graph.vars), parts = await createBackend(wasm, held, { threads, stress });
  return { engine: new WasmEngine(graph, held, operators, parts, { maxArenaBytes, poison }), held, rehearsed: Promise.resolve() };
}

/** @param {Problem[]} problems */
export function refuse(problems) {
  if (!problems.length) return;
  const lines = problems.map(({ type, reason, where }) => type + (where ? ` (${where})` : '') + `: ${reason}`);
  throw new InPageError('unsupported', `This runtime cannot run the model: ${[...new Set(lines)].join('; ')}`);
}
