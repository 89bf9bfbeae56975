// Helper threads of the WASM backend: one pool for all models of a page, gone with the last of them.
//
// Helpers sleep in their own loop (wasm_helper.js) on a few shared words. A run names its model and rings; whoever wakes
// in time helps in that model's memory until the run ends (wasm/run.c). Nobody waits for a helper to arrive.

/**
 * @typedef {object} Worker a web worker or one of Node's
 * @property {(message: any) => void} postMessage
 * @property {() => void} terminate
 */

/** Words that the pool and its helpers share. */
export const BELL = 0, MAIL = 1, MODEL = 2, PRESENT = 3, WORDS = 4;
const SCRIPT = new URL('./wasm_helper.js', import.meta.url);
const MOST_THREADS = 8;

/** Whether this is Node. */
const IN_NODE = typeof process === 'object' && Boolean(process.versions?.node);

/**
 * As many threads as fit this device: one on the thread of a page, which must not wait, and where memory cannot be
 * shared. Above four cores about half, as many of them are slow or halves of others.
 * @returns {number} the calling thread among them
 */
export function defaultThreads() {
  const mayWait = typeof document === 'undefined', cores = globalThis.navigator?.hardwareConcurrency ?? 1;
  if (IN_NODE || !mayWait || !globalThis.crossOriginIsolated || typeof Worker !== 'function') return 1;
  return cores <= 4 ? cores : Math.min(Math.max(4, cores >> 1), MOST_THREADS);
}

/** @returns {Promise<Worker|null>} null where the device refuses */
async function spawn() {
  try {
    if (!IN_NODE) return new globalThis.Worker(SCRIPT, { type: 'module', name: 'inpage-helper' });
    const threads = await import('node:worker_threads'), worker = new threads.Worker(SCRIPT);
    worker.unref();
    return worker;
  } catch {
    return null; // a device without more workers computes with one thread
  }
}

class Pool {
  constructor() {
    this.words = new Int32Array(new SharedArrayBuffer(4 * WORDS));
    /** @type {Worker[]} */
    this.workers = [];
    /** @type {Map<number, object>} what helpers must know of each model, by number */
    this.models = new Map();
    this.lastModel = 0;
    this.wanted = 0;
  }

  /**
   * @param {WebAssembly.Module} module @param {WebAssembly.Memory} memory shared
   * @param {number} stacks start of the helpers' stacks, one after another @param {number} stackBytes of each
   * @param {number} helpers
   * @returns {Promise<number>} the model's number, once its helpers are there
   */
  async join(module, memory, stacks, stackBytes, helpers) {
    const id = ++this.lastModel, entry = { id, module, memory, stacks, stackBytes, helpers };
    this.models.set(id, entry);
    this.tell(entry);
    while (this.wanted < helpers && this.models.size) {
      const place = this.wanted++, worker = await spawn();
      if (!worker) break;
      worker.postMessage({ words: this.words, place, models: [...this.models.values()], mail: Atomics.load(this.words, MAIL) });
      this.workers.push(worker);
    }
    if (!this.models.size) this.close();
    return id;
  }

  /** @param {object} message */
  tell(message) {
    for (const worker of this.workers) worker.postMessage(message);
    Atomics.add(this.words, MAIL, 1);
    this.ring();
  }

  ring() {
    Atomics.add(this.words, BELL, 1);
    Atomics.notify(this.words, BELL);
  }

  /** Calls the helpers to a run of a model. @param {number} id */
  call(id) {
    Atomics.store(this.words, MODEL, id);
    this.ring();
  }

  /** @param {number} id */
  leave(id) {
    this.models.delete(id);
    if (this.models.size) this.tell({ gone: id });
    else this.close();
  }

  close() {
    for (const worker of this.workers) worker.terminate();
    if (shared === this) shared = null;
  }
}

/** @type {Pool|null} */
let shared = null;

/** The pool of this page or worker. @returns {Pool} */
export function pool() {
  shared ??= new Pool();
  return shared;
}

const LEARN = 3, STEADY = 100, LONG = 1000; // runs with helpers before they are judged, called steady, and compared anew
const SHORTEST = 16, LONGEST = 256; // runs of a pause
const WEIGHT = 0.25, WILD = 1.5; // of a time in its mean; by how much one time may exceed that

/**
 * Which of two ways to run is the faster one now. Helpers that share their cores with other work hold a run up, and only
 * the clock tells: as soon as they do, runs go without them, and they are tried again after pauses that grow while they fail soon.
 * A way that is tried again is judged by a few runs, since threads that have slept long begin on whatever core is theirs.
 */
export class Pace {
  constructor() {
    this.means_ms = [Infinity, Infinity]; // alone, with helpers
    this.way = 0; // 1 with helpers
    this.runs = 0; // this way
    this.limit = LEARN; // of those, before the other way is looked at
    this.pause = SHORTEST / 2; // the last one
    this.spell = SHORTEST; // runs with helpers before the last comparison
    this.learning = true;
  }

  /** @returns {boolean} whether to call helpers */
  withHelpers() {
    return this.way === 1;
  }

  /** @param {boolean} helped @param {number} ms */
  note(helped, ms) {
    const i = helped ? 1 : 0, mean = this.means_ms[i], tame_ms = Math.min(ms, WILD * mean);
    if (this.learning) this.means_ms[0] = Math.min(ms, mean); // the code was new to the browser in the others
    else this.means_ms[i] = this.runs ? mean + WEIGHT * (tame_ms - mean) : tame_ms;
    this.runs++;
    if (helped && this.runs >= LEARN && this.means_ms[1] > this.means_ms[0]) {
      this.pause = this.runs < STEADY ? Math.min(2 * this.pause, LONGEST) : SHORTEST;
      this.turn(0, this.pause);
    } else if (this.runs >= this.limit) {
      if (!helped) this.spell = Math.min(2 * this.spell, LONG);
      this.turn(1 - i, helped ? 1 : this.spell);
    }
  }

  /** @param {number} way @param {number} limit */
  turn(way, limit) {
    this.way = way;
    this.limit = limit;
    this.runs = 0;
    this.learning = false;
  }
}
