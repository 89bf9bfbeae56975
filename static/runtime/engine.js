// Graph + weights + kernels → something that runs: plans by input shape, checked feeds, fresh outputs.
import { createBackend } from './backends/wasm.js';
import { InPageError } from './errors.js';
import { loadOperators } from './ops/index.js';
import { count, UnknownDataError } from './ops/node.js';
import { makePlan, problemsOfGraph } from './plan.js';
import { checkFeeds, DTYPES } from './tensor.js';

/** @typedef {import('./plan.js').Graph} Graph */
/** @typedef {import('./plan.js').Weights} Weights */
/** @typedef {import('./plan.js').Plan} Plan */
/** @typedef {import('./tensor.js').Tensor} Tensor */
/** @typedef {import('./ops/index.js').Problem} Problem */
/**
 * @typedef {object} EngineOptions
 * @property {'wasm'} [backend]
 * @property {WebAssembly.Module} wasm the kernels, from compile() of backends/wasm.js
 * @property {number} [maxArenaBytes] working memory that a plan may take
 * @property {boolean} [poison] fill the working memory with NaN before every run; for tests
 */
/** @typedef {Awaited<ReturnType<typeof createEngine>>} Engine */

const MAX_PLANS = 4;
const MAX_KNOWN = 64; // elements of an input that may decide on shapes

/**
 * Everything of a graph that this runtime cannot compute; an empty list where it can run it.
 * @param {Graph} graph
 * @returns {Promise<Problem[]>}
 */
export async function unsupported(graph) {
  return problemsOfGraph(graph, await loadOperators(graph.ops.map((op) => op.type)));
}

/**
 * @param {Graph} graph
 * @param {Weights} weights by name; must not change while the engine lives
 * @param {EngineOptions} options
 * @throws {InPageError} unsupported, naming everything that is missing; out_of_memory
 */
export async function createEngine(graph, weights, { backend = 'wasm', wasm, maxArenaBytes, poison = false }) {
  if (backend !== 'wasm') throw new InPageError('no_backend', `There is no backend "${backend}"`, { hint: 'use "wasm"' });
  const operators = await loadOperators(graph.ops.map((op) => op.type));
  refuse(problemsOfGraph(graph, operators));
  const engine = new WasmEngine(graph, weights, operators, await createBackend(wasm, weights), { maxArenaBytes, poison });
  return /** @type {const} */ ({
    backend,
    /** @param {Record<string, Tensor>} feeds @returns {Promise<Record<string, Tensor>>} */
    run: async (feeds) => engine.run(feeds),
    /** @returns {{bytes: number}} memory of the backend */
    memory: () => ({ bytes: engine.bytes }),
    dispose: () => engine.dispose(),
  });
}

/** @param {Problem[]} problems */
function refuse(problems) {
  if (!problems.length) return;
  const lines = problems.map(({ type, reason, where }) => `${type}${where ? ` (${where})` : ''}: ${reason}`);
  throw new InPageError('unsupported', `This runtime cannot run the model: ${[...new Set(lines)].join('; ')}`);
}

class WasmEngine {
  /**
   * @param {Graph} graph @param {Weights} weights @param {import('./plan.js').Operators} operators
   * @param {import('./backends/wasm.js').WasmBackend} backend @param {{maxArenaBytes?: number, poison: boolean}} options
   */
  constructor(graph, weights, operators, backend, { maxArenaBytes, poison }) {
    this.graph = graph;
    this.weights = weights;
    this.operators = operators;
    /** @type {import('./backends/wasm.js').WasmBackend|null} */
    this.backend = backend;
    this.limits = maxArenaBytes === undefined ? {} : { maxArenaBytes };
    this.poison = poison;
    /** Whether shapes depend on the elements of small inputs: plans then hold for those elements only. */
    this.byContent = false;
    /** @type {Map<string, import('./backends/wasm.js').Prepared>} by input shapes, the latest used last */
    this.plans = new Map();
  }

