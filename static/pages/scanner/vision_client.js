// Calls to the pixel worker: answers by number, a lost worker started again once per call.

/** @typedef {import('./pipeline.js').PageJob} PageJob */
/** @typedef {import('./pipeline.js').PagePicture} PagePicture */
/** @typedef {{resolve: (value: any) => void, reject: (error: Error) => void, message: object, restarts: number, timer: any}} Call */
/** @typedef {Pick<Worker, 'postMessage' | 'terminate' | 'addEventListener'>} WorkerLike */

/** Longer than the largest photo takes on a slow phone; a worker that is silent for so long is dead. */
const TIMEOUT_MS = 90_000;

export class WorkerLost extends Error {
  /** @param {unknown} [cause] */
  constructor(cause) {
    super('The picture worker stopped twice; the device may be short of memory', { cause });
    this.name = 'WorkerLost';
    this.code = 'worker_lost';
  }
}

/** The pixel work on the page's own thread, for browsers whose workers have no canvas. */
class LocalWorker extends EventTarget {
  /** @type {Promise<void>} */
  #last = Promise.resolve();

  /** @param {any} call */
  postMessage(call) {
    this.#last = this.#last.then(async () => {
      const { answer } = await import('./pipeline.js');
      this.dispatchEvent(new MessageEvent('message', { data: await answer(call) }));
    }).catch((error) => {
      this.dispatchEvent(new CustomEvent('error', { detail: error }));
    });
  }

  terminate() {}
}

/** @returns {WorkerLike} */
function startWorker() {
  if (!('OffscreenCanvas' in globalThis)) return new LocalWorker();
  return new Worker(new URL('./vision_worker.js', import.meta.url), { type: 'module', name: 'scanner-vision' });
}

export class VisionClient {
  /** @type {WorkerLike | null} */
  #worker = null;
  /** @type {Map<number, Call>} */
  #calls = new Map();
  #next = 1;

  /** @param {{start?: () => WorkerLike, timeoutMs?: number}} [options] */
  constructor({ start = startWorker, timeoutMs = TIMEOUT_MS } = {}) {
    this.start = start;
    this.timeoutMs = timeoutMs;
  }

  /** The finished picture of a page. @param {PageJob} job @returns {Promise<PagePicture>} */
  makePage(job) {
    return this.#call({ op: 'makePage', job });
  }

  /** The page as a lossless PNG. @param {PageJob} job @returns {Promise<Blob>} */
  makePng(job) {
    return this.#call({ op: 'makePng', job });
  }

  close() {
    this.#worker?.terminate();
    this.#worker = null;
    for (const call of this.#calls.values()) {
      clearTimeout(call.timer);
      call.reject(new DOMException('The scanner was closed', 'AbortError'));
    }
    this.#calls.clear();
  }

  /** @param {object} message @returns {Promise<any>} */
  #call(message) {
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#calls.set(id, { resolve, reject, message: { ...message, id }, restarts: 0, timer: 0 });
      this.#send(id);
    });
  }

  /** @param {number} id */
  #send(id) {
    const call = this.#calls.get(id);
    if (!call) return;
    this.#worker ??= this.#open();
    const worker = this.#worker;
    call.timer = setTimeout(() => this.#lost(worker, new Error(`no answer in ${this.timeoutMs} ms`)), this.timeoutMs);
    worker.postMessage(call.message);
  }

  /** @returns {WorkerLike} */
  #open() {
    const worker = this.start();
    worker.addEventListener('message', (event) => this.#answer(/** @type {MessageEvent} */ (event).data));
    worker.addEventListener('error', (event) => this.#lost(worker, event));
    worker.addEventListener('messageerror', (event) => this.#lost(worker, event));
    return worker;
  }

  /** @param {{id: number, value?: any, error?: {name: string, message: string}}} answer */
  #answer({ id, value, error }) {
    const call = this.#calls.get(id);
    if (!call) return;   // an answer that came after its worker was given up
    clearTimeout(call.timer);
    this.#calls.delete(id);
    if (error) call.reject(Object.assign(new Error(error.message), { name: error.name }));
    else call.resolve(value);
  }

  /** @param {WorkerLike} worker @param {unknown} cause */
  #lost(worker, cause) {
    if (worker !== this.#worker) return;
    console.error('The picture worker was lost', cause);
    worker.terminate();
    this.#worker = null;
    for (const [id, call] of [...this.#calls]) {
      clearTimeout(call.timer);
      if (call.restarts++ === 0) {
        this.#send(id);
      } else {
        this.#calls.delete(id);
        call.reject(new WorkerLost(cause));
      }
    }
  }
}
