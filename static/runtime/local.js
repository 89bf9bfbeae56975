// A model on the calling thread: bundle + kernels + engine behind the public face.
import { decodeBlob, drawableSize, isImage, isPixels, PixelReader, snapshot } from '../media/image.js';
import { loadBundle, readBeside } from './bundle.js';
import { chooseBackend } from './choose.js';
import { createEngine, openEngine, unsupported } from './engine.js';
import { InPageError, asInPageError, throwIfAborted, unlessAborted } from './errors.js';
import { kernels } from './kernels.js';
import { keepLater, loadPrepared } from './prepared.js';
import { Preprocessor } from './preprocess.js';
import { checkFeeds, checkNames } from './tensor.js';

/** @typedef {import('./bundle.js').Graph} Graph */
/** @typedef {import('./index.js').LoadOptions} LoadOptions */
/** @typedef {import('./index.js').Feeds} Feeds */
/** @typedef {import('./tensor.js').Tensor} Tensor */
/**
 * @typedef {object} Engine
 * @property {string} backend
 * @property {(feeds: Record<string, Tensor>, onSent?: () => void) => Promise<Record<string, Tensor>>} run onSent: the
 *   next call may be made before this one has ended
 * @property {() => {bytes: number}} memory
 * @property {() => void} dispose
 * @property {() => import('./wasm_engine.js').Ready|null} [snapshot] for a later visit
 * @property {import('./gpu/check.js').Numerics|null} [numerics] of a GPU
 * @property {(feeds: Record<string, Tensor>) => Promise<import('./index.js').StepTime[]>} [profile]
 * @property {(name: string, source: any, size: {width: number, height: number}, spec: import('./preprocess.js').PreprocessSpec) =>
 *   import('./gpu/pictures.js').PictureFeed|null} [capture] a picture as it is now, in the place of a tensor
 */
/**
 * @typedef {object} Parts what a model is made of; tests put their own in
 * @property {(graph: Graph, weights: Map<string, import('./tensor.js').TensorData>,
 *   options: {backend: 'wasm', wasm: WebAssembly.Module, opened?: ReturnType<typeof openEngine>}) => Promise<Engine>} createEngine
 * @property {typeof openEngine} [openEngine]
 * @property {(graph: Graph) => {type: string, reason: string, where: string}[]
 *   |Promise<{type: string, reason: string, where: string}[]>} unsupported
 * @property {() => Promise<WebAssembly.Module>} kernels
 */

/**
 * @param {string|URL|import('./source.js').Source} address
 * @param {LoadOptions & {near?: import('./near.js').Near, begun?: ReturnType<typeof loadPrepared>}} [options] `worker` is not looked at;
 *   begun: the look for what an earlier visit kept
 * @param {Parts} [parts]
 * @returns {Promise<LocalModel>}
 * @throws {InPageError}
 */
export async function loadLocal(address, options = {}, parts = { createEngine, openEngine, unsupported, kernels }) {
  const { signal, onProgress, retries, policy, cache, near } = options;
  const backend = chooseBackend(options.backend);
  const where = typeof address === 'object' && 'model' in address ? address.model : String(address);
  throwIfAborted(signal, where);
  const patience = { ...policy, ...(retries === undefined ? {} : { retries }) };
  const gpu = backend === 'wasm' ? null : new (await import('./gpu/load.js')).GpuLoader(backend, options.precision ?? 'float32');
  const stop = new AbortController(); // a failure on one side ends the work on the other
  const onAbort = () => stop.abort();
  signal?.addEventListener('abort', onAbort, { once: true });
  const compiled = unlessAborted(parts.kernels(), stop.signal, where);
  /** @type {Map<Graph, ReturnType<typeof openEngine>>} */
  const opened = new Map();
  const open = async (/** @type {Graph} */ graph) => /** @type {typeof openEngine} */ (parts.openEngine)(graph, { wasm: await compiled });
  const fresh = async () => {
    const [bundle, wasm] = await Promise.all([
      loadBundle(address, {
        onProgress, cache, near, signal: stop.signal, policy: patience, keepHalves: !gpu, // the kernels' memory takes them as they are
        check: async (graph) => {
          refuseUnsupported(await parts.unsupported(graph));
          if (gpu || !parts.openEngine) return;
          const engine = open(graph);
          opened.set(graph, engine);
          engine.catch(() => {}); // who waits for it has the failure
        },
      }),
      compiled,
    ]);
    const read = (/** @type {import('./bundle.js').Chunk} */ file) => readBeside(address, file, { signal: stop.signal, policy: patience });
    const made = gpu ? gpu.create(bundle.graph, bundle.weights, wasm, read) : parts.createEngine(bundle.graph, bundle.weights, { backend: 'wasm', wasm, opened: opened.get(bundle.graph) });
    const engine = await made.catch((thrown) => {
      throw asInPageError(thrown, 'invalid_model', { where, hint: 'convert the model again' });
    });
    const { graph, stored, text } = bundle;
    if (cache !== false && text && 'snapshot' in engine && engine.snapshot) keepLater(where, text, wasm, engine.snapshot);
    return { graph, engine, stored };
  };
  try {
    const { begun } = options, wanted = !gpu && cache !== false;
    if (!wanted) begun?.then((found) => found?.engine.dispose());
    const kept = wanted ? await (begun ?? loadPrepared(where, () => compiled, { signal: stop.signal, policy: patience })) : null;
    const { graph, engine, stored } = /** @type {{graph: Graph, engine: Engine, stored?: Promise<boolean>}} */ (kept ?? await fresh());
    const model = new LocalModel(graph, engine, stored);
    try {
      throwIfAborted(signal, where);
      const total = graph.chunks.reduce((sum, chunk) => sum + chunk.bytes, 0);
      onProgress?.({ stage: 'ready', loaded: total, total });
    } catch (thrown) {
      await model.dispose();
      throw thrown;
    }
    return model;
  } catch (thrown) {
    throwIfAborted(signal, where);
    throw thrown;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    stop.abort();
    await gpu?.close();
  }
}

