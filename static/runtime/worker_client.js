// Models in a worker, as if they were here. One worker serves all models of a page and ends with the last of them.
import { capture, closeAll, Spare } from './capture.js';
import { InPageError, abortError, asInPageError, throwIfAborted } from './errors.js';
import { quickKernels } from './kernels.js';
import { forward, namedInHead } from './near.js';
import { checkNames } from './tensor.js';

/** @typedef {import('./index.js').Feeds} Feeds */
/** @typedef {import('./index.js').LoadOptions} LoadOptions */
/** @typedef {import('./tensor.js').Tensor} Tensor */
/**
 * @typedef {object} WorkerLike
 * @property {(message: any, transfer: Transferable[]) => void} postMessage
 * @property {(type: string, listener: (event: any) => void) => void} addEventListener
 * @property {() => void} terminate
 */
/**
 * @typedef {object} Pending
 * @property {(value: any) => void} resolve
 * @property {(error: unknown) => void} reject
 * @property {((progress: import('./bundle.js').Progress) => void)|undefined} onProgress
 * @property {number|undefined} model the model that the call is for
 */

const STARTUP_MS = 30_000;

/** The worker of this page while it has models. @type {WorkerHost|undefined} */
let shared;

/**
 * @param {string} address absolute
 * @param {LoadOptions} options
 * @param {() => WorkerHost} [host]
 * @returns {Promise<RemoteModel>}
 * @throws {InPageError} any code; worker_lost when the worker did not start or died
 */
export async function loadRemote(address, { signal, onProgress, backend, precision, retries, cache, policy }, host = sharedHost) {
  throwIfAborted(signal, address);
  const home = host();
  home.retain();
  try {
    await home.looked; // what is fetched is named by then
    throwIfAborted(signal, address);
    const near = namedInHead(address), loaded = new AbortController();
    const request = { address, options: { backend, precision, retries, cache, policy }, near, watched: Boolean(onProgress) };
    const { id, answer } = home.call('load', request, { signal, onProgress });
    for (const url of near) forward(url, loaded.signal, (delivery, transfer) => home.deliver(id, delivery, transfer));
    return new RemoteModel(home, id, await answer.finally(() => loaded.abort()));
  } catch (thrown) {
    home.release();
    throw thrown;
  }
}

/** @returns {WorkerHost} */
function sharedHost() {
  if (!shared || shared.ended) {
    const begun = takeStarted(), host = shared = new WorkerHost(() => begun?.worker ?? spawn());
    host.looked = begun?.looked ?? host.looked;
    host.looked.then((found) => found ? null : quickKernels()).then((module) => host.lend(module)); // else it has asked for them
  }
  return shared;
}

const SCRIPT = new URL('./worker.js', import.meta.url);
const STARTED = Symbol.for('paddle-inpage');

/** The worker that start.js started, once. @returns {{script: string, worker: Worker, looked: Promise<boolean>, failed: boolean}|null} */
function takeStarted() {
  const home = /** @type {any} */ (globalThis), started = home[STARTED];
  delete home[STARTED];
  return started?.script === SCRIPT.href && !started.failed ? started : null;
}

/** @returns {Worker} */
function spawn() {
  const script = SCRIPT;
  if (script.origin === globalThis.location.origin) return new Worker(script, { type: 'module' });
  // A worker must come from the page's own origin; its imports need not.
  const blob = URL.createObjectURL(new Blob([`import ${JSON.stringify(script.href)};`], { type: 'text/javascript' }));
  const worker = new Worker(blob, { type: 'module' });
  worker.addEventListener('message', () => URL.revokeObjectURL(blob), { once: true });
  return worker;
}

