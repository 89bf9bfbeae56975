// A model that the site's own server runs, behind the same face: the last resort of a device that cannot.
import { isImage, PixelReader } from '../media/image.js';
import { InPageError, throwIfAborted, unlessAborted } from './errors.js';
import { DEFAULT_POLICY, fetchBytes } from './fetch.js';
import { parseModel } from './manifest.js';
import { Preprocessor } from './preprocess.js';
import { ask } from './remote_http.js';
import { PictureSender, sentSize } from './remote_picture.js';
import { readResponse, writeRequest } from './remote_tensors.js';
import { checkFeeds, checkNames } from './tensor.js';

/** @typedef {import('./index.js').Feeds} Feeds */
/** @typedef {import('./index.js').LoadOptions} LoadOptions */
/** @typedef {import('./tensor.js').Tensor} Tensor */
/** @typedef {import('../media/image.js').Pixels} Pixels */

const MAX_MODEL_JSON_BYTES = 64 * 1024 * 1024;
const RETRIES = 2;
const TIMEOUT_MS = 10_000;
/** Where this site's bundles lie: /models/NAME/… and /static/…/models/NAME/…; NAME is the server's name for the model. */
const MODEL_PATH = /\/models\/([A-Za-z0-9][A-Za-z0-9._-]{0,99})\//;

/**
 * Nothing but model.json is fetched; what is fed goes to the server, which answers and keeps nothing.
 * @param {URL} address of model.json, on this page's own site
 * @param {LoadOptions} [options]
 * @returns {Promise<ServerModel>}
 * @throws {InPageError} invalid_input for another site's address, not_found, network, invalid_model, aborted
 */
export async function loadServer(address, options = {}) {
  const name = MODEL_PATH.exec(address.pathname)?.[1];
  if (address.origin !== globalThis.location?.origin || !name) {
    throw new InPageError('invalid_input', 'Only a model of this page\'s own site can run on its server', {
      where: address.href, hint: 'give an address under /models/ of the same site',
    });
  }
  const { signal, retries, policy } = options;
  const bytes = await fetchBytes(address.href, {
    policy: { ...DEFAULT_POLICY, ...policy, ...(retries === undefined ? {} : { retries }) }, limit: MAX_MODEL_JSON_BYTES, signal,
  });
  /** @type {unknown} */
  let json;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new InPageError('invalid_model', 'It is not JSON', { where: address.href, cause });
  }
  return new ServerModel(parseModel(json), new URL(`/`, address), name, options);
}

/** The public face's Model, on the server. */
export class ServerModel {
  /**
   * @param {import('./manifest.js').Graph} graph @param {URL} site @param {string} served the server's name for it
   * @param {LoadOptions} options
   */
  constructor(graph, site, served, { retries = RETRIES, send = 'picture', onServer, onSend, policy = {} } = {}) {
    this.name = graph.name;
    this.inputs = graph.inputs;
    this.outputs = graph.outputs;
    this.labels = graph.labels;
    this.preprocess = graph.preprocess;
    this.postprocess = graph.postprocess;
    this.precision = graph.precision;
    this.backend = 'server';
    this.base = { infer: new URL(`v2/models/${served}/infer`, site).href, predict: new URL(`api/models/${served}/predict`, site).href };
    this.asking = { retries, timeout_ms: TIMEOUT_MS, backoff_ms: policy.backoff_ms, onState: onServer, onSend, where: `the server's model "${served}"` };
    this.send = send;
    this.reader = new PixelReader();
    this.preprocessor = this.preprocess && new Preprocessor(this.preprocess);
    this.sender = this.preprocess && new PictureSender(this.preprocess);
    this.ended = new AbortController();
    /** @type {Promise<unknown>} one request in flight */
    this.tail = Promise.resolve();
  }

  /** Nothing of the model is here. @returns {{bytes: number}} */
  memory() { return { bytes: 0 }; }

  /**
   * Calls are answered in their order, one request in flight.
   * @param {Feeds} feeds by input name
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<Record<string, Tensor>>} by output name
   * @throws {InPageError} network, server_busy, server_failed, not_found, invalid_input, aborted, disposed
   */
  async run(feeds, { signal } = {}) {
    this.refuseWhenDisposed();
    throwIfAborted(signal, 'run()');
    checkNames(this.inputs, feeds);
    const read = this.read(feeds); // now: a video shows something else when the turn comes
    const result = Promise.all([read, this.tail]).then(async ([ready]) => {
      this.refuseWhenDisposed();
      throwIfAborted(signal, 'run()');
      return this.ask(ready, signal);
    });
    this.tail = result.catch(() => {}); // the caller has the failure; the next call is asked all the same
    return unlessAborted(result, signal, 'run()');
  }

  /** @param {Feeds} feeds @returns {Promise<Record<string, {pixels: Pixels}|{tensor: Tensor}>>} */
  async read(feeds) {
    /** @type {Record<string, {pixels: Pixels}|{tensor: Tensor}>} */
    const ready = {};
    for (const [name, feed] of Object.entries(feeds)) {
      const where = `input "${name}"`;
      if (!isImage(feed)) {
        const { data, shape } = /** @type {Tensor} */ (feed);
        ready[name] = { tensor: ArrayBuffer.isView(data) ? { data: data.slice(), shape } : /** @type {Tensor} */ (feed) };
      } else if (this.preprocess?.input === name) ready[name] = { pixels: await this.reader.read(feed, { where }) };
      else {
        throw new InPageError('invalid_input', 'The bundle does not say how to make a tensor of a picture', {
          where, hint: 'feed a tensor {data, shape}, or convert the model with --size, --mean, --std and the like',
        });
      }
    }
    return ready;
  }

  /** @param {Record<string, {pixels: Pixels}|{tensor: Tensor}>} ready @param {AbortSignal} [signal] */
  async ask(ready, signal) {
    const [only] = Object.values(ready);
    const stop = new AbortController();
    const onStop = () => stop.abort(signal?.reason);
    for (const each of [signal, this.ended.signal]) each?.addEventListener('abort', onStop, { once: true });
    try {
      const alone = this.inputs.length === 1 && 'pixels' in only && this.send === 'picture' && this.preprocess && sentSize(this.preprocess, only.pixels);
      const question = alone && this.sender ? { body: await this.sender.encode(only.pixels), headers: { 'Content-Type': 'image/jpeg' } }
        : writeRequest(this.inputs, this.tensors(ready));
      const url = alone ? this.base.predict : this.base.infer;
      const { content, headers } = await ask(url, question, { ...this.asking, signal: stop.signal });
      return readResponse(content, headers.get('inference-header-content-length'));
    } catch (thrown) {
      this.refuseWhenDisposed();
      throw thrown;
    } finally {
      for (const each of [signal, this.ended.signal]) each?.removeEventListener('abort', onStop);
    }
  }

  /** @param {Record<string, {pixels: Pixels}|{tensor: Tensor}>} ready @returns {Record<string, Tensor>} */
  tensors(ready) {
    const feeds = Object.fromEntries(Object.entries(ready).map(([name, feed]) => [name,
      'pixels' in feed ? /** @type {Preprocessor} */ (this.preprocessor).run(feed.pixels) : feed.tensor]));
    checkFeeds(this.inputs, feeds);
    return feeds;
  }

  refuseWhenDisposed() {
    if (this.ended.signal.aborted) throw new InPageError('disposed', `The model "${this.name}" was disposed`, { hint: 'load it again' });
  }

  /** Ends the request in flight; waiting calls are rejected. May be called twice. @returns {Promise<void>} */
  async dispose() {
    this.ended.abort();
    await this.tail;
  }
}
