// What looks at the camera's frames: models in a worker of this page, which ends with the session.
import { InPageError } from '../../runtime/index.js';

/** @typedef {import('./looker.js').Looked} Looked */
/** @typedef {import('./summary.js').Mode} Mode */
/** @typedef {{loaded: number, total: number}} Progress */
/**
 * @typedef {object} Eyes
 * @property {Readonly<Record<Mode, number>>} everyMs milliseconds between two frames: more say nothing more
 * @property {(options: {mode: Mode, onProgress: (progress: Progress) => void}) => Promise<void>} prepare loads the models
 * @property {(video: HTMLVideoElement) => Promise<void>} warm makes ready for frames of this size
 * @property {(video: HTMLVideoElement, now: number) => Promise<Looked & {requests: number, sent: number}>} look requests
 *   that this look took and the bytes that it sent, all since `warm`
 * @property {(ms: number) => Promise<unknown>} wake a timer that browsers do not slow down in a background tab
 * @property {() => void} close ends it; who waits for an answer is told
 */
/** @typedef {{id: number} & ({op: 'prepare', mode: Mode} | {op: 'warm', mode: Mode, width: number, height: number}
 *   | {op: 'look', frame: VideoFrame | ImageBitmap, now: number} | {op: 'wake', ms: number})} Request */
/** @typedef {{resolve: (value: any) => void, reject: (error: unknown) => void, onProgress?: (progress: Progress) => void}} Call */

/** A worker that is silent for so long is dead: no event tells. */
const SILENCE_MS = 30_000;

/** @param {HTMLVideoElement} video @returns {Promise<VideoFrame | ImageBitmap>} what it shows now, without a copy where the browser can */
async function frameOf(video) {
  return typeof VideoFrame === 'function' ? new VideoFrame(video) : createImageBitmap(video);
}

/** @implements {Eyes} */
export class WorkerEyes {
  everyMs = Object.freeze({ solo: 1000 / 30, room: 1000 / 15 });
  /** @type {Map<number, Call>} */
  #calls = new Map();
  #lastId = 0;
  #heard = false;
  /** @type {Mode} */
  #mode = 'solo';
  /** @type {InPageError | null} */
  #ended = null;

  constructor() {
    this.worker = new Worker(new URL('./eyes_worker.js', import.meta.url), { type: 'module', name: 'attention-eyes' });
    this.worker.addEventListener('message', ({ data }) => this.#receive(data));
    this.worker.addEventListener('messageerror', () => this.#end(lost('An answer could not be read')));
    this.worker.addEventListener('error', (event) => {
      event.preventDefault();
      this.#end(this.#heard ? lost(event.message || 'It failed')
        : new InPageError('network', 'The script that looks at frames could not be loaded'));
    });
  }

  /** @type {Eyes['prepare']} */
  prepare({ mode, onProgress }) {
    this.#mode = mode;
    return this.#call({ op: 'prepare', mode }, { onProgress });
  }

  /** @type {Eyes['warm']} */
  warm({ videoWidth: width, videoHeight: height }) {
    return this.#call({ op: 'warm', mode: this.#mode, width, height });
  }

  /** @type {Eyes['look']} */
  async look(video, now) {
    const frame = await frameOf(video);
    let late;
    const silent = new Promise((_, reject) => { late = setTimeout(() => reject(lost('It did not answer')), SILENCE_MS); });
    try {
      return { ...await Promise.race([this.#call({ op: 'look', frame, now }, { transfer: [frame] }), silent]), sent: 0 };
    } finally {
      clearTimeout(late);
    }
  }

  /** @type {Eyes['wake']} */
  wake(ms) {
    return this.#call({ op: 'wake', ms });
  }

  close() {
    this.#end(new InPageError('disposed', 'The session has ended'));
  }

  /** @param {object} request @param {{onProgress?: Call['onProgress'], transfer?: Transferable[]}} [options] @returns {Promise<any>} */
  #call(request, { onProgress, transfer = [] } = {}) {
    return new Promise((resolve, reject) => {
      if (this.#ended) throw this.#ended;
      this.#lastId += 1;
      this.#calls.set(this.#lastId, { resolve, reject, onProgress });
      this.worker.postMessage({ id: this.#lastId, ...request }, transfer);
    });
  }

  /** @param {{id: number, value?: any, progress?: Progress, error?: import('../../runtime/errors.js').PlainError}} answer */
  #receive({ id, value, progress, error }) {
    this.#heard = true;
    const call = this.#calls.get(id);
    if (!call) return;
    if (progress) return call.onProgress?.(progress);
    this.#calls.delete(id);
    if (error) call.reject(InPageError.fromJSON(error));
    else call.resolve(value);
  }

  /** @param {InPageError} error */
  #end(error) {
    if (this.#ended) return;
    this.#ended = error;
    this.worker.terminate();
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
  }
}

/** @param {string} what */
const lost = (what) => new InPageError('worker_lost', `The thread that looks at frames was lost: ${what}`, { hint: 'start again' });
