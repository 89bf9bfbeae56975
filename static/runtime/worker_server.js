// Answers worker_client.js: the models live here, behind numbers.
import { asInPageError } from './errors.js';
import { kernels } from './kernels.js';
import { loadLocal } from './local.js';
import { Deliveries } from './near.js';
import { loadPrepared } from './prepared.js';

/**
 * @typedef {{id: number, type: 'hello', lock: string}
 *   | {id: number, type: 'soon', model: string, file: import('./prepared.js').Handle}
 *   | {id: number, type: 'kernels', module: WebAssembly.Module|null}
 *   | {id: number, type: 'load', address: string, options: import('./index.js').LoadOptions, near: string[], watched: boolean}
 *   | {id: number, type: 'deliver', load: number, delivery: import('./near.js').Delivery}
 *   | {id: number, type: 'run', model: number, feeds: import('./index.js').Feeds, watched: boolean}
 *   | {id: number, type: 'profile', model: number, feeds: import('./index.js').Feeds}
 *   | {id: number, type: 'dispose', model: number}
 *   | {id: number, type: 'abort', target: number}} Request
 */
/** @typedef {{id: number, value: any} | {id: number, error: import('./errors.js').PlainError}
 *   | {id: number, progress: import('./bundle.js').Progress}} Answer */
/**
 * @typedef {object} Port
 * @property {(message: any, transfer: Transferable[]) => void} postMessage
 * @property {(type: 'message', listener: (event: MessageEvent) => void) => void} addEventListener
 */

/** @typedef {import('./index.js').LoadOptions} LoadOptions */
/** @typedef {(address: string, options: LoadOptions & {near: Deliveries, begun?: ReturnType<typeof loadPrepared>}) => Promise<import('./local.js').LocalModel>} Load */

/**
 * @param {Port} port the worker's global, or one end of a channel in tests
 * @param {Load} [load]
 */
export function serve(port, load = loadLocal) {
  const desk = new Desk(port, load);
  port.addEventListener('message', ({ data }) => { desk.answer(data); });
}

class Desk {
  /** @param {Port} port @param {Load} load */
  constructor(port, load) {
    this.port = port;
    this.load = load;
    /** @type {Map<number, import('./local.js').LocalModel>} */
    this.models = new Map();
    /** @type {Map<number, AbortController>} by the id of the request that may be aborted */
    this.aborts = new Map();
    /** @type {Map<number, Deliveries>} of the loads in progress */
    this.deliveries = new Map();
    /** @type {{address: string, found: ReturnType<typeof loadPrepared>}|null} */
    this.begun = null;
    /** Takes what the page compiles. @type {(module: WebAssembly.Module|null) => void} */
    this.lend = () => {};
    if (load === loadLocal) kernels(new Promise((resolve) => { this.lend = resolve; })).catch(() => {}); // who loads a model is told
  }

  /** @param {Request} request */
  async answer(request) {
    const { id } = request;
    if (request.type === 'soon') return this.begin(request);
    if (request.type === 'kernels') return this.lend(request.module);
    if (request.type === 'deliver') return this.deliveries.get(request.load)?.take(request.delivery);
    try {
      const { value, transfer = [] } = await this.handle(request);
      this.port.postMessage({ id, value }, transfer);
    } catch (thrown) {
      this.port.postMessage({ id, error: asInPageError(thrown, 'invalid_model').toJSON() }, []);
    } finally {
      this.aborts.delete(id);
    }
  }

  /** Before the page asks for a model that an earlier visit kept. @param {Extract<Request, {type: 'soon'}>} request */
  begin({ model: address, file }) {
    this.lend(null); // then the page compiles no kernels
    this.begun = { address, found: loadPrepared(address, kernels, {}, file) };
  }

  /** @param {Exclude<Request, {type: 'soon'|'kernels'|'deliver'}>} request @returns {Promise<{value?: any, transfer?: Transferable[]}>} */
  async handle(request) {
    switch (request.type) {
      case 'hello': return { value: { locked: await holdLock(request.lock) } };
      case 'load': return this.handleLoad(request);
      case 'run': return this.handleRun(request);
      case 'profile': return this.handleProfile(request.model, request.feeds);
      case 'dispose':
        await this.models.get(request.model)?.dispose();
        this.models.delete(request.model);
        return {};
      case 'abort':
        this.aborts.get(request.target)?.abort();
        return {};
    }
  }

  /** @param {Extract<Request, {type: 'load'}>} request its id becomes the model's number */
  async handleLoad({ id, address, options, near: urls, watched }) {
    const near = new Deliveries(urls), begun = this.begun?.address === address ? this.begun.found : undefined;
    if (begun) this.begun = null;
    const onProgress = (/** @type {any} */ progress) => { if (watched) this.port.postMessage({ id, progress }, []); };
    this.deliveries.set(id, near);
    const model = await this.load(address, { ...options, near, begun, signal: this.signalOf(id), onProgress })
      .finally(() => this.deliveries.delete(id));
    this.models.set(id, model);
    const { name, inputs, outputs, labels, preprocess, postprocess, precision, backend, numerics } = model;
    return {
      value: { name, inputs, outputs, labels, preprocess, postprocess, precision, backend, numerics, memory: model.memory() },
    };
  }

  /** @param {Extract<Request, {type: 'run'}>} request pictures are ours to close; buffers go back */
  async handleRun({ id, model: number, feeds, watched }) {
    try {
      const model = /** @type {import('./local.js').LocalModel} */ (this.models.get(number));
      const results = await model.run(feeds, watched ? { signal: this.signalOf(id) } : {});
      const made = new Set(Object.values(results).map(({ data }) => data.buffer));
      const copies = Object.values(feeds).flatMap((feed) => ('data' in feed && !('colorSpace' in feed) ? [feed.data.buffer] : []));
      const fed = copies.filter((buffer) => !made.has(buffer)); // the page has a use for them
      return { value: { results, memory: model.memory(), fed }, transfer: /** @type {ArrayBuffer[]} */ ([...made, ...fed]) };
    } finally {
      for (const feed of Object.values(feeds)) if ('close' in feed) feed.close();
    }
  }

  /** @param {number} number @param {import('./index.js').Feeds} feeds pictures are ours to close */
  async handleProfile(number, feeds) {
    try {
      return { value: await /** @type {import('./local.js').LocalModel} */ (this.models.get(number)).profile(feeds) };
    } finally {
      for (const feed of Object.values(feeds)) if ('close' in feed) feed.close();
    }
  }

  /** @param {number} id @returns {AbortSignal} */
  signalOf(id) {
    const controller = new AbortController();
    this.aborts.set(id, controller);
    return controller.signal;
  }
}

/**
 * Holds a lock for as long as this worker lives: the page that waits for it learns of the worker's death, which no
 * event tells.
 * @param {string} name
 * @returns {Promise<boolean>} false where there are no locks
 */
function holdLock(name) {
  const locks = globalThis.navigator?.locks;
  if (!locks) return Promise.resolve(false);
  return new Promise((resolve) => {
    locks.request(name, () => {
      resolve(true);
      return new Promise(() => {}); // never settles: released by the worker's end alone
    }).catch(() => resolve(false));
  });
}
