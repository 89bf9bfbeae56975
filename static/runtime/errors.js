// The one error type of the runtime: what went wrong, where, and what to do next.

/**
 * @typedef {'not_found'|'network'|'aborted'|'damaged'|'invalid_model'|'unsupported'|'invalid_input'
 *   |'no_backend'|'disposed'|'out_of_memory'|'worker_lost'|'device_lost'|'server_busy'|'server_failed'} ErrorCode
 */

/** @type {readonly ErrorCode[]} */
export const ERROR_CODES = Object.freeze([
  'not_found',      // the bundle, or a file of it, is not there (404, 410, ENOENT)
  'network',        // it could not be fetched after all retries
  'aborted',        // the caller's AbortSignal fired
  'damaged',        // a file arrived whole but is not what the bundle says it is
  'invalid_model',  // model.json is not a bundle, or contradicts itself
  'unsupported',    // a sound bundle that needs something this runtime does not have
  'invalid_input',  // what was given to run() or load() does not fit
  'no_backend',     // this device or installation cannot run the requested backend
  'disposed',       // the model was disposed before the call ended
  'out_of_memory',  // the device refused the memory
  'worker_lost',    // the worker died or never answered
  'device_lost',    // the GPU was taken away, and could not be had again
  'server_busy',    // the server that was to run the model has no time, after all retries
  'server_failed',  // it answered that it cannot, or that this page may not
]);

/** @typedef {{code: ErrorCode, message: string, what: string, where: string, hint: string}} PlainError */

/**
 * Every failure of the runtime. `message` is one sentence: what; where; hint.
 */
export class InPageError extends Error {
  /**
   * @param {ErrorCode} code machine-readable kind
   * @param {string} what what went wrong, without a full stop
   * @param {{where?: string, hint?: string, cause?: unknown}} [detail] the file, input or operator concerned;
   *   what to do next; the error that led here
   */
  constructor(code, what, { where = '', hint = '', cause } = {}) {
    super([what, where && `at ${where}`, hint].filter(Boolean).join('; '), cause === undefined ? {} : { cause });
    this.name = 'InPageError';
    /** @type {ErrorCode} */
    this.code = code;
    this.what = what;
    this.where = where;
    this.hint = hint;
  }

  /** A plain object that survives JSON and structured clone. @returns {PlainError} */
  toJSON() {
    return { code: this.code, message: this.message, what: this.what, where: this.where, hint: this.hint };
  }

  /**
   * The error again, from `toJSON()` on the other side of a worker or process.
   * @param {PlainError} plain
   * @returns {InPageError}
   */
  static fromJSON({ code, what, where, hint }) {
    return new InPageError(code, what, { where, hint });
  }
}

/**
 * The abort error of a signal, keeping the caller's own reason as the cause.
 * @param {AbortSignal} [signal]
 * @param {string} [where] what was being done
 * @returns {InPageError}
 */
export function abortError(signal, where = '') {
  return new InPageError('aborted', 'The caller aborted the work', { where, cause: signal?.reason });
}

/**
 * Throws the abort error when the signal has fired.
 * @param {AbortSignal} [signal]
 * @param {string} [where]
 */
export function throwIfAborted(signal, where) {
  if (signal?.aborted) throw abortError(signal, where);
}

/**
 * Any thrown value as an InPageError: ours unchanged, the engine's out-of-memory errors recognised, the rest
 * under `code`.
 * @param {unknown} thrown
 * @param {ErrorCode} code the kind to give to an error that is not ours
 * @param {{where?: string, hint?: string}} [detail]
 * @returns {InPageError}
 */
export function asInPageError(thrown, code, detail = {}) {
  if (thrown instanceof InPageError) return thrown;
  const text = thrown instanceof Error ? thrown.message || thrown.name : String(thrown);
  if (thrown instanceof RangeError && /alloc|memory|array length|buffer size/i.test(text)) {
    return new InPageError('out_of_memory', `The device refused the memory (${text})`, {
      where: detail.where, cause: thrown,
      hint: 'close other tabs, use a smaller input, or dispose models that are not needed',
    });
  }
  return new InPageError(code, text, { ...detail, cause: thrown });
}

/**
 * Waits for a promise, but no longer than the signal allows; the work itself goes on for others who wait for it.
 * @template T
 * @param {Promise<T>} work @param {AbortSignal} [signal] @param {string} [where]
 * @returns {Promise<T>}
 */
export async function unlessAborted(work, signal, where) {
  if (!signal) return work;
  /** @type {() => void} */
  let onAbort = () => {};
  const aborted = new Promise((resolve) => {
    onAbort = () => resolve(undefined);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
  try {
    await Promise.race([work, aborted]);
    throwIfAborted(signal, where);
    return await work;
  } finally {
    signal.removeEventListener('abort', onAbort);
    work.catch(() => {}); // when the signal won, nobody else may be waiting for the failure
  }
}
