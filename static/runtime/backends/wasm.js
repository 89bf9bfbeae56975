// The WASM backend: one linear memory per model, one call per run. A plan is plain data to it.
import { InPageError } from '../errors.js';
import { align, structBytes, writeStruct } from './wasm_struct.js';
import { defaultThreads, Pace, pool } from './wasm_threads.js';
import { Residents } from './wasm_weights.js';

/** @typedef {import('../plan.js').Plan} Plan */
/** @typedef {import('../plan.js').Ref} Ref */
/** @typedef {import('../plan.js').StepArg} StepArg */
/** @typedef {import('../plan.js').Weights} Weights */
/** @typedef {{plan: Plan, steps: number, inputs: number[], outputs: number[], pace: Pace|null}} Prepared addresses: of the
 *   list of steps, of inputs and outputs; pace: null where helpers would not pay */
/** @typedef {{threads?: number, stress?: boolean}} ThreadOptions threads: the calling one among them; stress: helpers
 *   always come, and take parts in changing order; for tests */

const PAGE = 65536;
const INITIAL_PAGES = 16;
const STACK = 65536; // of each helper, as build.py gives the kernels themselves
const SHARED_WORK = 4_000_000; // multiply-adds of a plan that is worth calling helpers for: some 150 us
const SPARE = 256; // bytes behind the last block that vector loads may read
const MAX_BYTES = 2 ** 31 - PAGE; // addresses are ints in the kernels
export const STEP_BYTES = 12; // as in run.c
const PART_WORK = 40_000; // multiply-adds worth handing to another thread: some 1.5 us
const MOST_THREADS = 16; // as in run.c
const MAX_PARTS = 16, ROUNDS = 4; // of a step, and for each thread: more would cost more than they even out

const HELPER_LOST = 3; // as in run.c
const NO_PART = 2 ** 30; // the first of so many parts of a step is nothing

/** What a kernel's status means. @type {Record<number, string>} */
const FAULTS = { 1: 'an index tensor holds a position outside its axis', 2: 'the boxes per picture do not add up to the boxes given' };

/**
 * @param {WebAssembly.Module} module
 * @param {Weights} weights stays the owner of the data; each is copied when a plan first needs it
 * @param {ThreadOptions} [options]
 * @returns {Promise<WasmBackend>}
 */
export async function createBackend(module, weights, { threads = defaultThreads(), stress = false } = {}) {
  const memory = newMemory(), instance = await WebAssembly.instantiate(module, { env: { memory } });
  const backend = new WasmBackend(memory, /** @type {Record<string, any>} */ (instance.exports), weights, stress);
  backend.threads = Math.min(threads, MOST_THREADS);
  if (threads > 1) backend.enlist = () => backend.enlistCrew(module, backend.threads - 1);
  if (stress) {
    backend.enlist();
    backend.summon?.();
  }
  return backend;
}

/**
 * Memory that threads can share; a device that cannot set the most aside may have less.
 * @returns {WebAssembly.Memory}
 * @throws {InPageError} out_of_memory
 */
function newMemory() {
  let cause;
  for (let pages = MAX_BYTES / PAGE; pages >= 2048; pages = Math.floor(pages / 2)) {
    try {
      return new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum: pages, shared: true });
    } catch (error) {
      cause = error;
    }
  }
  throw new InPageError('out_of_memory', 'The device refused memory for a model', { hint: 'close other tabs', cause });
}

/** Puts every kernel into the table that run() calls through. @param {Record<string, any>} exports @returns {Map<string, number>} places */
function tabulate(exports) {
  const table = exports.__indirect_function_table, names = Object.keys(exports).filter((name) => typeof exports[name] === 'function');
  const first = table.grow(names.length);
  names.forEach((name, i) => table.set(first + i, exports[name]));
  return new Map(names.map((name, i) => [name, first + i]));
}

/** Memory: the kernels' own data and stack | the helpers' stacks | weights | arena, shared by all plans | constants, structs and steps of each plan. */
export class WasmBackend {
  /** @param {WebAssembly.Memory} memory @param {Record<string, any>} kernels @param {Weights} weights @param {boolean} [stress] */
  constructor(memory, kernels, weights, stress = false) {
    this.memory = memory;
    this.kernels = kernels;
    this.places = tabulate(kernels);
    this.view = new DataView(memory.buffer);
    this.end = align(Number(kernels.__heap_base.value));
    this.residents = new Residents(this, weights);
    this.arena = this.end;
    this.arenaBytes = 0;
    /** @type {Prepared[]} */
    this.prepared = [];
    this.stress = stress;
    /** @type {Promise<number>|null} the number under which the pool knows this model, once its helpers are started */
    this.enlisted = null;
    this.crew = 0;
    /** Sets memory aside for helpers, where there may be any; runs begin without them. */
    this.enlist = () => {};
    /** Starts them, once. @type {(() => void)|null} */
    this.summon = null;
    this.stacks = 0;
    this.disposed = false;
    this.threads = 1;
    this.top = this.end; // where the memory in use ends
  }