/** @param {{type: string, reason: string, where: string}[]} problems */
function refuseUnsupported(problems) {
  if (!problems.length) return;
  const list = problems.map(({ type, reason, where }) => `${type} (${[reason, where].filter(Boolean).join(', at ')})`);
  throw new InPageError('unsupported', `The model needs what this runtime does not have: ${list.join(', ')}`, {
    hint: 'convert it with the converter of the same release, or use a newer runtime',
  });
}

/**
 * What a bundle says about itself, as plain data that can cross to another thread.
 * @param {Graph} graph
 * @returns {import('./index.js').Description}
 */
export function describe({ name, inputs, outputs, labels, preprocess, postprocess, precision }) {
  return structuredClone({ name, inputs, outputs, labels, preprocess, postprocess, precision });
}

/** Gives back pictures that no run has used up. @param {Map<string, any>} ready */
function closePictures(ready) {
  for (const { tensor } of ready.values()) tensor?.picture?.close();
}

/** The public face's Model, on this thread. */
export class LocalModel {
  /**
   * @param {Graph} graph @param {Engine} engine
   * @param {Promise<boolean>} [stored] settles when the weights are kept for the next visit
   */
  constructor(graph, engine, stored = Promise.resolve(false)) {
    const { name, inputs, outputs, labels, preprocess, postprocess, precision } = describe(graph);
    this.name = name;
    this.inputs = inputs;
    this.outputs = outputs;
    this.labels = labels;
    this.preprocess = preprocess;
    this.postprocess = postprocess;
    this.precision = precision;
    this.backend = engine.backend;
    this.numerics = engine.numerics ?? null;
    this.stored = stored;
    this.engine = engine;
    this.disposed = false;
    this.reader = new PixelReader();
    this.preprocessor = preprocess && new Preprocessor(preprocess);
    /** @type {Promise<unknown>} settles when all calls so far are done */
    this.tail = Promise.resolve();
    /** @type {Promise<void>} settles when the engine can take the next call */
    this.turn = Promise.resolve();
  }

  /** Bytes that the model holds. @returns {{bytes: number}} */
  memory() {
    return this.disposed ? { bytes: 0 } : this.engine.memory();
  }

  /**
   * Runs the model. Calls are answered in their order, one at a time; tensors must stay as they are until then.
   * @param {Feeds} feeds by input name
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<Record<string, Tensor>>} by output name
   * @throws {InPageError} invalid_input, aborted, disposed, out_of_memory
   */
  async run(feeds, { signal } = {}) {
    this.refuseWhenDisposed();
    throwIfAborted(signal, 'run()');
    checkNames(this.inputs, feeds);
    const read = this.readImages(feeds); // now: a video or canvas shows something else when the turn comes
    const before = this.turn;
    let onSent = () => {};
    this.turn = new Promise((resolve) => { onSent = resolve; });
    const result = Promise.all([read.catch(() => null), before]).then(async () => {
      const ready = await read;
      this.refuseWhenDisposed();
      throwIfAborted(signal, 'run()');
      return this.compute(ready, onSent);
    }).finally(() => {
      onSent();
      read.then(closePictures, () => {}); // nothing was read
    });
    // the caller has the failure and the result: kept here, they would hold all before them, too
    this.tail = Promise.all([this.tail, result.catch(() => {})]).then(() => {});
    return unlessAborted(result, signal, 'run()');
  }

