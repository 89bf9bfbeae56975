// A model on a GPU: plans by input shapes, WASM for what stays on the host, a new device where one is lost.
import { createBackend } from '../backends/wasm.js';
import { MAX_KNOWN } from '../early.js';
import { refuse } from '../engine.js';
import { InPageError } from '../errors.js';
import { loadOperators } from '../ops/index.js';
import { count } from '../ops/node.js';
import { opsOf, problemsOfGraph } from '../plan.js';
import { checkFeeds } from '../tensor.js';
import { tablesOf } from '../preprocess.js';
import { WasmEngine } from '../wasm_engine.js';
import { feedOf, heldOf, onGpuAlone, PictureFeed } from './pictures.js';
import { makeGpuPlan } from './plan.js';
import { brokenKinds } from './selftest.js';

/** @typedef {import('../plan.js').Graph} Graph */
/** @typedef {import('../plan.js').Weights} Weights */
/** @typedef {import('../tensor.js').Tensor} Tensor */
/** @typedef {import('../wasm_engine.js').Stage} Stage */
/** @typedef {import('../wasm_engine.js').Values} Values */
/** @typedef {import('./step.js').Backend} Backend */
/** @typedef {import('./step.js').Prepared} Prepared */
/** @typedef {ReturnType<typeof makeGpuPlan>} GpuPlan */
/** @typedef {{plan: GpuPlan, prepared: Prepared, backend: Backend}} Entry */
/**
 * @typedef {object} GpuOptions
 * @property {WebAssembly.Module} wasm kernels for what stays on the host
 * @property {(precision: 'float32'|'float16') => Promise<Backend>} open a device; called again when it is lost
 * @property {'float32'|'float16'} [precision]
 * @property {number} [maxArenaBytes]
 */

const MAX_PLANS = 4; // per stage
const MAX_RETRIES = 2; // of one frame, each on a new device
const IN_FLIGHT = 8; // frames that the GPU may have at a time

/**
 * @param {Graph} graph
 * @param {Weights} weights by name; must not change while the engine lives
 * @param {GpuOptions} options
 * @throws {InPageError} unsupported, no_backend
 */
export async function createGpuEngine(graph, weights, { wasm, open, precision = 'float32', maxArenaBytes }) {
  const operators = await loadOperators(opsOf(graph).map((op) => op.type));
  refuse(problemsOfGraph(graph, operators));
  const [host, backend] = await Promise.all([createBackend(wasm, weights), open(precision)]);
  return new GpuEngine(graph, new WasmEngine(graph, weights, operators, host, { maxArenaBytes, poison: false }), backend, open, wasm);
}

export class GpuEngine {
  /** @param {Graph} graph @param {WasmEngine} host @param {Backend} backend @param {GpuOptions['open']} open @param {WebAssembly.Module} wasm */
  constructor(graph, host, backend, open, wasm) {
    this.graph = graph;
    this.wasm = wasm;
    this.host = host;
    /** @type {Backend|null} */
    this.device = backend;
    this.open = open;
    this.backend = backend.name;
    this.precision = backend.precision;
    /** @type {Map<string, Promise<Entry>>} by stage and shapes of what it reads, the latest used last */
    this.plans = new Map();
    this.maxPlans = MAX_PLANS * host.main.length;
    /** @type {Map<Promise<Entry>, number>} how many runs are using each plan */
    this.users = new Map();
    /** @type {Promise<Backend>|null} a new device on its way */
    this.reopening = null;
    /** @type {Promise<unknown>} plans of several segments run one at a time: values wait between their segments */
    this.turn = Promise.resolve();
    this.inFlight = 0;
    this.made = false; // whether there was a plan
    /** @type {(() => void)[]} callers that may feed the next frame once there is room */
    this.queue = [];
    /** @type {Set<string>} inputs of which all plans so far let the GPU alone look at the elements */
    this.picturesOnly = new Set();
    /** What came of the check at load. @type {import('./check.js').Numerics|null} */
    this.numerics = null;
  }

  /**
   * A picture for a later run, as it is now, if the GPU alone looks at that input.
   * @param {string} name of the input @param {any} source drawable, or pixels @param {{width: number, height: number}} size
   * @param {import('../preprocess.js').PreprocessSpec} spec
   * @returns {PictureFeed|null} null: the host has to make a tensor of it
   */
  capture(name, source, size, spec) {
    const { main } = this.host, { device } = this;
    if (!device?.capture || main.length !== 1 || main[0].hosts.length || !this.picturesOnly.has(name)) return null;
    const { shape } = tablesOf(spec, size);
    if (count(shape) <= MAX_KNOWN) return null; // shapes might depend on its numbers
    const picture = device.capture(source, size);
    return picture && new PictureFeed(picture, spec, shape, device);
  }

