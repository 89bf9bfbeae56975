// A GPU for a model that is being loaded: the device opens while the bundle is on its way.
import { createGpuEngine } from './engine.js';

/** @typedef {import('./step.js').Backend} Backend */
/** @typedef {'webgpu'|'webgl'} Name */
/** @typedef {'float32'|'float16'} Precision */

/** @type {Record<Name, () => Promise<{createBackend: (options: {precision: Precision}) => Promise<Backend>}>>} */
const BACKENDS = {
  webgpu: () => import('../webgpu/index.js'),
  webgl: () => import('../webgl/index.js'),
};

export class GpuLoader {
  /** @param {Name} name @param {Precision} precision */
  constructor(name, precision) {
    this.name = name;
    this.precision = precision;
    /** @type {Promise<Backend>|null} the first device, until an engine takes it */
    this.first = this.open(precision);
    this.first.catch(() => {}); // whoever creates the engine has the failure
  }

  /** @param {Precision} precision @returns {Promise<Backend>} */
  async open(precision) {
    const { createBackend } = await BACKENDS[this.name]();
    return createBackend({ precision });
  }

  /**
   * @param {import('../plan.js').Graph & Partial<Pick<import('../bundle.js').Graph, 'preprocess'>>} graph
   * @param {import('../plan.js').Weights} weights @param {WebAssembly.Module} wasm
   */
  create(graph, weights, wasm) {
    const open = (/** @type {Precision} */ precision) => {
      const opened = this.precision === precision ? this.first : null;
      this.first = opened ? null : this.first;
      return opened ?? this.open(precision);
    };
    return createGpuEngine(graph, weights, { wasm, open, precision: this.precision });
  }

  /** Gives back a device that no engine took. */
  async close() {
    const left = this.first;
    this.first = null;
    await left?.then((backend) => backend.dispose(), () => {}); // it never opened: nothing to give back
  }
}
