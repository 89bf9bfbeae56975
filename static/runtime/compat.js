// Paddle.js 2.x's Runner on top of this runtime: a page written for it changes one import line.
//
//   - import { Runner } from '@paddlejs/paddlejs-core';
//   - import '@paddlejs/paddlejs-backend-webgl';
//   + import { Runner } from './runtime/compat.js';
//
// Packages of the original converter run as they are, and so do this project's bundles. What differs:
// - Errors are thrown (InPageError), where the original logs them and goes on with wrong numbers.
// - WebGL is not used: backends need not be imported or registered, and env settings about textures do nothing.
// - Missing attributes take Paddle's defaults, so that some models give other, right numbers.
// - With webglFeedProcess a picture is scaled by the canvas (linear), not by picking the nearest pixel.
// - A model with several outputs gives [{name: numbers}, …] also where the package lacks multiOutputs.
// - plugins: preTransforms run; transforms and postTransforms, which edit the original's own layers, are refused.
// - dispose() is new: it frees the model.
import { MediaProcessor } from './compat_media.js';
import { InPageError } from './errors.js';
import { DEFAULT_POLICY } from './fetch.js';
import { load } from './index.js';
import { IN_NODE, openSource } from './source.js';
import { DTYPES, sizeOf } from './tensor.js';

export { InPageError };

/** @typedef {import('./compat_media.js').FeedShape} FeedShape */
/** @typedef {import('./compat_media.js').Media} Media */
/** @typedef {Pick<Transformer, 'transform'>} Transform */
/** @typedef {{preTransforms?: Transform[], transforms?: Transform[], postTransforms?: Transform[]}} Plugins */
/** @typedef {{data: ArrayLike<number>, shape?: number[], name?: string, persistable?: boolean}} Feed */
/** @typedef {number[]|Record<string, number[]>[]|number[][]} Result numbers of the one output; [{name: numbers}, …] of several;
 *   [[class, score, left, top, right, bottom], …] where the package ends with multiclass_nms */
/**
 * @typedef {object} RunnerOwn
 * @property {string} [modelPath] address of the package's folder or model.json; as in the original, one that does not start
 *   with "http" is taken from the site's root (in Node: a path)
 * @property {{model: any, params: ArrayLike<number>}} [modelObj] a package in memory, in place of modelPath
 * @property {string} [modelName]
 * @property {FeedShape} [feedShape] for packages that do not say it themselves
 * @property {boolean} [needPreheat] run once on ones in init(); default true
 * @property {'single'|'multiple'|'multipleInput'} [type] not needed: the model says so
 * @property {number} [fileCount] not needed: chunks are found
 * @property {() => number} [getFileCount] not needed: chunks are found
 * @property {Plugins} [plugins]
 */
/** @typedef {RunnerOwn & import('./compat_media.js').MediaOptions} RunnerOptions */

/** @type {Map<string, any>} */
const settings = new Map();

/** The original's global settings. `canvas2d` (a canvas to draw pictures on) is used, the others are only kept. */
export const env = {
  /** @param {string} key @param {any} value */
  set(key, value) { settings.set(key, value); },
  /** @param {string} key @returns {any} */
  get(key) { return settings.get(key); },
};

/** There is nothing to register: accepted, so that a page that does goes on. */
export function registerBackend() {}

/**
 * Operators written as shaders for the original cannot run here.
 * @param {any} op @param {string} [name]
 * @returns {never}
 * @throws {InPageError} unsupported
 */
export function registerOp(op, name = op?.name) {
  throw new InPageError('unsupported', `The operator "${name}" is a shader of the original Paddle.js, which does not run here`, {
    where: 'registerOp()', hint: 'do its work on the result of predict()',
  });
}

/** What plugins of the original extend. */
export class Transformer {
  /** @param {string} name */
  constructor(name) { this.name = name; }

  /** @param {any[]} ops @param {any} vars @param {any} config */
  transform(ops, vars, config) { void [ops, vars, config]; }
}

export class Runner {
  /** @param {RunnerOptions} options */
  constructor(options) {
    this.runnerConfig = { ...options };
    this.needPreheat = options.needPreheat ?? true;
    this.modelName = options.modelName ?? String(Date.now());
    this.isPaused = false;
    this.isExecuted = false;
    /** @type {Partial<FeedShape>} known after init() */
    this.feedShape = { ...options.feedShape };
    this.mediaProcessor = new MediaProcessor(settings.get('canvas2d'));
    /** @type {import('./index.js').Model|null} */
    this.model = null;
    /** @type {Promise<import('./index.js').Model>|null} */
    this.loading = null;
  }

  /**
   * Loads the model; with needPreheat, runs it once on ones.
   * @returns {Promise<Result|undefined>} that run's result
   * @throws {InPageError}
   */
  async init() {
    await this.load();
    return this.needPreheat ? this.preheat() : undefined;
  }