  /** @returns {{bytes: number}} on the device and in the host's linear memory */
  memory() {
    return { bytes: this.host.bytes + (this.device?.memory().bytes ?? 0) };
  }

  /**
   * @param {Record<string, Tensor>} feeds
   * @param {() => void} [onSent] called when the next frame may be given: its memory is not looked at any more, and the
   *   GPU has room; not called where the run fails before that
   * @returns {Promise<Record<string, Tensor>>} fresh outputs, in the order of the calls
   */
  async run(feeds, onSent = () => {}) {
    this.host.alive();
    checkFeeds(this.graph.inputs, feeds);
    this.inFlight++;
    try {
      return await this.persist(feeds, onSent);
    } finally {
      this.inFlight--;
      this.queue.shift()?.();
    }
  }

  /**
   * Runs once, if these feeds suit the model, so that plans are made and programs compiled.
   * @param {Record<string, Tensor>} feeds
   */
  async warm(feeds) {
    try {
      await this.run(feeds);
    } catch (error) {
      if (!(error instanceof InPageError) || error.code !== 'invalid_input') throw error; // sizes were guessed
    }
  }

  /** On a new device where one is lost. @param {Record<string, Tensor>} feeds @param {() => void} onSent @returns {Promise<Record<string, Tensor>>} */
  async persist(feeds, onSent) {
    for (let attempt = 0; ; attempt++) {
      const { device } = this;
      if (Object.values(feeds).some((feed) => feed instanceof PictureFeed && feed.device !== device)) {
        throw new InPageError('device_lost', 'The GPU was lost, and a picture with it', { hint: 'give the picture again' });
      }
      try {
        return await this.attempt(feeds, onSent);
      } catch (error) {
        const lost = error instanceof InPageError && error.code === 'device_lost';
        if (!lost || attempt === MAX_RETRIES || !this.host.backend) throw error;
        if (device === this.device) await this.reopen();
      }
    }
  }

  /** @param {Record<string, Tensor>} feeds @param {() => void} onSent @returns {Promise<Record<string, Tensor>>} */
  async attempt(feeds, onSent) {
    const { graph, host } = this;
    /** @type {Values} */
    const values = new Map();
    for (const { name, dtype } of graph.inputs) values.set(name, heldOf(feeds[name], dtype));
    for (const [i, stage] of host.main.entries()) {
      const only = host.main.length === 1 && !stage.hosts.length;
      if (stage.writes.length) await this.runPlanned(stage, `main ${i}`, values, only ? onSent : () => {});
      for (const op of stage.hosts) host.runHost(op, values);
    }
    return host.resultsOf(values, feeds);
  }

  /**
   * @param {Stage} stage @param {string} where @param {Values} values extended by what the stage writes
   * @param {() => void} [onSent]
   */
  async runPlanned(stage, where, values, onSent = () => {}) {
    const found = await this.planFor(stage, where, values);
    try {
      await this.runEntry(await found.entry, where, values, onSent);
    } finally {
      found.leave();
    }
  }

  /** @param {Entry} entry @param {string} where @param {Values} values @param {() => void} onSent */
  async runEntry(entry, where, values, onSent) {
    for (const { name, ...held } of entry.plan.known) if (!values.has(name)) values.set(name, { ...held, known: true });
    if (entry.plan.segments.length === 1) return this.runSegments(entry, where, values, onSent);
    const before = this.turn;
    const mine = (async () => {
      await before;
      await this.runSegments(entry, where, values);
    })();
    this.turn = mine.catch(() => {}); // whoever waits has its own failure
    return mine;
  }

  /** @param {Entry} entry @param {string} where @param {Values} values @param {() => void} [onSent] */
  async runSegments({ plan, prepared, backend }, where, values, onSent = () => {}) {
    for (const [i, segment] of plan.segments.entries()) {
      if (segment.on === 'wasm') {
        const picture = segment.stage.reads.find((name) => 'feed' in this.host.valueOf(name, values));
        if (picture) throw new InPageError('unsupported', `The host needs the numbers of "${picture}", which is a picture on the GPU`, { hint: 'feed a tensor' });
        this.host.runPlanned(segment.stage, `${where}/${i}`, values);
        continue;
      }
      const feeds = segment.uploads.map(({ name }) => feedOf(name, values, this.host));
      const answer = backend.run(prepared, i, feeds);
      if (this.inFlight < IN_FLIGHT) onSent();
      else this.queue.push(onSent);
      const results = await answer;
      segment.downloads.forEach(({ name, shape }, k) => {
        values.set(name, { data: results[k], shape, dtype: 'float32', known: false });
      });
    }
  }

