// One question to the site's own server: asked again while it is busy or away, in the words of errors.js when it fails.
import { InPageError, asInPageError, throwIfAborted } from './errors.js';
import { sleep } from './fetch.js';

/** @typedef {{state: 'ok'|'busy'|'away', retry_ms: number}} ServerState retry_ms: how long until it is asked again */
/**
 * @typedef {object} AskOptions
 * @property {number} retries attempts after the first
 * @property {number} timeout_ms of one attempt, waiting in the server's queue included
 * @property {number} [backoff_ms] wait before the first retry; doubles each time, plus up to half as jitter
 * @property {AbortSignal} [signal]
 * @property {(state: ServerState) => void} [onState]
 * @property {(bytes: number) => void} [onSend] before each attempt: how many bytes its body has
 * @property {string} where for messages
 */

/** The server is well, but will not or cannot answer now. */
const BUSY = new Set([429, 503, 504]);
const MAX_WAIT_MS = 30_000;
/** The server's own deadline comes first: its answer says more than our giving up. */
const GRACE_MS = 2000;

/** One attempt's failure, which another may mend. */
class TryAgain extends Error {
  /** @param {InPageError} error @param {'busy'|'away'} state @param {number} wait_ms the server's wish */
  constructor(error, state, wait_ms) {
    super(error.message);
    this.error = error;
    this.state = state;
    this.wait_ms = wait_ms;
  }
}

/**
 * @param {string} url @param {{body: Blob, headers: Record<string, string>}} question
 * @param {AskOptions} options
 * @returns {Promise<{content: ArrayBuffer, headers: Headers}>}
 * @throws {InPageError} network (it cannot be reached), server_busy (429, 503, 504 to the last attempt), server_failed,
 *   not_found, invalid_input (it does not take that), aborted
 */
export async function ask(url, question, options) {
  const { retries, backoff_ms = 500, signal, onState, where } = options;
  for (let attempt = 0; ; attempt++) {
    throwIfAborted(signal, where);
    try {
      const answer = await attemptAsk(url, question, options);
      onState?.({ state: 'ok', retry_ms: 0 });
      return answer;
    } catch (thrown) {
      throwIfAborted(signal, where);
      if (!(thrown instanceof TryAgain)) throw thrown;
      const wait_ms = Math.min(MAX_WAIT_MS, Math.max(thrown.wait_ms, backoff_ms * 2 ** attempt * (1 + Math.random() / 2)));
      onState?.({ state: thrown.state, retry_ms: wait_ms });
      if (attempt >= retries) throw thrown.error;
      await sleep(wait_ms, signal, where);
    }
  }
}

/**
 * @param {string} url @param {{body: Blob, headers: Record<string, string>}} question @param {AskOptions} options
 * @returns {Promise<{content: ArrayBuffer, headers: Headers}>}
 */
async function attemptAsk(url, { body, headers }, { timeout_ms, signal, onSend, where }) {
  const controller = new AbortController();
  const onAbort = () => controller.abort();
  signal?.addEventListener('abort', onAbort, { once: true });
  const timer = setTimeout(onAbort, timeout_ms + GRACE_MS);
  onSend?.(body.size);
  try {
    const response = await fetch(url, {
      method: 'POST', body, cache: 'no-store', credentials: 'same-origin', redirect: 'error', signal: controller.signal,
      headers: { Accept: 'application/octet-stream', 'timeout-ms': String(timeout_ms), ...headers },
    });
    if (!response.ok) throw await failure(response, where);
    return { content: await response.arrayBuffer(), headers: response.headers };
  } catch (thrown) {
    if (thrown instanceof TryAgain || thrown instanceof InPageError) throw thrown;
    const text = asInPageError(thrown, 'network').what;
    const what = controller.signal.aborted && !signal?.aborted ? `The server did not answer within ${timeout_ms} ms`
      : `The server cannot be reached (${text})`;
    throw new TryAgain(new InPageError('network', what, { where, hint: 'check the connection', cause: thrown }), 'away', 0);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

/** @param {Response} response @param {string} where @returns {Promise<TryAgain|InPageError>} */
async function failure(response, where) {
  const { status, headers } = response;
  const { message, hint } = await explanation(response);
  if (BUSY.has(status)) {
    const what = status === 504 ? 'The server did not get round to this in time' : `The server is busy (${status})`;
    const error = new InPageError('server_busy', what, { where, hint: hint || 'try again later' });
    return new TryAgain(error, 'busy', retryAfter_ms(headers.get('retry-after')));
  }
  if (status === 502) {
    return new TryAgain(new InPageError('network', 'The server behind this address does not answer (502)', { where, hint }), 'away', 0);
  }
  const code = status === 404 ? 'not_found' : [400, 413, 415, 422].includes(status) ? 'invalid_input' : 'server_failed';
  return new InPageError(code, message || `The server answered ${status}`, { where, hint });
}

/** The server's own words: `{error: {message, hint}}`, or the protocol's `{error, message, hint}`. @param {Response} response */
async function explanation(response) {
  try {
    const json = await response.json();
    const { message = '', hint = '' } = typeof json.error === 'object' ? json.error : json;
    return { message: String(message), hint: String(hint) };
  } catch {
    return { message: '', hint: '' }; // a proxy in between answered in its own words
  }
}

/** Seconds, or a date. @param {string|null} text @returns {number} milliseconds from now */
export function retryAfter_ms(text, now = Date.now()) {
  if (!text) return 0;
  const wait = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isFinite(wait) ? Math.max(0, wait) : 0;
}