  /** @returns {Promise<import('./index.js').Model>} */
  async load() {
    this.loading ??= this.loadModel().catch((thrown) => {
      this.loading = null; // the next call tries again
      throw thrown;
    });
    return this.loading;
  }

  /** @returns {Promise<import('./index.js').Model>} */
  async loadModel() {
    const { modelPath, modelObj, plugins } = this.runnerConfig;
    refusePlugins(plugins);
    const path = modelPath === undefined ? '' : address(modelPath);
    const edits = plugins?.preTransforms ?? [];
    const inMemory = modelObj?.model && modelObj.params ? memorySource(modelObj, this.modelName) : null;
    if (!path && !inMemory) {
      throw new InPageError('invalid_input', 'There is neither a modelPath nor a modelObj', { where: 'new Runner()' });
    }
    /** @type {import('./index.js').Model} */
    let model;
    if (path && !edits.length) {
      model = await load(path);
    } else {
      const source = path ? await openSource(path) : /** @type {import('./source.js').Source} */ (inMemory);
      const { loadLocal } = await import('./local.js');
      model = await loadLocal(edits.length ? await editedSource(source, edits, this.runnerConfig) : source);
    }
    this.model = model;
    const [input] = model.inputs;
    if (input?.shape.length === 4) {
      const [, fc, fh, fw] = input.shape;
      const sizes = Object.entries({ fc, fh, fw }).filter(([, size]) => typeof size === 'number');
      this.feedShape = { ...this.feedShape, ...Object.fromEntries(sizes) };
    }
    return model;
  }

  /** @returns {Promise<Result>} of a run on ones */
  async preheat() {
    const { inputs } = await this.load();
    return this.execute(inputs.map((input) => {
      const shape = this.shapeOf(input, 0);
      return { data: new Float32Array(sizeOf(shape)).fill(1), shape, name: input.name };
    }));
  }

  /**
   * Runs the model on a picture, made into a feed with the constructor's mean, std, bgr, keepRatio, scale and fill.
   * @param {Media} media also ImageData and Blob, which the original does not take
   * @param {(result: Result) => any} [callback] its value is returned in place of the result
   * @returns {Promise<any>} undefined after stopPredict()
   * @throws {InPageError}
   */
  async predict(media, callback) {
    if (this.isPaused) return undefined;
    const { inputs } = await this.load();
    const { fc = 3, fh, fw } = this.feedShape;
    if (inputs.length !== 1 || !fh || !fw) {
      throw new InPageError('invalid_input', inputs.length === 1 ? 'The size of the picture is not known'
        : `A picture cannot stand for ${inputs.length} inputs`, {
        where: 'predict()', hint: inputs.length === 1 ? 'give feedShape: {fw, fh}' : 'use predictWithFeed()',
      });
    }
    const data = await this.mediaProcessor.process(media, { fc, fh, fw }, this.runnerConfig);
    const result = await this.execute([{ data, shape: [1, fc, fh, fw] }]);
    return callback ? callback(result) : result;
  }

  /**
   * Runs the model on numbers that need no further treatment.
   * @param {number[]|Float32Array|Feed[]|{data: ArrayLike<number>, width?: number, height?: number}} feed planes [1, C, H, W]: as
   *   a flat list, as [{data, shape?, name?}] (by name where the model has several inputs), or as {data, width, height}
   * @param {((result: Result) => any)|null} [callback] its value is returned in place of the result
   * @param {number[]} [shape] of the feed, where the model leaves it open
   * @returns {Promise<any>}
   * @throws {InPageError} invalid_input where the numbers are not as many as the model takes
   */
  async predictWithFeed(feed, callback, shape) {
    await this.load();
    const result = await this.execute(feedsOf(feed, shape, this.feedShape.fc ?? 3));
    return callback ? callback(result) : result;
  }

  /** predict() does nothing from now on. */
  stopPredict() { this.isPaused = true; }

  /** Frees the model; a later call loads it again. @returns {Promise<void>} */
  async dispose() {
    const model = await this.loading?.catch(() => null);
    this.loading = this.model = null;
    await model?.dispose();
  }

  /**
   * @param {Feed[]} given
   * @returns {Promise<Result>}
   */
  async execute(given) {
    const model = await this.load();
    /** @type {Record<string, import('./tensor.js').Tensor>} */
    const feeds = {};
    for (const [i, input] of model.inputs.entries()) {
      const feed = given.find(({ name }) => name === input.name) ?? (model.inputs.length === 1 ? given[i] : undefined);
      if (feed) feeds[input.name] = { data: numbersOf(feed.data, input.dtype), shape: this.shapeOf(input, feed.data.length, feed.shape) };
    }
    const results = await model.run(feeds);
    this.isExecuted = true;
    if (model.postprocess?.postOps) return rowsOf(results[model.outputs[0].name]);
    const lists = model.outputs.map(({ name }) => ({ [name]: Array.from(results[name].data, Number) }));
    return lists.length === 1 ? Object.values(lists[0])[0] : lists;
  }

