// What runs a graph: plans by input shape, checked feeds, fresh outputs.
import { MAX_KNOWN, newArray } from './early.js';
import { InPageError } from './errors.js';
import { NotHereError } from './held.js';
import { normal } from './ops/dtype.js';
import { count, HostNode, ShapeError, UnknownDataError, UnsupportedError } from './ops/node.js';
import { makePlan } from './plan.js';
import { sourcesOf, stagesOf } from './plan_stages.js';
import { checkFeeds } from './tensor.js';

/** @typedef {import('./plan.js').Graph} Graph */
/** @typedef {import('./plan.js').Weights} Weights */
/** @typedef {import('./plan.js').Plan} Plan */
/** @typedef {import('./tensor.js').Tensor} Tensor */
/** @typedef {import('./plan_stages.js').Stage} Stage */
/** @typedef {import('./backends/wasm.js').Prepared} Prepared */
/** @typedef {import('./ops/node.js').HostTensor} HostTensor */
/** @typedef {HostTensor & {known: boolean}} Held a value between stages; known: its elements follow from shapes alone */
/** @typedef {Map<string, Held>} Values */
/** @typedef {{key: string, plan: Plan, moved: Map<string, number>, loose: Map<string, import('./held.js').Elements>, packed: Uint8Array, sum: number}} Ready
 *   moved: elements of the weights that are nowhere but in `packed`; loose: the other ones; packed: those of the plan, as they lie in memory, and their sum */

const MAX_PLANS = 4; // per stage
const OUTERMOST = 'main 0'; // the stage that runs first, on what the caller gave

/** Also runs, for a GPU, the stages and operators that stay on the host. */
export class WasmEngine {
  /**
   * @param {Graph} graph @param {Weights} weights @param {import('./plan.js').Operators} operators
   * @param {import('./backends/wasm.js').WasmBackend} backend @param {{maxArenaBytes?: number, poison: boolean}} options
   */
  constructor(graph, weights, operators, backend, { maxArenaBytes, poison }) {
    this.graph = graph;
    this.weights = weights;
    this.operators = operators;
    this.main = stagesOf(graph, operators);
    this.blocks = (graph.blocks ?? []).map(({ ops, outputs }) => stagesOf({ ...graph, ops, outputs: outputs.map(unknown) }, operators));
    this.maxPlans = MAX_PLANS * [this.main, ...this.blocks].reduce((sum, stages) => sum + stages.length, 0);
    /** @type {WeakSet<object>|null} weights as they are kept: a result may not be one */
    this.lent = null;
    /** @type {import('./backends/wasm.js').WasmBackend|null} */
    this.backend = backend;
    this.limits = maxArenaBytes === undefined ? {} : { maxArenaBytes };
    this.poison = poison;
    /** @type {Map<string, Set<string>>} stage → small values on whose elements shapes depend: a plan holds for those only */
    this.deciding = new Map();
    /** @type {Map<string, Prepared>} by stage and shapes of what it reads, the latest used last */
    this.plans = new Map();
    /** @type {{values: Values, plan: Plan}|null} made while the weights were on their way */
    this.early = null;
    /** @type {[string, Plan]|null} made at load, for sizes alone */
    this.first = null;
  }

  /**
   * While the weights are on their way: a plan for the usual sizes, if it needs none of their elements.
   * @param {Values|null} values of these sizes
   * @returns {(() => void)[]} what makes the browser compile the kernels of that plan
   */
  rehearsal(values) {
    const [stage] = this.main;
    if (!values || !stage?.writes.length) return [];
    try {
      const plan = this.planOf(stage, OUTERMOST, values), calls = this.alive().rehearsal(plan);
      this.early = { values, plan };
      return calls;
    } catch (error) {
      if (!(error instanceof InPageError || error instanceof NotHereError)) throw error;
      this.deciding.clear();
      return []; // the first run plans, and says what is wrong
    }
  }

  /** @param {Values|null} fixed the only sizes that the model takes */
  async beginEarly(fixed) {
    const values = this.early?.values ?? fixed;
    if (!values) return;
    try {
      await this.begin(values);
    } catch (error) {
      if (fixed || !(error instanceof InPageError && error.code === 'out_of_memory')) throw error;
    } finally {
      this.early = null; // where memory does not suffice for the usual sizes, others may be asked for
    }
  }

  get bytes() {
    return this.backend?.memory.buffer.byteLength ?? 0;
  }

  /** @returns {import('./backends/wasm.js').WasmBackend} */
  alive() {
    if (!this.backend) throw new InPageError('disposed', 'The model is disposed', { hint: 'load it again' });
    return this.backend;
  }

