// How long a loaded model takes on this device, and which backend was the fastest of this visit.
import { sizeOf, DTYPES } from './tensor.js';

/** @typedef {import('./choose.js').Backend} Backend */
/** @typedef {import('./index.js').Description} Description */
/** @typedef {import('./tensor.js').Tensor} Tensor */
/**
 * @typedef {object} Measured one backend's result
 * @property {Backend} backend
 * @property {number} ms median of one run; Infinity where it does not work
 * @property {string} [problem] why it does not
 */

/** One backend may take this long, its first run (plans, shaders) not counted. */
export const BUDGET_MS = 200;
const MOST_RUNS = 9;
/** A first run that takes longer is no candidate: the model would be ready on another backend by then. */
const WARM_UP_MS = 5000;
/** Sides that are free and not told by the preprocessing are measured at this size. */
const FREE_SIDE = 224;
const STORE_PREFIX = 'inpage.measured:';

/**
 * Zeros that the model takes: free sizes as its preprocessing makes them, one picture at a time.
 * @param {Pick<Description, 'inputs'|'preprocess'>} model
 * @returns {Record<string, Tensor>}
 */
export function sampleFeeds({ inputs, preprocess }) {
  /** @type {Map<string, number>} */
  const sizes = new Map();
  return Object.fromEntries(inputs.map(({ name, shape, dtype }) => {
    const planes = preprocess?.layout === 'nhwc' ? [1, 2] : [2, 3];
    const picture = preprocess?.input === name ? pictureSize(preprocess) : [FREE_SIDE, FREE_SIDE];
    const whole = shape.map((dim, axis) => {
      if (typeof dim === 'number' && dim >= 0) return Math.max(1, dim);
      const size = shape.length === 4 && planes.includes(axis) ? picture[planes.indexOf(axis)] : 1;
      if (typeof dim !== 'string' || dim.startsWith('?')) return size;
      if (!sizes.has(dim)) sizes.set(dim, size);
      return sizes.get(dim) ?? size;
    });
    const { array, bytes } = DTYPES[dtype], held = dtype === 'float16' ? 4 : bytes;
    return [name, { data: new array(new ArrayBuffer(sizeOf(whole) * held)), shape: whole }];
  }));
}

/** @param {import('./preprocess.js').PreprocessSpec} spec @returns {number[]} [height, width] that a picture becomes */
function pictureSize({ crop, size, limit }) {
  const side = limit ? Math.max(1, Math.round(Math.min(limit.side, 2 * FREE_SIDE) / limit.multiple)) * limit.multiple : FREE_SIDE;
  return crop ?? size ?? [side, side];
}

/**
 * The median time of a run, of as many as the budget allows; the first one is not counted.
 * @param {Pick<import('./index.js').Model, 'inputs'|'preprocess'|'run'>} model
 * @param {{budget_ms?: number, now?: () => number}} [options]
 * @returns {Promise<number>} milliseconds
 * @throws {import('./errors.js').InPageError} what the run throws; aborted when the first run takes too long
 */
export async function measure(model, { budget_ms = BUDGET_MS, now = () => performance.now() } = {}) {
  const feeds = sampleFeeds(model);
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error(`the first run took more than ${WARM_UP_MS} ms`)), WARM_UP_MS);
  try {
    await model.run(feeds, { signal: late.signal });
  } finally {
    clearTimeout(timer);
  }
  /** @type {number[]} */
  const times = [];
  for (const began = now(); times.length === 0 || (times.length < MOST_RUNS && now() - began < budget_ms);) {
    const start = now();
    await model.run(feeds);
    times.push(now() - start);
  }
  return quantile(times, 0.5);
}

/** @param {readonly number[]} values @param {number} share 0..1 @returns {number} the smallest value that `share` of all do not exceed */
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

/** What was measured in this visit, by model; kept in sessionStorage where there is one. */
export class Memory {
  /** @param {Pick<Storage, 'getItem'|'setItem'>|null} [storage] */
  constructor(storage = sessionStorageOrNull()) {
    this.storage = storage;
    /** @type {Map<string, string>} */
    this.kept = new Map();
  }

  /** @param {string} key @returns {Measured[]|null} the fastest first */
  recall(key) {
    const text = this.kept.get(key) ?? this.storage?.getItem(STORE_PREFIX + key);
    if (!text) return null;
    try {
      /** @type {Measured[]} */
      const found = JSON.parse(text).map((/** @type {any} */ entry) => ({ ...entry, ms: entry.ms ?? Infinity }));
      return found;
    } catch {
      return null; // somebody else wrote there: measure again
    }
  }

  /** @param {string} key @param {Measured[]} measured */
  keep(key, measured) {
    const text = JSON.stringify(measured); // Infinity becomes null
    this.kept.set(key, text);
    try {
      this.storage?.setItem(STORE_PREFIX + key, text);
    } catch {
      this.storage = null; // full, or forbidden: this page still remembers
    }
  }
}

/** @returns {Storage|null} */
function sessionStorageOrNull() {
  try {
    return globalThis.sessionStorage ?? null;
  } catch {
    return null; // the person blocks storage for this page
  }
}
