// The page finder as this page uses it: prepared once, one picture at a time, started again when its worker is lost.

import { finderProblem } from './problems.js';

/** @typedef {import('./quad.js').Quad} Quad */
/** @typedef {import('./problems.js').FinderProblemCode} FinderProblemCode */
/** @typedef {{corners: Quad, score: number}} Found */
/** @typedef {HTMLVideoElement | ImageBitmap | HTMLCanvasElement} Picture */
/**
 * @typedef {object} Detector what detect.js exports
 * @property {(picture: any) => Promise<Found | null>} detectDocument
 * @property {(options: {onProgress?: (progress: any) => void}) => Promise<unknown>} prepare
 * @property {() => unknown} release
 */

/** A second loss within this time is not restarted again. */
const RESTART_WINDOW_MS = 60_000;

/** The smallest module with a SIMD instruction: () -> v128, i32x4.splat(0). */
const SIMD_PROBE = Uint8Array.from([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 17, 11,
]);

/** @returns {boolean} whether this browser runs WebAssembly SIMD */
export function hasSimd() {
  return typeof WebAssembly === 'object' && WebAssembly.validate(SIMD_PROBE);
}

/** Fires `change` whenever state, progress, problem or ms change. */
export class Finder extends EventTarget {
  /** @type {'idle' | 'loading' | 'ready' | 'failed'} */
  state = 'idle';
  /** Share of the download, 0..1. */
  progress = 0;
  /** @type {FinderProblemCode | null} */
  problem = null;
  /** Milliseconds that the last picture took; 0 before the first. */
  ms = 0;
  /** @type {Promise<boolean> | null} */
  #preparing = null;
  /** @type {Detector | null} */
  #detector = null;
  /** @type {Promise<unknown>} one picture at a time */
  #queue = Promise.resolve();
  #lostAt = -Infinity;

  /**
   * @param {() => Promise<Detector>} importDetector
   * @param {{simd?: () => boolean, now?: () => number}} [environment]
   */
  constructor(importDetector, { simd = hasSimd, now = () => performance.now() } = {}) {
    super();
    this.importDetector = importDetector;
    this.simd = simd;
    this.now = now;
  }

  /**
   * Loads the model. Calling it again while it loads, or when it is there, costs nothing; after a failure it tries again.
   * @returns {Promise<boolean>} whether pages can be found now
   */
  prepare() {
    this.#preparing ??= this.#prepare().finally(() => {
      if (this.state !== 'ready') this.#preparing = null;
    });
    return this.#preparing;
  }

  async #prepare() {
    if (!this.simd()) return this.#fail('no_simd');
    this.#set({ state: 'loading', progress: 0, problem: null });
    try {
      this.#detector = await this.importDetector();
      await this.#detector.prepare({
        onProgress: ({ loaded = 0, total = 0 } = {}) => this.#set({ progress: total > 0 ? Math.min(1, loaded / total) : 0 }),
      });
    } catch (error) {
      console.error('The page finder could not be prepared', error);
      return this.#fail(finderProblem(error));
    }
    this.#set({ state: 'ready', progress: 1 });
    return true;
  }

  /**
   * Looks for a page; pictures wait for one another.
   * @param {Picture} picture
   * @returns {Promise<Found | null>} null when there is no page, or the finder cannot be had
   */
  find(picture) {
    const found = this.#queue.then(() => this.#find(picture));
    this.#queue = found;
    return found;
  }

  /** @param {Picture} picture @returns {Promise<Found | null>} */
  async #find(picture) {
    if (!(await this.prepare()) || !this.#detector) return null;
    const start = this.now();
    try {
      const found = await this.#detector.detectDocument(picture);
      this.#set({ ms: this.now() - start });
      return found;
    } catch (error) {
      return this.#recover(error, picture);
    }
  }

  /** A picture that cannot be read has no page. A lost worker is started again once. Anything else ends finding until
   * the person asks again.
   * @param {unknown} error @param {Picture} picture @returns {Promise<Found | null>} */
  async #recover(error, picture) {
    if (error instanceof Error && 'code' in error && error.code === 'invalid_input') {
      console.warn('No page could be looked for in this picture', error);   // a camera that just closed gives no frame
      return null;
    }
    console.error('The page finder failed', error);
    const problem = finderProblem(error);
    this.#preparing = null;
    await this.#detector?.release();
    if (problem === 'lost' && this.now() - this.#lostAt > RESTART_WINDOW_MS) {
      this.#lostAt = this.now();
      return this.#find(picture);
    }
    this.#fail(problem);
    return null;
  }

  /** Tries again at the person's wish, with a fresh right to a restart. */
  retry() {
    this.#lostAt = -Infinity;
    return this.prepare();
  }

  /** @param {FinderProblemCode} problem @returns {false} */
  #fail(problem) {
    this.#set({ state: 'failed', problem });
    return false;
  }

  /** @param {Partial<Pick<Finder, 'state' | 'progress' | 'problem' | 'ms'>>} values */
  #set(values) {
    Object.assign(this, values);
    this.dispatchEvent(new Event('change'));
  }
}
