// One file from the network: whole, bounded, retried, and never waiting for ever.
import { InPageError, abortError, throwIfAborted } from './errors.js';

/**
 * @typedef {object} FetchPolicy
 * @property {number} retries attempts after the first
 * @property {number} stall_ms an attempt that brings no byte for so long is given up
 * @property {number} backoff_ms wait before the first retry; doubles each time, plus up to half as jitter
 */
/**
 * @typedef {object} FetchOptions
 * @property {FetchPolicy} policy
 * @property {number} [bytes] the exact size, when it is known
 * @property {number} limit the most that is read
 * @property {Uint8Array<ArrayBuffer>} [into] where it goes, of the exact size
 * @property {AbortSignal} [signal]
 * @property {(bytes: number) => void} [onBytes] bytes of this attempt so far
 * @property {RequestCache} [cache]
 * @property {(url: string, init: RequestInit) => Promise<Response>} [fetch]
 */

/** @type {FetchPolicy} */
export const DEFAULT_POLICY = Object.freeze({ retries: 3, stall_ms: 20_000, backoff_ms: 300 });
const MAX_WAIT_MS = 10_000;
const RETRIED_STATUS = new Set([408, 425, 429]);

/** One attempt's failure: what to report if it was the last, and whether another may help. */
class AttemptFailed extends Error {
  /** @param {InPageError} error @param {boolean} again @param {number} [wait_ms] the server's wish */
  constructor(error, again, wait_ms = 0) {
    super(error.message);
    this.error = error;
    this.again = again;
    this.wait_ms = wait_ms;
  }
}

/**
 * @param {string} url
 * @param {FetchOptions} options
 * @returns {Promise<Uint8Array<ArrayBuffer>>} `into`, or in a buffer of its own
 * @throws {InPageError} not_found (404, 410), network, damaged (shorter or longer than `bytes`), aborted
 */
export async function fetchBytes(url, options) {
  const { policy, signal } = options;
  let cache = options.cache ?? 'default';
  for (let attempt = 0; ; attempt++) {
    throwIfAborted(signal, url);
    try {
      return await attemptFetch(url, { ...options, cache });
    } catch (thrown) {
      throwIfAborted(signal, url);
      if (!(thrown instanceof AttemptFailed)) throw thrown;
      if (!thrown.again || attempt >= policy.retries) throw thrown.error;
      if (thrown.error.code === 'damaged') cache = 'reload'; // a truncated copy may sit in the HTTP cache
      const backoff = policy.backoff_ms * 2 ** attempt * (1 + Math.random() / 2);
      await sleep(Math.min(Math.max(backoff, thrown.wait_ms), MAX_WAIT_MS), signal, url);
    }
  }
}

/**
 * @param {string} url @param {FetchOptions} options
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
async function attemptFetch(url, options) {
  const { policy, signal, cache } = options;
  const controller = new AbortController();
  const onAbort = () => controller.abort();
  signal?.addEventListener('abort', onAbort, { once: true });
  let stalled = false;
  const onStall = () => { stalled = true; controller.abort(); };
  let timer = setTimeout(onStall, policy.stall_ms);
  const alive = () => { clearTimeout(timer); timer = setTimeout(onStall, policy.stall_ms); };
  try {
    const response = await (options.fetch ?? fetch)(url, { signal: controller.signal, cache });
    alive();
    if (!response.ok) throw statusFailure(url, response);
    return await readBody(url, response, options, alive);
  } catch (thrown) {
    if (thrown instanceof AttemptFailed || thrown instanceof InPageError) throw thrown;
    const what = stalled ? `The server sent nothing for ${policy.stall_ms} ms`
      : `The file could not be fetched (${reason(thrown)})`;
    throw new AttemptFailed(new InPageError('network', what, {
      where: url, hint: 'check the connection and the address, then load again', cause: thrown,
    }), true);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    controller.abort(); // frees the connection when the body was not read to its end
  }
}

/**
 * @param {string} url @param {Response} response @param {FetchOptions} options @param {() => void} alive
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
async function readBody(url, response, { bytes, limit, into, onBytes }, alive) {
  const most = bytes ?? limit;
  let out = into ?? new Uint8Array(bytes ?? Math.min(limit, 65536));
  let length = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const part = await reader?.read();
    if (!part || part.done) break;
    alive();
    const end = length + part.value.length;
    if (end > most) {
      throw bytes === undefined
        ? new AttemptFailed(new InPageError('damaged', `The file is larger than ${limit} bytes`, { where: url }), false)
        : sizeFailure(url, `more than ${bytes}`, bytes);
    }
    if (end > out.length) {
      const grown = new Uint8Array(Math.min(limit, Math.max(end, 2 * out.length)));
      grown.set(out.subarray(0, length));
      out = grown;
    }
    out.set(part.value, length);
    length = end;
    onBytes?.(length);
  }
  if (bytes !== undefined && length !== bytes) throw sizeFailure(url, String(length), bytes);
  return length === out.length ? out : out.slice(0, length);
}

/** @param {string} url @param {string} got @param {number} bytes */
function sizeFailure(url, got, bytes) {
  return new AttemptFailed(new InPageError('damaged', `The file has ${got} bytes where the bundle says ${bytes}`, {
    where: url, hint: 'copy the bundle to the server again',
  }), true);
}

/** @param {string} url @param {Response} response @returns {AttemptFailed} */
function statusFailure(url, { status, headers }) {
  if (status === 404 || status === 410) {
    return new AttemptFailed(new InPageError('not_found', `The server has no such file (${status})`, {
      where: url, hint: 'check the address: it is the folder that holds model.json',
    }), false);
  }
  const again = status >= 500 || RETRIED_STATUS.has(status);
  const after_s = Number(headers.get('retry-after'));
  return new AttemptFailed(new InPageError('network', `The server answered ${status}`, {
    where: url, hint: again ? 'try again later' : 'check that the page may read this address',
  }), again, Number.isFinite(after_s) ? after_s * 1000 : 0);
}

/** @param {unknown} thrown @returns {string} */
function reason(thrown) {
  if (!(thrown instanceof Error)) return String(thrown);
  return thrown.cause instanceof Error ? `${thrown.message}: ${thrown.cause.message}` : thrown.message;
}

/**
 * @param {number} ms @param {AbortSignal} [signal] @param {string} [where]
 * @returns {Promise<void>} rejects with `aborted` as soon as the signal fires
 */
export function sleep(ms, signal, where) {
  return new Promise((resolve, reject) => {
    const onAbort = () => { clearTimeout(timer); reject(abortError(signal, where)); };
    const timer = setTimeout(() => { signal?.removeEventListener('abort', onAbort); resolve(); }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
