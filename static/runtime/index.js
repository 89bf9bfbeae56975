// The public face: load(url) -> model.run(feeds).
import { chooseBackend } from './choose.js';
import { IN_NODE, resolveUrl } from './source.js';

export { capabilities } from './choose.js';
export { InPageError } from './errors.js';

/** @typedef {import('./tensor.js').Tensor} Tensor */
/** @typedef {import('./tensor.js').TensorInfo} TensorInfo */
/** @typedef {import('../media/image.js').ImageSource} ImageSource */
/** @typedef {Record<string, Tensor|ImageSource>} Feeds by input name; a picture is preprocessed as the bundle says */
/**
 * @typedef {object} LoadOptions
 * @property {import('./choose.js').Backend|'auto'|'server'} [backend] auto: the first that answers, then the one whose runs
 *   are fastest here; server: the site's own server, which then sees what is fed
 * @property {'float32'|'float16'} [precision] of what a GPU keeps between steps; float16 is checked at load, and given up
 *   where it strays too far; default float32
 * @property {boolean} [worker] run in a worker, shared by the models of the page; default: wherever there are workers
 * @property {(progress: import('./bundle.js').Progress) => void} [onProgress] bytes of weights, never going back
 * @property {AbortSignal} [signal]
 * @property {number} [retries] further attempts per file; default 3
 * @property {boolean} [cache] keep the weights in the Cache API for the next visit; default true
 * @property {Partial<import('./fetch.js').FetchPolicy>} [policy] finer wishes about the network
 * @property {number} [enough_ms] auto: a backend this fast needs no rival; 0 measures all of them
 * @property {number} [slow_ms] auto: above this p95 another backend is looked for
 * @property {(slow: {backend: string, p95_ms: number}) => void} [onSlow] auto: no backend is faster than that; told once
 * @property {(state: import('./remote_http.js').ServerState) => void} [onServer] server: busy, away, and answering again
 * @property {(bytes: number) => void} [onSend] server: before each question, how many bytes of what was fed it carries
 * @property {'picture'|'tensor'} [send] server: a picture as JPEG, or exactly as numbers (many times the bytes)
 */
/**
 * @typedef {object} Description
 * @property {string} name
 * @property {TensorInfo[]} inputs
 * @property {TensorInfo[]} outputs
 * @property {string[]|null} labels
 * @property {import('./preprocess.js').PreprocessSpec|null} preprocess
 * @property {Record<string, any>|null} postprocess as given to the converter
 * @property {'float32'|'float16'|'int8-weights'|'int8'} precision of the bundle; int8 computes with whole numbers, the others in float32
 */
/**
 * @typedef {object} StepTime
 * @property {string} where operators of the model, or what they make
 * @property {string} kind
 * @property {'gpu'|'wasm'} on
 * @property {number} ms @property {number} bytes read and written @property {number} flops
 */
/**
 * @typedef {object} Running
 * @property {string} backend
 * @property {() => {bytes: number}} memory what the model holds (in a worker: as of its last answer)
 * @property {(feeds: Feeds, options?: {signal?: AbortSignal}) => Promise<Record<string, Tensor>>} run
 *   calls are answered in their order
 * @property {import('./gpu/check.js').Numerics|null} [numerics] of a GPU: its precision, and the error measured at load
 * @property {(feeds: Feeds) => Promise<StepTime[]>} [profile] runs once, and times every step
 * @property {() => Promise<void>} dispose frees everything; calls in progress end with code "disposed"
 */
/** @typedef {Description & Running} Model */

/**
 * Loads a bundle, or a package of the original Paddle.js converter: its pictures are for the page to prepare.
 * @param {string|URL} address the bundle's folder or its model.json; in Node a path, too
 * @param {LoadOptions} [options]
 * @returns {Promise<Model>}
 * @throws {import('./errors.js').InPageError} see errors.js for the codes
 */
export async function load(address, options = {}) {
  if (options.backend === 'server') {
    const { loadServer } = await import('./remote.js');
    return loadServer(resolveUrl(address), options);
  }
  if (options.backend === 'auto') {
    const { loadWatched } = await import('./watch.js');
    return loadWatched(address, options);
  }
  chooseBackend(options.backend); // before anything is fetched
  const { worker = !IN_NODE && typeof Worker === 'function' } = options;
  if (!worker) {
    const { loadLocal } = await import('./local.js');
    return loadLocal(address, options);
  }
  const { loadRemote } = await import('./worker_client.js');
  return loadRemote(resolveUrl(address).href, options);
}