/** A worker and the calls that wait for it. */
export class WorkerHost {
  /** @param {() => WorkerLike} makeWorker @param {number} [startup_ms] the worker is given up when not ready by then */
  constructor(makeWorker, startup_ms = STARTUP_MS) {
    /** @type {Map<number, Pending>} */
    this.pending = new Map();
    /** @type {Set<number>} loads that the caller gave up: a model that comes all the same is disposed */
    this.abandoned = new Set();
    /** @type {InPageError|null} */
    this.ended = null;
    /** @type {Promise<boolean>} whether the worker has found a model as an earlier visit kept it */
    this.looked = Promise.resolve(false);
    this.models = 0;
    this.lastId = 0;
    this.watch = new AbortController();
    this.timer = setTimeout(() => this.end(lost(`The worker did not start within ${startup_ms} ms`)), startup_ms);
    try {
      this.worker = makeWorker();
    } catch (cause) {
      this.end(lost('The browser refused to start a worker', cause));
      return;
    }
    this.worker.addEventListener('message', ({ data }) => this.receive(data));
    this.worker.addEventListener('messageerror', () => this.end(lost('A message of the worker could not be read')));
    this.worker.addEventListener('error', (event) => {
      event.preventDefault?.();
      this.end(lost(`The worker failed (${event.message || 'its script could not be loaded'})`));
    });
    const lock = `paddle-inpage-${Date.now()}-${Math.random()}`;
    this.call('hello', { lock }, {}).answer.then(({ locked }) => {
      clearTimeout(this.timer);
      if (locked) this.watchLock(lock);
    }).catch(() => {}); // end() has told everybody who waits
  }

  /**
   * No event tells that a worker died (closed itself, or was killed for memory), but its lock is freed.
   * @param {string} lock
   */
  watchLock(lock) {
    navigator.locks.request(lock, { signal: this.watch.signal }, () => this.end(lost('The worker died'))).catch(() => {
      // We gave up waiting ourselves: the worker was ended on purpose.
    });
  }

  /**
   * @param {'hello'|'load'|'run'|'profile'|'dispose'} type @param {Record<string, any>} payload
   * @param {{signal?: AbortSignal, onProgress?: LoadOptions['onProgress'], model?: number,
   *   transfer?: Transferable[]}} options
   * @returns {{id: number, answer: Promise<any>}}
   */
  call(type, payload, { signal, onProgress, model, transfer = [] }) {
    const id = ++this.lastId;
    const onAbort = () => this.abort(id, type, abortError(signal, `${type}()`));
    const answer = new Promise((resolve, reject) => {
      if (this.ended) throw this.ended;
      try {
        this.worker?.postMessage({ id, type, ...payload }, transfer);
      } catch (thrown) {
        throw asInPageError(thrown, 'invalid_input', { where: `${type}()` }); // it cannot be copied to another thread
      }
      this.pending.set(id, { resolve, reject, onProgress, model });
      signal?.addEventListener('abort', onAbort);
    });
    return { id, answer: answer.finally(() => signal?.removeEventListener('abort', onAbort)) };
  }

  /** A part of a file for a load in progress. @param {number} load @param {import('./near.js').Delivery} delivery @param {Transferable[]} transfer */
  deliver(load, delivery, transfer) {
    if (this.pending.has(load)) this.worker?.postMessage({ id: ++this.lastId, type: 'deliver', load, delivery }, transfer);
  }

  /** The kernels, compiled while the worker starts. @param {WebAssembly.Module|null} module null: it shall do that itself */
  lend(module) {
    if (!this.ended) this.worker?.postMessage({ id: ++this.lastId, type: 'kernels', module }, []);
  }

  /** @param {number} id @param {string} type @param {unknown} error */
  abort(id, type, error) {
    const call = this.pending.get(id);
    if (!call) return;
    this.pending.delete(id);
    if (type === 'load') this.abandoned.add(id);
    this.worker?.postMessage({ id: ++this.lastId, type: 'abort', target: id }, []);
    call.reject(error);
  }

  /** @param {import('./worker_server.js').Answer} answer */
  receive(answer) {
    const { id } = answer;
    const call = this.pending.get(id);
    if (!call) {
      if ('value' in answer && this.abandoned.delete(id)) {
        this.call('dispose', { model: id }, {}).answer.catch(() => {}); // the worker's end frees it as well
      }
      return;
    }
    if ('progress' in answer) {
      try {
        call.onProgress?.(answer.progress);
      } catch (thrown) {
        this.abort(id, 'load', thrown); // the caller's own callback threw: load() gives that back
      }
      return;
    }
    this.pending.delete(id);
    if ('error' in answer) call.reject(InPageError.fromJSON(answer.error));
    else call.resolve(answer.value);
  }

  /** Rejects the waiting calls of one model. @param {number} model @param {InPageError} error */
  rejectModel(model, error) {
    for (const [id, call] of this.pending) {
      if (call.model !== model) continue;
      this.pending.delete(id);
      call.reject(error);
    }
  }

