// A model on the first backend that answers here, which moves to a faster one, or away from one that fails or grows slow.
import { candidates, chooseBackend, inHardware } from './choose.js';
import { InPageError, asInPageError, throwIfAborted } from './errors.js';
import { load } from './index.js';
import { Memory, measure, quantile } from './measure.js';

/** @typedef {import('./choose.js').Backend} Backend */
/** @typedef {import('./index.js').LoadOptions} LoadOptions */
/** @typedef {import('./index.js').Model} Model */
/** @typedef {import('./index.js').Feeds} Feeds */
/** @typedef {import('./measure.js').Measured} Measured */
/**
 * @typedef {object} Tools tests put their own in
 * @property {(address: string|URL, options: LoadOptions) => Promise<Model>} load
 * @property {() => Backend[]} candidates
 * @property {(backend: Backend) => Promise<boolean>} inHardware whether it would not be computed by the processor after all
 * @property {(model: Model) => Promise<number>} measure
 * @property {Memory} memory
 * @property {() => number} now
 */

/** A backend this fast needs no rival: another would only be fetched and compiled for nothing. */
const ENOUGH_MS = 33;
/** After so many runs, the first one aside, it is known whether a backend is fast enough. */
const EARLY = 4;
const SLOW_MS = 500;
/** p95 is looked at over the last runs, once there are enough of them. */
const WINDOW = 40;
const FEWEST = 20;
/** A backend is changed only for one that promises this share of the present p95, or less. */
const WORTH_IT = 0.8;
/** After these a backend is given up; anything else is the call's own failure. */
const FATAL = new Set(['no_backend', 'out_of_memory', 'worker_lost', 'device_lost', 'unsupported', 'invalid_model']);

/** What was measured in this visit. @type {Memory|undefined} */
let visit;

/** @returns {Tools} */
function ownTools() {
  visit ??= new Memory();
  return { load, candidates, inHardware, measure, memory: visit, now: () => performance.now() };
}

/**
 * Loads a model where it soonest works, or where this visit found it fastest. If its first runs are not fast enough, the
 * other backends are loaded and measured beside it, and it moves to a faster one. With `enough_ms: 0` all are measured
 * first, even graphics in software.
 * @param {string|URL} address
 * @param {LoadOptions} options
 * @param {Tools} [tools]
 * @returns {Promise<WatchedModel>}
 * @throws {InPageError} of the first backend, where none works; no_backend
 */
export async function loadWatched(address, options, tools = ownTools()) {
  const names = tools.candidates();
  if (!names.length) chooseBackend(); // throws: it says what the browser lacks
  const key = String(address);
  const known = tools.memory.recall(key)?.filter(({ backend }) => names.includes(backend));
  for (const { backend } of known?.filter(({ ms }) => ms < Infinity) ?? []) {
    const model = await tools.load(address, { ...options, backend }).catch(orNull);
    if (model) return new WatchedModel(address, options, tools, model, known ?? []);
  }
  const all = options.enough_ms === 0, { model, measured } = await fastest(address, options, all ? tools : { ...tools, measure: async () => 0 }, names);
  if (!all) return new WatchedModel(address, options, tools, model, measured.filter(({ ms }) => ms === Infinity), names.length > 1);
  if (names.length > 1) tools.memory.keep(key, measured);
  return new WatchedModel(address, options, tools, model, measured);
}

/** A backend's failure, which another may make good; whatever concerns every backend is thrown. @param {unknown} thrown @returns {null} */
function orNull(thrown) {
  if (thrown instanceof InPageError && FATAL.has(thrown.code)) return null;
  throw thrown;
}

/**
 * @param {string|URL} address @param {LoadOptions} options @param {Tools} tools @param {Backend[]} names
 * @returns {Promise<{model: Model, measured: Measured[]}>} measured: the fastest first
 */