  /**
   * Runs once and tells the time of every step; waits for all calls before it.
   * @param {Feeds} feeds @returns {Promise<import('./index.js').StepTime[]>}
   * @throws {InPageError} as run; unsupported where the backend has no clock for steps
   */
  async profile(feeds) {
    this.refuseWhenDisposed();
    const { profile } = this.engine;
    if (!profile) throw new InPageError('unsupported', `The backend "${this.backend}" does not time its steps`);
    checkNames(this.inputs, feeds);
    const result = Promise.all([this.readImages(feeds), this.tail]).then(([ready]) => {
      this.refuseWhenDisposed();
      return profile.call(this.engine, this.tensorsOf(ready));
    });
    this.tail = result.then(() => {}, () => {}); // the caller has the failure
    this.turn = this.tail.then(() => {});
    return result;
  }

  refuseWhenDisposed() {
    if (this.disposed) {
      throw new InPageError('disposed', `The model "${this.name}" was disposed`, { hint: 'load it again' });
    }
  }

  /**
   * @param {Feeds} feeds
   * @returns {Promise<Map<string, {pixels: import('../media/image.js').Pixels}|{tensor: any}>>} in order
   */
  async readImages(feeds) {
    const read = new Map();
    for (const [name, feed] of Object.entries(feeds)) {
      if (!isImage(feed)) {
        read.set(name, { tensor: feed });
        continue;
      }
      const where = `input "${name}"`;
      if (this.preprocess?.input !== name) {
        throw new InPageError('invalid_input', 'The bundle does not say how to make a tensor of a picture', {
          where, hint: 'feed a tensor {data, shape}, or convert the model with --size, --mean, --std and the like',
        });
      }
      const captured = await this.capture(name, feed, where);
      read.set(name, captured ? { tensor: captured } : { pixels: await this.reader.read(feed, { where }) });
    }
    return read;
  }

  /**
   * A picture on the GPU, where the engine takes it.
   * @param {string} name @param {import('../media/image.js').ImageSource} feed @param {string} where
   * @returns {Promise<import('./gpu/pictures.js').PictureFeed|null>}
   */
  async capture(name, feed, where) {
    const { engine, preprocess } = this;
    if (!engine.capture || !preprocess) return null;
    const isVideo = [globalThis.VideoFrame, globalThis.HTMLVideoElement].some((type) => type && feed instanceof type);
    if (feed instanceof Blob || isVideo) { // frames straight from a decoder have crashed GPU processes
      const options = { where }, bitmap = feed instanceof Blob ? await decodeBlob(feed, options)
        : await snapshot(/** @type {import('../media/image.js').Drawable} */ (feed), options);
      try {
        return engine.capture(name, bitmap, bitmap, preprocess);
      } finally {
        bitmap.close();
      }
    }
    if (isPixels(feed)) {
      const { data, width, height } = feed, plain = !('colorSpace' in feed) || feed.colorSpace === 'srgb';
      const whole = (data instanceof Uint8ClampedArray || data instanceof Uint8Array) && data.length === 4 * width * height && width * height > 0;
      return plain && whole ? engine.capture(name, { data }, { width, height }, preprocess) : null;
    }
    if (typeof HTMLImageElement === 'function' && feed instanceof HTMLImageElement) return null; // it may not be decoded yet
    return engine.capture(name, feed, drawableSize(/** @type {import('../media/image.js').Drawable} */ (feed), where), preprocess);
  }

  /**
   * @param {Map<string, {pixels: import('../media/image.js').Pixels}|{tensor: any}>} ready
   * @returns {Record<string, Tensor>} checked
   */
  tensorsOf(ready) {
    /** @type {Record<string, Tensor>} */
    const tensors = Object.create(null);
    for (const [name, feed] of ready) {
      tensors[name] = 'pixels' in feed && this.preprocessor ? this.preprocessor.run(feed.pixels)
        : /** @type {{tensor: Tensor}} */ (feed).tensor;
    }
    checkFeeds(this.inputs, tensors);
    return tensors;
  }

  /**
   * @param {Map<string, {pixels: import('../media/image.js').Pixels}|{tensor: any}>} ready @param {() => void} onSent
   * @returns {Promise<Record<string, Tensor>>}
   */
  async compute(ready, onSent) {
    const tensors = this.tensorsOf(ready);
    try {
      return await this.engine.run(tensors, onSent);
    } catch (thrown) {
      throw asInPageError(thrown, 'invalid_model', { where: `model "${this.name}"`, hint: 'convert the model again' });
    }
  }

  /**
   * Frees the memory once the call in progress has ended; calls still waiting are rejected. May be called twice.
   * @returns {Promise<void>}
   */
  async dispose() {
    if (this.disposed) return;
    this.disposed = true;
    await this.tail;
    this.engine.dispose();
    await this.stored;
  }
}