  retain() { this.models++; }

  /** The last model takes the worker with it. */
  release() {
    if (--this.models === 0) this.end(new InPageError('disposed', 'The worker ended with its last model'));
  }

  /** Ends the worker; every waiting call gets the error. @param {InPageError} error */
  end(error) {
    if (this.ended) return;
    this.ended = error;
    clearTimeout(this.timer);
    this.watch.abort();
    this.worker?.terminate();
    for (const call of this.pending.values()) call.reject(error);
    this.pending.clear();
  }
}

/** @param {string} what @param {unknown} [cause] */
function lost(what, cause) {
  return new InPageError('worker_lost', what, {
    hint: 'load the model again; { worker: false } runs it on the calling thread', cause,
  });
}

/** The public face's Model, in the worker. */
export class RemoteModel {
  /** @param {WorkerHost} host @param {number} number @param {any} answer to `load` */
  constructor(host, number, { name, inputs, outputs, labels, preprocess, postprocess, precision, backend, numerics, memory }) {
    this.name = /** @type {string} */ (name);
    this.inputs = /** @type {import('./index.js').TensorInfo[]} */ (inputs);
    this.outputs = /** @type {import('./index.js').TensorInfo[]} */ (outputs);
    this.labels = /** @type {string[]|null} */ (labels);
    this.preprocess = /** @type {import('./preprocess.js').PreprocessSpec|null} */ (preprocess);
    this.postprocess = /** @type {Record<string, any>|null} */ (postprocess);
    this.precision = /** @type {import('./index.js').Description['precision']} */ (precision);
    this.backend = /** @type {string} */ (backend);
    this.numerics = /** @type {import('./gpu/check.js').Numerics|null} */ (numerics ?? null);
    this.held = /** @type {{bytes: number}} */ (memory);
    this.host = host;
    this.number = number;
    this.disposed = false;
    this.spare = new Spare();
    /** @type {Promise<unknown>} settles when all calls so far are sent */
    this.sent = Promise.resolve();
  }

  /** As of the last answer. @returns {{bytes: number}} */
  memory() {
    return this.disposed || this.host.ended ? { bytes: 0 } : { ...this.held };
  }

  /**
   * @param {Feeds} feeds tensors are copied and pictures captured now; both stay the caller's
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<Record<string, Tensor>>}
   * @throws {InPageError}
   */
  async run(feeds, { signal } = {}) {
    this.refuseWhenDisposed();
    throwIfAborted(signal, 'run()');
    checkNames(this.inputs, feeds);
    const captured = capture(feeds, this.spare);
    const before = this.sent;
    this.sent = captured.catch(() => {}).then(() => before); // sent in the order of the calls
    const { copies, transfer } = await captured;
    await before;
    try {
      this.refuseWhenDisposed();
      throwIfAborted(signal, 'run()');
    } catch (thrown) {
      closeAll(copies);
      throw thrown;
    }
    const model = this.number;
    const { answer } = this.host.call('run', { model, feeds: copies, watched: Boolean(signal) }, { signal, model, transfer });
    const { results, memory, fed } = await answer;
    this.held = memory;
    if (!this.disposed) this.spare.buffers.push(...fed);
    return results;
  }

  /** @param {Feeds} feeds @returns {Promise<import('./index.js').StepTime[]>} @throws {InPageError} */
  async profile(feeds) {
    this.refuseWhenDisposed();
    checkNames(this.inputs, feeds);
    const { copies, transfer } = await capture(feeds);
    return this.host.call('profile', { model: this.number, feeds: copies }, { model: this.number, transfer }).answer;
  }

  refuseWhenDisposed() {
    if (this.disposed) throw this.disposedError();
    if (this.host.ended) throw this.host.ended;
  }

  disposedError() {
    return new InPageError('disposed', `The model "${this.name}" was disposed`, { hint: 'load it again' });
  }

  /**
   * Frees the model in the worker; waiting calls are rejected at once. May be called twice.
   * @returns {Promise<void>}
   */
  async dispose() {
    if (this.disposed) return;
    this.disposed = true;
    this.host.rejectModel(this.number, this.disposedError());
    if (!this.host.ended) await this.host.call('dispose', { model: this.number }, {}).answer.catch(() => {
      // The worker is gone, and the model with it.
    });
    this.host.release();
  }
}