async function fastest(address, options, tools, names) {
  const { enough_ms = ENOUGH_MS } = options;
  /** @type {Measured[]} */
  const measured = [];
  /** @type {{model: Model, ms: number}|null} */
  let best = null;
  /** @type {InPageError|null} */
  let failure = null;
  for (const backend of names) {
    throwIfAborted(options.signal, 'load()');
    if (enough_ms > 0 && best && !(await tools.inHardware(backend))) continue;
    /** @type {Model|null} */
    let model = null;
    try {
      // Progress is told once, for the backend that is tried first: the next one finds the weights in the cache.
      model = await tools.load(address, { ...options, backend, onProgress: measured.length ? undefined : options.onProgress });
      const ms = names.length === 1 ? 0 : await tools.measure(model);
      measured.push({ backend, ms });
      if (best && best.ms <= ms) {
        await model.dispose();
        continue;
      }
      await best?.model.dispose();
      best = { model, ms };
    } catch (thrown) {
      await model?.dispose();
      const error = asInPageError(thrown, 'no_backend', { where: backend });
      if (!FATAL.has(error.code) && !model) {
        await best?.model.dispose();
        throw error;
      }
      failure ??= error;
      measured.push({ backend, ms: Infinity, problem: error.message });
    }
    if (best && best.ms <= enough_ms) break;
  }
  if (!best) throw failure;
  return { model: best.model, measured: measured.sort((a, b) => a.ms - b.ms) };
}

/** The public face's Model, on one backend at a time. */
export class WatchedModel {
  /**
   * @param {string|URL} address @param {LoadOptions} options @param {Tools} tools
   * @param {Model} model @param {Measured[]} measured the fastest first @param {boolean} [curious] there may be a faster one
   */
  constructor(address, options, tools, model, measured, curious = false) {
    this.address = address;
    this.options = options;
    this.tools = tools;
    this.model = model;
    this.measured = measured;
    /** Backends that do not work here. @type {Set<string>} */
    this.failed = new Set(measured.filter(({ ms }) => ms === Infinity).map(({ backend }) => backend));
    /** What was seen of the backends that were left for their slowness: p95. @type {Map<string, number>} */
    this.seen = new Map();
    /** @type {number[]} the last runs, in milliseconds */
    this.times = [];
    this.curious = curious;
    this.told = false;
    this.disposed = false;
    /** @type {Promise<void>|null} */
    this.seeking = null;
    /** Another backend has the runs for a while: the one before it, and who waits for the median. @type {{present: Model, end: (ms: number) => void}|null} */
    this.trial = null;
    /** @type {Promise<boolean>|null} */
    this.moving = null;
  }

  get name() { return this.model.name; }
  get inputs() { return this.model.inputs; }
  get outputs() { return this.model.outputs; }
  get labels() { return this.model.labels; }
  get preprocess() { return this.model.preprocess; }
  get postprocess() { return this.model.postprocess; }
  get precision() { return this.model.precision; }
  get backend() { return this.model.backend; }
  get numerics() { return this.model.numerics; }
  get profile() { return this.model.profile?.bind(this.model); }

  /** @returns {{bytes: number}} */
  memory() { return this.model.memory(); }

  /** 95 of 100 of the last runs took no longer; NaN before there are enough. @returns {number} milliseconds */
  p95() { return this.times.length < FEWEST ? NaN : quantile(this.times, 0.95); }

  /**
   * @param {Feeds} feeds
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<Record<string, import('./tensor.js').Tensor>>}
   * @throws {InPageError} of the last backend that could be tried
   */
  async run(feeds, options) {
    const { model } = this, start = this.tools.now();
    try {
      const outputs = await model.run(feeds, options);
      if (model === this.model) this.note(this.tools.now() - start);
      return outputs;
    } catch (thrown) {
      const replaced = thrown instanceof InPageError && thrown.code === 'disposed' && model !== this.model;
      const fatal = thrown instanceof InPageError && FATAL.has(thrown.code);
      if (this.disposed || !(replaced || (fatal && await this.move(model, true)))) throw thrown;
      return this.run(feeds, options);
    }
  }

  /** @param {number} ms */
  note(ms) {
    this.times.push(ms);
    if (this.times.length > WINDOW) this.times.shift();
    if (this.times.length > EARLY && (this.curious || this.trial)) {
      const median = quantile(this.times.slice(1), 0.5);
      if (this.trial) this.trial.end(median);
      else if (median > (this.options.enough_ms ?? ENOUGH_MS)) {
        this.seeking = this.seek(median).catch(() => {}).finally(() => { this.seeking = null; }); // where it fails, the present one stays
      }
      this.curious = false;
    }
    const p95 = this.p95();
    if (this.seeking || !(p95 > (this.options.slow_ms ?? SLOW_MS))) return;
    this.seen.set(this.backend, p95);
    if (this.next().length) this.move(this.model, false).catch(() => {}); // the present one stays, and is watched on
    else if (!this.told) {
      this.told = true;
      this.options.onSlow?.({ backend: this.backend, p95_ms: p95 });
    }
  }