  /** @param {WebAssembly.Module} module @param {number} helpers */
  enlistCrew(module, helpers) {
    if (this.stacks) return;
    const stacks = this.stacks = this.end;
    this.end = align(stacks + helpers * STACK);
    this.reserve(this.end);
    this.summon = () => {
      this.summon = null;
      if (this.disposed) return;
      const home = pool();
      this.enlisted = home.join(module, this.memory, stacks, STACK, helpers).then((id) => {
        if (this.disposed) home.leave(id);
        else this.crew = id;
        return id;
      });
    };
  }

  /** Lets the helpers go. */
  dispose() {
    this.disposed = true;
    if (this.crew) pool().leave(this.crew);
    this.crew = 0;
  }

  /**
   * Makes exactly these plans ready to run; in the order given.
   * @param {Plan[]} plans
   * @returns {Prepared[]}
   * @throws {InPageError} out_of_memory
   */
  prepare(plans) {
    if (plans.some(paysHelpers)) this.enlist();
    for (const plan of plans) for (const weight of plan.weights) this.residents.reside(weight);
    this.layOut(plans);
    this.residents.settle();
    return this.prepared;
  }

  /**
   * While the weights of a first plan are on their way: browsers compile a kernel when it is first called, here for a share
   * of its work that is nothing. Work would have them compile it once more, for speed, on cores that the start needs.
   * @param {Plan} plan
   * @returns {(() => void)[]}
   */
  rehearsal(plan) {
    if (paysHelpers(plan)) this.enlist();
    for (const weight of plan.weights) this.residents.house(weight);
    const [{ steps }] = this.layOut([plan]);
    return this.empty(plan, steps);
  }

  /** Calls of its kernels for no work. @param {Plan} plan @param {number} steps @returns {(() => void)[]} */
  empty(plan, steps) {
    const first = new Map(plan.steps.map(({ kernel, work }, i) => [work ? kernel : '', i]));
    first.delete(''); // those that cannot be divided
    return [...first].map(([kernel, i]) => () => this.kernels[kernel](this.view.getUint32(steps + i * STEP_BYTES + 4, true), 0, NO_PART));
  }

  /** Behind the weights: what the plans need besides. @param {Plan[]} plans @returns {Prepared[]} */
  layOut(plans) {
    this.arena = this.end;
    this.arenaBytes = Math.max(0, ...plans.map((plan) => align(plan.arenaBytes)));
    let at = this.arena + this.arenaBytes;
    this.prepared = plans.map((plan) => {
      const data = at, sizes = plan.steps.map((step) => structBytes(step.args)), structs = align(data + plan.data.length);
      const steps = align(structs + sizes.reduce((sum, size) => sum + size, 0));
      at = align(steps + plan.steps.length * STEP_BYTES);
      this.reserve(at);
      new Uint8Array(this.memory.buffer).set(plan.data, data);
      return this.write(plan, data, structs, sizes, steps);
    });
    this.reserve(at);
    this.top = at;
    return this.prepared;
  }

  /**
   * @param {Plan} plan @param {number} data @param {number} structs @param {number[]} sizes @param {number} steps
   * @returns {Prepared}
   */
  write(plan, data, structs, sizes, steps) {
    const address = (/** @type {Ref} */ ref) => this.address(ref, data);
    let at = structs;
    plan.steps.forEach(({ kernel, args, work }, i) => {
      const parts = this.partsOf(work), step = steps + i * STEP_BYTES;
      [this.placeOf(kernel), at, parts].forEach((word, k) => this.view.setUint32(step + 4 * k, word, true));
      writeStruct(this.view, at, args, address);
      at += sizes[i];
    });
    return { plan, steps, pace: paysHelpers(plan) ? new Pace() : null, inputs: plan.inputs.map((port) => address(port.at)), outputs: plan.outputs.map((port) => address(port.at)) };
  }