  /**
   * The plan of a stage for the values it reads, made or remembered; it stays until its users have left.
   * @param {Stage} stage @param {string} where @param {Values} values
   * @returns {Promise<{entry: Promise<Entry>, leave: () => void}>}
   */
  async planFor(stage, where, values) {
    const { host } = this, backend = await this.ready(), key = host.keyOf(stage, where, values);
    const entry = this.plans.get(key) ?? this.makePlan(stage, where, values, backend), latest = host.keyOf(stage, where, values);
    this.plans.delete(latest);
    this.plans.set(latest, entry);
    this.users.set(entry, (this.users.get(entry) ?? 0) + 1);
    for (const [name, old] of [...this.plans].slice(0, -this.maxPlans)) {
      this.plans.delete(name);
      this.retire(old);
    }
    return {
      entry,
      leave: () => {
        this.users.set(entry, (this.users.get(entry) ?? 1) - 1);
        this.retire(entry);
      },
    };
  }

  /**
   * Kinds of steps that the driver computes otherwise than WASM does stay on the host.
   * @param {Stage} stage @param {string} where @param {Values} values @param {Backend} backend @returns {Promise<Entry>}
   */
  makePlan(stage, where, values, backend) {
    const { host } = this;
    const draw = (/** @type {Set<string>} */ broken) => host.planWith(stage, where, values, (graph, shapes, options) => (
      makeGpuPlan(graph, shapes, host.operators, host.weights, options, {
        maxInputs: backend.maxInputs,
        supports: (step) => (broken.has(step.kind) ? 'this GPU computes it wrongly' : backend.supports(step)),
      })));
    const first = draw(new Set()), kinds = first.segments.flatMap((segment) => (segment.on === 'gpu' ? segment.steps.map(({ kind }) => kind) : []));
    const entry = (async () => {
      const [broken, ready] = await Promise.all([brokenKinds(backend, kinds, this.wasm), backend.prepare(first)]);
      const plan = broken.size ? draw(broken) : first, pieces = host.main.length + plan.segments.length;
      if (broken.size) backend.release(ready);
      host.maxPlans = Math.max(host.maxPlans, MAX_PLANS * pieces); // segments on the host are stages to it
      this.picturesOnly = new Set(this.graph.inputs.map(({ name }) => name).filter((name) => onGpuAlone(plan, name) && (!this.made || this.picturesOnly.has(name))));
      this.made = true;
      return { plan, prepared: broken.size ? await backend.prepare(plan) : ready, backend };
    })();
    entry.catch(() => { // the next run tries again
      for (const [key, held] of this.plans) if (held === entry) this.plans.delete(key);
      this.users.delete(entry);
    });
    return entry;
  }

  /** Frees a plan that is neither used nor remembered. @param {Promise<Entry>} entry */
  retire(entry) {
    if ((this.users.get(entry) ?? 0) > 0 || [...this.plans.values()].includes(entry)) return;
    this.users.delete(entry);
    entry.then(({ backend, prepared }) => backend === this.device && backend.release(prepared), () => {}); // a plan that failed holds nothing
  }

  /** @returns {Promise<Backend>} */
  async ready() {
    if (this.reopening) await this.reopening;
    this.host.alive();
    return /** @type {Backend} */ (this.device);
  }

  /** A new device after one is lost; all plans are made again. @returns {Promise<Backend>} */
  reopen() {
    this.device?.dispose();
    this.plans.clear();
    this.reopening ??= this.open(this.precision).then((backend) => {
      this.device = backend;
      if (!this.host.backend) backend.dispose(); // disposed meanwhile
      return backend;
    }).finally(() => {
      this.reopening = null;
    });
    return this.reopening;
  }

  /** Runs once, timing every step. @param {Record<string, Tensor>} feeds @returns {Promise<import('../index.js').StepTime[]>} */
  async profile(feeds) {
    const { profileEngine } = await import('./profile.js');
    return profileEngine(this, feeds);
  }

  dispose() {
    this.host.dispose();
    this.plans.clear();
    this.device?.dispose();
    this.device = null;
  }
}