  /** @param {Record<string, Tensor>} feeds @returns {Values} */
  valuesOf(feeds) {
    this.alive();
    checkFeeds(this.graph.inputs, feeds);
    return new Map(this.graph.inputs.map(({ name, dtype }) => [name, { data: feeds[name].data, shape: feeds[name].shape, dtype, known: false }]));
  }

  /** Before the first run: plans what it begins with and packs the weights, in slices. @param {Values} values inputs */
  async begin(values) {
    const [stage] = this.main;
    if (this.plans.size || !stage?.writes.length) return;
    const plan = this.early?.values === values ? this.early.plan : this.planOf(stage, OUTERMOST, values);
    await this.alive().residents.packInSlices(plan);
    this.alive();
    const key = this.keyOf(stage, OUTERMOST, values);
    this.keep([[key, plan]]);
    if (!this.deciding.size) this.first = [key, plan];
  }

  /** @param {import('./held.js').HeldWeights} held @returns {Ready|null} */
  snapshot(held) {
    if (!this.first || !this.backend) return null;
    const [key, plan] = this.first, stretch = this.backend.residents.stretch(plan.weights);
    return stretch && { key, plan, packed: stretch.packed, sum: stretch.sum(), moved: new Map(Array.from(held.moved, ([name, { length }]) => [name, length])), loose: new Map(held.entries()) };
  }

  /** @param {Omit<Ready, 'packed'>} ready @param {(packed: Uint8Array) => void} fill @throws {RangeError} where these are other numbers */
  restore({ key, plan, moved, sum }, fill) {
    const backend = this.alive(), stretch = backend.residents.stretch(plan.weights);
    if (stretch) fill(stretch.packed);
    if (stretch?.sum() !== sum) throw new RangeError('the packed weights are not those of the plan');
    backend.residents.admit(plan.weights, moved);
    const { steps } = this.keep([[key, plan]]);
    for (const call of backend.empty(plan, steps)) call();
    this.first = [key, plan];
  }

  /** @param {Record<string, Tensor>} feeds @returns {Record<string, Tensor>} */
  run(feeds) {
    const values = this.valuesOf(feeds);
    this.runStages(this.main, 'main', values);
    return this.resultsOf(values, feeds);
  }

  /** What the caller gets: memory of its own for every output. @param {Values} values @param {Record<string, Tensor>} feeds */
  resultsOf(values, feeds) {
    const lent = this.lent ??= new WeakSet(this.weights.values());
    const taken = Object.values(feeds).map(({ data }) => /** @type {HostTensor['data']} */ (data));
    /** @type {Record<string, Tensor>} */
    const results = {};
    for (const { name } of this.graph.outputs) {
      const held = this.valueOf(name, values), data = taken.includes(held.data) || lent.has(held.data) ? held.data.slice() : held.data;
      taken.push(data); // every result is the caller's, and none another's
      results[name] = { data, shape: [...held.shape] };
    }
    return results;
  }

  /** @param {Stage[]} stages @param {string} where their graph @param {Values} values extended by all they make */
  runStages(stages, where, values) {
    stages.forEach((stage, i) => {
      if (stage.writes.length) this.runPlanned(stage, `${where} ${i}`, values);
      for (const op of stage.hosts) this.runHost(op, values);
    });
  }

  /** Runs a graph inside the model. @type {import('./ops/node.js').RunBlock} */
  runBlock = (index, inputs) => {
    const { blocks = [] } = this.graph, block = blocks[index];
    /** @type {Values} */
    const values = new Map(block.inputs.map((name, i) => [name, { known: false, ...inputs[i] }]));
    this.runStages(this.blocks[index], `block ${index}`, values);
    return block.outputs.map((name) => this.valueOf(name, values));
  };

  /** @param {Stage} stage @param {string} where @param {Values} values extended by what the stage writes */
  runPlanned(stage, where, values) {
    const prepared = this.planFor(stage, where, values), { inputs, outputs } = prepared.plan, backend = this.alive();
    const results = outputs.map(({ dtype, shape }) => newArray(dtype, count(shape)));
    if (this.poison) backend.poison();
    backend.run(prepared, inputs.map(({ name }) => this.valueOf(name, values).data), results);
    outputs.forEach(({ name, dtype, shape, known }, i) => values.set(name, { data: results[i], shape, dtype, known }));
  }

  /** @param {import('./manifest.js').Op} op @param {Values} values extended by what the operator makes */
  runHost(op, values) {
    const host = this.operators.get(op.type)?.rule.host;
    const inputs = Object.fromEntries(Object.entries(op.inputs).map(
      ([slot, names]) => [slot, names.map((name) => this.valueOf(name, values))]));
    const node = new HostNode(op, inputs);
    try {
      const made = host?.(node, this.runBlock) ?? [];
      node.names.forEach((name, i) => values.set(name, { ...made[i], known: false }));
    } catch (error) {
      if (!(error instanceof ShapeError || error instanceof UnsupportedError)) throw error;
      throw new InPageError('invalid_input', `The model does not take these inputs: in ${node.where} ${error.message}`, { cause: error });
    }
  }