  /**
   * Into how many parts a step is divided: as many for each thread, where every part is worth it.
   * @param {number} work @returns {number}
   */
  partsOf(work) {
    if (this.stress) return Math.min(Math.max(Math.floor(work), 1), MAX_PARTS);
    const most = Math.floor(Math.min(work / PART_WORK, MAX_PARTS, ROUNDS * this.threads));
    return most <= this.threads ? Math.max(most, 1) : most - most % this.threads;
  }

  /** @param {string} kernel @returns {number} */
  placeOf(kernel) {
    const place = this.places.get(kernel);
    if (place === undefined) throw new InPageError('no_backend', `The kernels have no "${kernel}"`, { hint: 'build them again: they are older than this runtime' });
    return place;
  }

  /** @param {Ref} ref @param {number} data start of the plan's constants @returns {number} */
  address(ref, data) {
    if ('arena' in ref) return this.arena + ref.arena;
    if ('data' in ref) return data + ref.data;
    return this.residents.address(ref.weight) + ref.offset;
  }

  /** Grows memory to hold `end` bytes and some spare. @param {number} end */
  reserve(end) {
    const missing = end + SPARE - this.memory.buffer.byteLength;
    if (missing <= 0) return;
    try {
      if (end > MAX_BYTES) throw new RangeError('past the addresses of the kernels');
      this.memory.grow(Math.ceil(missing / PAGE));
    } catch (error) {
      throw new InPageError('out_of_memory', `The device refused ${Math.ceil(end / 2 ** 20)} MB for the model`, {
        hint: 'close other tabs, use a smaller input, or dispose models that are not needed', cause: error,
      });
    }
    this.view = new DataView(this.memory.buffer);
  }

  /**
   * @param {Prepared} prepared
   * @param {ArrayBufferView[]} feeds in order of the plan's inputs, of the right size
   * @param {ArrayBufferView[]} results in order of the outputs; filled
   */
  run({ plan, steps, inputs, outputs, pace }, feeds, results) {
    const bytes = new Uint8Array(this.memory.buffer);
    for (let i = 0; i < feeds.length; i++) bytes.set(new Uint8Array(feeds[i].buffer, feeds[i].byteOffset, feeds[i].byteLength), inputs[i]);
    const fault = this.crew && (pace || this.stress) ? this.runShared(steps, plan.steps.length, pace) : this.kernels.run(steps, plan.steps.length, 1);
    const status = fault & 255;
    if (status === HELPER_LOST) {
      this.dispose(); // of its helpers: from now on it computes alone
      throw new InPageError('worker_lost', 'A helper thread of the model broke off', { where: plan.steps[fault >> 8].where, hint: 'run it again' });
    }
    if (status) {
      const { where } = plan.steps[fault >> 8];
      throw new InPageError('invalid_input', FAULTS[status] ?? `a kernel failed with status ${status}`, { where });
    }
    for (let i = 0; i < results.length; i++) {
      const { buffer, byteOffset, byteLength } = results[i];
      new Uint8Array(buffer, byteOffset, byteLength).set(bytes.subarray(outputs[i], outputs[i] + byteLength));
    }
    if (this.summon) setTimeout(() => this.summon?.()); // a worker's start takes a core's time: after the first answer
  }

  /** @param {number} steps @param {number} n @param {Pace|null} pace @returns {number} as run() of run.c */
  runShared(steps, n, pace) {
    const helped = this.stress || !pace || pace.withHelpers(), start_ms = performance.now();
    if (helped) {
      this.kernels.begin(this.threads, this.stress ? 1 + Math.floor(Math.random() * 2 ** 30) : 0);
      pool().call(this.crew);
    }
    try {
      return this.kernels.run(steps, n, helped ? 0 : 1);
    } catch (error) {
      if (helped) { // in the middle of a step: its helpers leave, and never come to another run of this model
        this.kernels.run(steps, 0, 0);
        this.dispose();
      }
      throw error;
    } finally {
      pace?.note(helped, performance.now() - start_ms);
    }
  }

  /** Fills the arena with NaN, so that a test sees who reads what nobody wrote. */
  poison() {
    new Float32Array(this.memory.buffer, this.arena, this.arenaBytes / 4).fill(NaN);
  }
}

/** Whether helpers would pay. @param {Plan} plan */
const paysHelpers = ({ steps }) => steps.reduce((sum, { work }) => sum + (work >= 2 * PART_WORK ? work : 0), 0) >= SHARED_WORK;