  /**
   * The shape of a feed: the model's own where it is fixed, else the feed's, else feedShape.
   * @param {import('./index.js').TensorInfo} input @param {number} length of the feed, 0 for one to be made
   * @param {number[]} [given]
   * @returns {number[]}
   */
  shapeOf({ name, shape }, length, given) {
    const fixed = shape.filter((size) => typeof size === 'number');
    if (fixed.length === shape.length) return fixed;
    if (given && (!length || sizeOf(given) === length)) return given;
    const { fc = 3, fh, fw } = this.feedShape;
    if (shape.length === 4 && fh && fw) return [1, fc, fh, fw];
    throw new InPageError('invalid_input', `The size of input "${name}" is not known`, {
      where: 'Runner', hint: 'give feedShape: {fc, fh, fw} to the constructor, or a shape to predictWithFeed()',
    });
  }
}

/** @param {any} feed @param {number[]|undefined} shape @param {number} channels @returns {Feed[]} */
function feedsOf(feed, shape, channels) {
  if (Array.isArray(feed) && feed[0]?.data) return feed.map((one) => ({ ...one, shape: shape ?? one.shape }));
  if (Array.isArray(feed) || ArrayBuffer.isView(feed)) return [{ data: /** @type {any} */ (feed), shape }];
  if (!feed?.data?.length) {
    throw new InPageError('invalid_input', 'The feed holds no numbers', {
      where: 'predictWithFeed()', hint: 'give a list of numbers, [{data, shape}] or {data, width, height}',
    });
  }
  const { data, width, height } = feed;
  if (data instanceof Uint8ClampedArray && data.length === 4 * width * height) {
    throw new InPageError('invalid_input', 'These are pixels (RGBA), not planes of numbers', {
      where: 'predictWithFeed()', hint: 'give them to predict(), which makes a feed of them',
    });
  }
  return [{ data, shape: shape ?? (width && height ? [1, channels, height, width] : undefined) }];
}

/** A detector's rows; what stands for none is no row. @param {import('./tensor.js').Tensor} boxes @returns {number[][]} */
function rowsOf({ data, shape }) {
  const width = shape[shape.length - 1], numbers = Array.from(data, Number);
  if (width < 6) return [];
  return Array.from({ length: numbers.length / width }, (_, i) => numbers.slice(i * width, (i + 1) * width));
}

/** @param {ArrayLike<number>} data @param {string} dtype @returns {import('./tensor.js').TensorData} */
function numbersOf(data, dtype) {
  const { array } = DTYPES[dtype];
  if (data instanceof array) return data;
  return dtype === 'int64' ? BigInt64Array.from(Array.from(data, (value) => BigInt(Math.trunc(value))))
    : /** @type {any} */ (array).from(data);
}

/** @param {string} path @returns {string} */
function address(path) {
  return IN_NODE || /^https?:/.test(path) || path.startsWith('/') ? path : `/${path}`;
}

/** @param {Plugins|undefined} plugins */
function refusePlugins(plugins) {
  if (!plugins?.transforms?.length && !plugins?.postTransforms?.length) return;
  throw new InPageError('unsupported', 'Plugins may transform the model before it is read, not the original\'s layers', {
    where: 'new Runner()', hint: 'move the work into preTransforms, or do it on the result of predict()',
  });
}

/** @param {{model: any, params: ArrayLike<number>}} modelObj @param {string} name @returns {import('./source.js').Source} */
function memorySource({ model, params }, name) {
  const weights = new Uint8Array(Float32Array.from(params).buffer);
  const text = new TextEncoder().encode(JSON.stringify({ ...model, chunkNum: weights.length ? 1 : 0 }));
  return { model: `${name}/model.json`, cached: false, locate: (file) => `${name}/${file}`, read: async (file) => (file ? weights : text) };
}

/**
 * The source with its model.json changed by plugins.
 * @param {import('./source.js').Source} source @param {Transform[]} edits @param {RunnerOptions} config
 * @returns {Promise<import('./source.js').Source>}
 */
async function editedSource(source, edits, config) {
  const text = await source.read('', { policy: DEFAULT_POLICY, limit: 64 * 1024 * 1024 });
  let model;
  try {
    model = JSON.parse(new TextDecoder().decode(text));
  } catch (cause) {
    throw new InPageError('invalid_model', 'model.json is not JSON', { where: source.model, cause });
  }
  for (const edit of edits) edit.transform(model.ops, model.vars, config);
  const edited = new TextEncoder().encode(JSON.stringify(model));
  return { ...source, cached: false, read: async (file, options) => (file ? source.read(file, options) : edited) };
}