  /** @param {string} name @param {Values} values @returns {Held} */
  valueOf(name, values) {
    const held = values.get(name);
    if (held) return held;
    const data = this.weights.get(name), declared = this.graph.vars.get(name);
    if (!data || !declared) throw new InPageError('invalid_model', `Nothing computes "${name}"`);
    return { data, shape: declared.shape, dtype: normal(declared.dtype), known: true };
  }

  /**
   * Whether a plan may hold for the elements of a small value: they follow from shapes alone, or decide on shapes.
   * @param {string} name @param {Held} value @param {string} where the stage @returns {boolean}
   */
  counts(name, { data, known, dtype }, where) {
    return data.length <= MAX_KNOWN && ((known && dtype !== 'float32') || Boolean(this.deciding.get(where)?.has(name)));
  }

  /** What a plan depends on, as text. @param {Stage} stage @param {string} where @param {Values} values @returns {string} */
  keyOf({ reads }, where, values) {
    let key = where;
    for (const name of reads) {
      const value = this.valueOf(name, values);
      key += `|${value.shape.join('x')}`;
      if (this.counts(name, value, where)) key += `=${value.data.join()}`;
    }
    return key;
  }

  /**
   * The plan of a stage for the values it reads, made or remembered; the least used of too many goes.
   * @param {Stage} stage @param {string} where @param {Values} values
   * @returns {Prepared}
   */
  planFor(stage, where, values) {
    const key = this.keyOf(stage, where, values), remembered = this.plans.get(key);
    if (remembered) {
      this.plans.delete(key);
      this.plans.set(key, remembered);
      return remembered;
    }
    const plan = this.planOf(stage, where, values);
    const kept = [...this.plans].slice(1 - this.maxPlans);
    const entries = kept.map(([name, { plan: old }]) => /** @type {[string, Plan]} */ ([name, old]));
    return this.keep([...entries, [this.keyOf(stage, where, values), plan]]);
  }

  /** @param {Stage} stage @param {string} where @param {Values} values @returns {Plan} */
  planOf(stage, where, values) {
    return this.planWith(stage, where, values, (graph, shapes, options) => makePlan(graph, shapes, this.operators, this.weights, options));
  }

  /**
   * Plans a stage for the values it reads; where shapes turn out to depend on elements of small ones, for those too.
   * @template T
   * @param {Stage} stage @param {string} where @param {Values} values
   * @param {(graph: Graph, shapes: import('./plan.js').Shapes, options: import('./plan.js').PlanOptions) => T} make
   * @returns {T}
   */
  planWith(stage, where, values, make) {
    const held = stage.reads.map((name) => /** @type {const} */ ([name, this.valueOf(name, values)]));
    const shapes = Object.fromEntries(held.map(([name, { shape }]) => [name, [...shape]]));
    const contents = new Map(held.filter(([name, value]) => this.counts(name, value, where))
      .map(([name, { data }]) => /** @type {const} */ ([name, Array.from(data, Number)])));
    try {
      return make(this.graphOf(stage, where, values), shapes, { ...this.limits, known: contents, inner: where !== OUTERMOST });
    } catch (error) {
      if (!(error instanceof InPageError && error.cause instanceof UnknownDataError)) throw error;
      const known = this.deciding.get(where) ?? new Set(), sources = sourcesOf(stage, error.cause.value);
      const added = sources.filter((name) => !contents.has(name) && this.valueOf(name, values).data.length <= MAX_KNOWN);
      if (!added.length) throw error;
      this.deciding.set(where, new Set([...known, ...added]));
      return this.planWith(stage, where, values, make);
    }
  }

  /** One stage as a graph of its own. @param {Stage} stage @param {string} where @param {Values} values @returns {Graph} */
  graphOf({ ops, reads, writes }, where, values) {
    const declared = new Map(where === OUTERMOST ? this.graph.inputs.map((input) => [input.name, input]) : []);
    const inputs = reads.map((name) => {
      const { shape, dtype } = this.valueOf(name, values);
      return declared.get(name) ?? { name, shape, dtype };
    });
    return { vars: this.graph.vars, ops, inputs, outputs: writes.map(unknown) };
  }

  /**
   * Makes these plans the remembered ones; where memory does not suffice for all, only the last.
   * @param {[string, Plan][]} entries @returns {Prepared} of the last
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
    this.backend?.dispose();
    this.backend = null;
    this.plans.clear();
    this.weights = new Map();
  }
}

/** A value of which nothing but the name is known. @param {string} name */
const unknown = (name) => ({ name, shape: [], dtype: '' });