  get bytes() {
    return this.backend?.memory.buffer.byteLength ?? 0;
  }

  /** @returns {import('./backends/wasm.js').WasmBackend} */
  alive() {
    if (!this.backend) throw new InPageError('disposed', 'The model is disposed', { hint: 'load it again' });
    return this.backend;
  }

  /** @param {Record<string, Tensor>} feeds @returns {Record<string, Tensor>} */
  run(feeds) {
    const backend = this.alive();
    checkFeeds(this.graph.inputs, feeds);
    const prepared = this.planFor(feeds), { inputs, outputs } = prepared.plan;
    const results = outputs.map(({ dtype, shape }) => newArray(dtype, count(shape)));
    if (this.poison) backend.poison();
    backend.run(prepared, inputs.map(({ name }) => feeds[name].data), results);
    return Object.fromEntries(outputs.map(({ name, shape }, i) => [name, { data: results[i], shape: [...shape] }]));
  }

  /** @param {Record<string, Tensor>} feeds @returns {string} */
  keyOf(feeds) {
    const shapes = this.graph.inputs.map(({ name }) => feeds[name].shape.join('x')).join();
    return this.byContent ? `${shapes}|${[...this.smallInputs(feeds).values()].join('|')}` : shapes;
  }

  /** @param {Record<string, Tensor>} feeds @returns {Map<string, number[]>} */
  smallInputs(feeds) {
    const small = this.graph.inputs.filter(({ name }) => feeds[name].data.length <= MAX_KNOWN);
    return new Map(small.map(({ name }) => [name, Array.from(feeds[name].data, Number)]));
  }

  /**
   * The plan for these shapes, made or remembered; the least used of more than four goes.
   * @param {Record<string, Tensor>} feeds @returns {import('./backends/wasm.js').Prepared}
   */
  planFor(feeds) {
    const key = this.keyOf(feeds);
    const known = this.plans.get(key);
    if (known) {
      this.plans.delete(key);
      this.plans.set(key, known);
      return known;
    }
    const shapes = Object.fromEntries(this.graph.inputs.map(({ name }) => [name, [...feeds[name].shape]]));
    /** @type {Plan} */
    let plan;
    try {
      const contents = this.byContent ? this.smallInputs(feeds) : new Map();
      plan = makePlan(this.graph, shapes, this.operators, this.weights, { ...this.limits, known: contents });
    } catch (error) {
      if (this.byContent || !(error instanceof InPageError && error.cause instanceof UnknownDataError)) throw error;
      this.byContent = true;
      return this.planFor(feeds);
    }
    const kept = [...this.plans].slice(-(MAX_PLANS - 1));
    return this.keep([...kept.map(([name, { plan: old }]) => /** @type {[string, Plan]} */ ([name, old])), [key, plan]]);
  }

  /**
   * Makes these plans the remembered ones; where memory does not suffice for all, only the last.
   * @param {[string, Plan][]} entries @returns {import('./backends/wasm.js').Prepared} of the last
   */
  keep(entries) {
    let kept = entries, prepared;
    this.plans = new Map();
    try {
      prepared = this.alive().prepare(kept.map(([, plan]) => plan));
    } catch (error) {
      if (kept.length === 1 || !(error instanceof InPageError) || error.code !== 'out_of_memory') throw error;
      kept = entries.slice(-1);
      prepared = this.alive().prepare(kept.map(([, plan]) => plan));
    }
    this.plans = new Map(kept.map(([key], i) => [key, prepared[i]]));
    return prepared[prepared.length - 1];
  }

  dispose() {
    this.backend = null;
    this.plans.clear();
    this.weights = new Map();
  }
}

/** @param {string} dtype @param {number} length @returns {import('./tensor.js').TensorData} */
function newArray(dtype, length) {
  const { array } = DTYPES[dtype];
  return new array(new ArrayBuffer(length * DTYPES[dtype].bytes));
}
