// The page finder as this page uses it: prepared once, one picture at a time, started again when its worker is lost.

import { candidates } from '../../runtime/choose.js';
import { finderProblem } from './problems.js';

/** @typedef {import('./quad.js').Quad} Quad */
/** @typedef {import('./problems.js').FinderProblemCode} FinderProblemCode */
/** @typedef {{corners: Quad, score: number}} Found */
/** @typedef {HTMLVideoElement | ImageBitmap | HTMLCanvasElement} Picture */
/** @typedef {'device' | 'server'} Place */
/** @typedef {{state: 'busy' | 'away', until: number}} Away the server; until: when a live picture is sent to it again */
/**
 * @typedef {object} Detector what detect.js exports
 * @property {(picture: any) => Promise<Found | null>} detectDocument
 * @property {(options: PrepareOptions) => Promise<unknown>} prepare
 * @property {() => unknown} release
 * @property {() => string} backend what it runs on now
 */
/**
 * @typedef {object} PrepareOptions
 * @property {Place} [place]
 * @property {(progress: any) => void} [onProgress]
 * @property {() => void} [onSlow] the device has no faster way
 * @property {(state: {state: 'ok' | 'busy' | 'away', retry_ms: number}) => void} [onServer]
 */

/** A server that does not answer is asked again after this, twice as long each time, up to the second. */
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;
/** A second loss within this time is not restarted again. */
const RESTART_WINDOW_MS = 60_000;

/** Fires `change` whenever one of its fields changes. */
export class Finder extends EventTarget {
  /** @type {'idle' | 'loading' | 'ready' | 'failed'} */
  state = 'idle';
  /** Share of the download, 0..1. */
  progress = 0;
  /** @type {FinderProblemCode | null} */
  problem = null;
  /** Milliseconds that the last picture took; 0 before the first. */
  ms = 0;
  /** @type {Place} where pictures are looked at */
  place = 'device';
  /** The device can do it, but slowly. */
  slow = false;
  /** @type {Away | null} */
  away = null;
  #pauses = 0;
  #retry_ms = 0;
  /** @type {Promise<boolean> | null} */
  #preparing = null;
  /** @type {Detector | null} */
  #detector = null;
  /** @type {Promise<unknown>} one picture at a time */
  #queue = Promise.resolve();
  #lostAt = -Infinity;

  /**
   * @param {() => Promise<Detector>} importDetector
   * @param {{able?: () => boolean, now?: () => number}} [environment] able: whether any backend may work here
   */
  constructor(importDetector, { able = () => candidates().length > 0, now = () => performance.now() } = {}) {
    super();
    this.importDetector = importDetector;
    this.able = able;
    this.now = now;
  }

  /**
   * Loads the model. Calling it again while it loads, or when it is there, costs nothing; after a failure it tries again.
   * @returns {Promise<boolean>} whether pages can be found now
   */
  prepare() {
    if (this.#preparing) return this.#preparing;
    const mine = this.#prepare().finally(() => {
      if (this.#preparing === mine && this.state !== 'ready') this.#preparing = null;
    });
    this.#preparing = mine;
    return mine;
  }

  async #prepare() {
    const { place } = this;
    if (place === 'device' && !this.able()) return this.#fail('no_simd');
    this.#set({ state: 'loading', progress: 0, problem: null });
    try {
      this.#detector = await this.importDetector();
      await this.#detector.prepare({
        place,
        onProgress: ({ loaded = 0, total = 0 } = {}) => this.#set({ progress: total > 0 ? Math.min(1, loaded / total) : 0 }),
        onSlow: () => this.#set({ slow: true }),
        onServer: ({ retry_ms }) => { this.#retry_ms = retry_ms; },
      });
    } catch (error) {
      if (place !== this.place) return false;   // moved meanwhile: whoever moved it prepares the other place
      console.error('The page finder could not be prepared', error);
      return this.#fail(finderProblem(error));
    }
    if (place !== this.place) return false;
    this.#set({ state: 'ready', progress: 1 });
    return true;
  }

  /** What finds the pages. @returns {string} */
  get backend() {
    return this.#detector?.backend() ?? '';
  }

  /**
   * Changes the place where pictures are looked at; what is on its way to the other one is given up.
   * @param {Place} place
   * @returns {Promise<boolean>} whether pages can be found there
   */
  async lookOn(place) {
    if (place === this.place) return this.prepare();
    this.#pauses = 0;
    this.#set({ place, state: 'idle', problem: null, away: null, slow: false, ms: 0 });
    this.#preparing = null;
    await this.#detector?.release();
    return this.prepare();
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
    if (this.away && this.now() < this.away.until && isLive(picture)) return null;   // a photo is worth a try at once
    const start = this.now(), { place } = this;
    try {
      const found = await this.#detector.detectDocument(picture);
      if (place !== this.place) return null;
      this.#pauses = 0;
      this.#set({ ms: this.now() - start, away: null });
      return found;
    } catch (error) {
      if (place !== this.place) return null;
      return this.#pause(error) ? null : this.#recover(error, picture);
    }
  }

  /** Leaves a server alone for a while that is busy or away. @param {unknown} error @returns {boolean} whether that is the case */
  #pause(error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    if (this.place !== 'server' || (code !== 'network' && code !== 'server_busy')) return false;
    console.warn('The server did not look for the page', error);
    const pause_ms = Math.min(LONGEST_PAUSE_MS, Math.max(this.#retry_ms, FIRST_PAUSE_MS * 2 ** this.#pauses));
    this.#pauses += 1;
    this.#set({ away: { state: code === 'network' ? 'away' : 'busy', until: this.now() + pause_ms } });
    return true;
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

  /** @param {Partial<Pick<Finder, 'state' | 'progress' | 'problem' | 'ms' | 'place' | 'slow' | 'away'>>} values */
  #set(values) {
    Object.assign(this, values);
    this.dispatchEvent(new Event('change'));
  }
}

/** @param {unknown} picture */
const isLive = (picture) => typeof HTMLVideoElement === 'function' && picture instanceof HTMLVideoElement;