  /**
   * Lets the others have a few runs each, once they are loaded beside the present one, and stays with the fastest.
   * @param {number} ms of the present one's runs
   */
  async seek(ms) {
    const { signal, onProgress, ...options } = this.options, { enough_ms = ENOUGH_MS } = options;
    /** @type {Measured[]} */
    const measured = [{ backend: /** @type {Backend} */ (this.backend), ms }];
    for (const backend of this.tools.candidates()) {
      if (this.disposed || this.moving) return;
      if (backend === this.backend || this.failed.has(backend) || !(await this.tools.inHardware(backend))) continue;
      const rival = await this.tools.load(this.address, { ...options, backend }).catch(orNull);
      const found = rival ? await this.tryOut(rival, WORTH_IT * ms) : Infinity;
      if (found === Infinity) this.failed.add(backend);
      measured.push({ backend, ms: found });
      if (this.backend === backend) ms = found;
      if (ms <= enough_ms) break;
    }
    this.measured = measured.sort((a, b) => a.ms - b.ms);
    this.tools.memory.keep(String(this.address), this.measured);
  }

  /**
   * Gives a model the next runs, and all after them if it needs less than `most` for one.
   * @param {Model} rival @param {number} most milliseconds
   * @returns {Promise<number>} its median; Infinity where it fails; NaN where there was no time for it
   */
  async tryOut(rival, most) {
    const present = this.model, late = this.disposed || this.moving !== null;
    /** @type {number} */
    const ms = late ? NaN : await new Promise((end) => {
      this.trial = { present, end };
      this.model = rival;
      this.times = [];
    });
    this.trial = null;
    if (!late) {
      this.times = [];
      this.model = ms < most ? rival : present;
    }
    await (ms < most ? present : rival).dispose();
    return ms;
  }

  /** What to expect of a backend: seen, else measured; 0 for one that was never tried. @param {Backend} backend */
  expected(backend) {
    return this.seen.get(backend) ?? this.measured.find((entry) => entry.backend === backend)?.ms ?? 0;
  }

  /** The backends that could take over, the most promising first; of a slow one only for a faster. @returns {Backend[]} */
  next() {
    const most = this.failed.has(this.backend) ? Infinity : WORTH_IT * this.p95();
    return this.tools.candidates()
      .filter((name) => name !== this.backend && !this.failed.has(name) && this.expected(name) < most)
      .sort((a, b) => (this.expected(a) || Infinity) - (this.expected(b) || Infinity));
  }

  /**
   * Leaves a model for the next backend; who asks meanwhile waits for the same move.
   * @param {Model} from @param {boolean} broken it cannot be used any more
   * @returns {Promise<boolean>} whether another backend took over
   */
  move(from, broken) {
    if (from !== this.model) return Promise.resolve(true);
    if (broken) this.failed.add(from.backend);
    if (broken && this.trial) {
      this.model = this.trial.present;
      this.trial.end(Infinity);
      return Promise.resolve(true);
    }
    this.moving ??= this.moveOn(from).finally(() => { this.moving = null; });
    return this.moving;
  }

  /** @param {Model} from @returns {Promise<boolean>} */
  async moveOn(from) {
    const { signal, onProgress, ...options } = this.options; // both were for loading
    const broken = this.failed.has(from.backend);
    for (const backend of this.next()) {
      if (!broken && !(await this.tools.inHardware(backend))) {
        this.failed.add(backend); // a slow processor does not get faster by drawing
        continue;
      }
      const model = await this.tools.load(this.address, { ...options, backend }).catch(orNull);
      if (!model) {
        this.failed.add(backend);
        continue;
      }
      if (this.disposed) {
        await model.dispose();
        return false;
      }
      this.model = model;
      this.times = [];
      await from.dispose();
      return true;
    }
    return false;
  }

  /** @returns {Promise<void>} */
  async dispose() {
    if (this.disposed) return;
    this.disposed = true;
    this.trial?.end(NaN);
    await Promise.all([this.moving?.catch(() => {}), this.seeking]);
    await this.model.dispose();
  }
}
