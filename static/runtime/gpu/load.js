// A GPU for a model that is being loaded: the device opens while the bundle is on its way.
import { InPageError } from '../errors.js';
import { checkFeedsOf, compare, TOLERANCE } from './check.js';
import { createGpuEngine } from './engine.js';
import { parseCheck, storedError } from './stored.js';

/** @typedef {import('./engine.js').GpuEngine} GpuEngine */
/** @typedef {import('./step.js').Backend} Backend */
/** @typedef {'webgpu'|'webgl'} Name */
/** @typedef {'float32'|'float16'} Precision */
/** @typedef {import('../plan.js').Graph & Partial<Pick<import('../bundle.js').Graph, 'preprocess'|'check'>>} Graph */

/** @type {Record<Name, () => Promise<{createBackend: (options: {precision: Precision}) => Promise<Backend>}>>} */
const BACKENDS = {
  webgpu: () => import('../webgpu/index.js'),
  webgl: () => import('../webgl/index.js'),
};

export class GpuLoader {
  /** @param {Name} name @param {Precision} precision @param {(precision: Precision) => Promise<Backend>} [open] tests put their own in */
  constructor(name, precision, open = async (wish) => (await BACKENDS[name]()).createBackend({ precision: wish })) {
    this.open = open;
    this.precision = precision;
    /** @type {Promise<Backend>|null} the first device, until an engine takes it */
    this.first = open(precision);
    this.first.catch(() => {}); // whoever creates the engine has the failure
  }

  /** @param {Precision} precision @returns {Promise<Backend>} */
  take(precision) {
    const opened = this.precision === precision ? this.first : null;
    if (opened) this.first = null;
    return opened ?? this.open(precision);
  }

  /**
   * An engine that has run once: its programs are compiled for the sizes that the model declares. In float16 its error is
   * measured, and beyond the tolerance the engine is one in float32.
   * @param {Graph} graph @param {import('../plan.js').Weights} weights @param {WebAssembly.Module} wasm
   * @param {(entry: import('./stored.js').CheckEntry) => Promise<Uint8Array<ArrayBuffer>>} [read] the bundle's check vector
   * @returns {Promise<GpuEngine>}
   */
  async create(graph, weights, wasm, read) {
    const engine = await this.engine(graph, weights, wasm, this.precision);
    const tolerance = TOLERANCE[this.precision], feeds = checkFeedsOf({ inputs: graph.inputs, preprocess: graph.preprocess ?? null });
    try {
      if (engine.precision === 'float32') {
        await engine.warm(feeds);
        engine.numerics = { precision: 'float32', error: null, tolerance, note: '' };
        return engine;
      }
      const stored = graph.check && read ? await readCheck(graph.check, read) : null;
      const { error, note } = stored ? { error: storedError(await engine.run(stored.feeds), stored.wanted), note: '' }
        : await compare(engine, feeds, wasm);
      engine.numerics = { precision: 'float16', error, tolerance, note };
      if (error !== null && error <= tolerance) return engine;
    } catch (error) {
      engine.dispose();
      throw error;
    }
    const { error } = engine.numerics;
    const exact = await this.engine(graph, weights, wasm, 'float32').finally(() => engine.dispose());
    await exact.warm(feeds);
    exact.numerics = {
      precision: 'float32', error: null, tolerance: TOLERANCE.float32,
      note: error === null ? `float16 could not be checked: ${engine.numerics.note}` : `float16 is ${error.toExponential(1)} of the range off, more than ${tolerance}`,
    };
    return exact;
  }

  /** @param {Graph} graph @param {import('../plan.js').Weights} weights @param {WebAssembly.Module} wasm @param {Precision} precision */
  engine(graph, weights, wasm, precision) {
    return createGpuEngine(graph, weights, { wasm, open: (wish) => this.take(wish), precision });
  }

  /** Gives back a device that no engine took. */
  async close() {
    const left = this.first;
    this.first = null;
    await left?.then((backend) => backend.dispose(), () => {}); // it never opened: nothing to give back
  }
}

/**
 * The bundle's check vector; null where its file cannot be had, as without a network.
 * @param {import('./stored.js').CheckEntry} entry @param {(entry: import('./stored.js').CheckEntry) => Promise<Uint8Array<ArrayBuffer>>} read
 */
async function readCheck(entry, read) {
  try {
    return parseCheck(entry, await read(entry));
  } catch (error) {
    if (error instanceof InPageError && (error.code === 'network' || error.code === 'not_found')) return null;
    throw error;
  }
}
