// Finds the page in a picture: network first, edges near its quadrilateral second.

import { PixelReader, drawableSize, isPixels } from '../../media/image.js';
import { InPageError, load as loadBundle } from '../../runtime/index.js';
import { decodeCorners } from './vision/decode.js';
import { orderCorners } from './vision/geometry.js';
import { reduceTo } from './vision/reduce.js';
import { refineCorners } from './vision/refine.js';

/** @typedef {import('./vision/geometry.js').Point} Point */
/** @typedef {import('./vision/geometry.js').Quad} Quad */
/** @typedef {import('./vision/geometry.js').Size} Size */
/** @typedef {import('../../media/image.js').ImageSource} ImageSource */
/** @typedef {import('../../media/image.js').Drawable} Drawable */
/** @typedef {import('../../media/image.js').Pixels} Pixels */
/** @typedef {import('../../runtime/index.js').Model} Model */
/** @typedef {{corners: Quad, score: number}} Found corners TL, TR, BR, BL in the source's pixels (beyond them where the page is); score 0..1 */
/** @typedef {{quality?: 'still' | 'live', signal?: AbortSignal}} DetectOptions live: at most LIVE_SIDE pixels are read; the default for a video */
/** @typedef {import('../../runtime/index.js').LoadOptions} LoadOptions */
/** @typedef {NonNullable<LoadOptions['onProgress']>} OnProgress */
/**
 * @typedef {object} PrepareOptions
 * @property {'device'|'server'} [place] where the network runs from now on; the server only sees pictures once this says so
 * @property {OnProgress} [onProgress]
 * @property {LoadOptions['onSlow']} [onSlow] on the device: every backend there is slow
 * @property {LoadOptions['onServer']} [onServer] on the server: busy, away, answering again
 */
/**
 * @typedef {object} Detector
 * @property {(image: ImageSource, options?: DetectOptions) => Promise<Found | null>} detectDocument
 *   null = no page; rejects with an InPageError (a picture that cannot be read, a model that cannot be had)
 * @property {(options?: PrepareOptions) => Promise<void>} prepare loads the model; once, whoever asks
 * @property {() => Promise<void>} release frees the model; the next call loads it again
 * @property {() => string} backend what the network runs on, '' before it does
 */

const BUNDLE = new URL('../../models/document_corners/', import.meta.url);
/** Longer side of what is read from a live picture: finer than the overlay can show. */
const LIVE_SIDE = 1280;
/** The network sees some 256 pixels: this much of a photo is sent to its worker. */
const NETWORK_SIDE = 1536;
/** After these the model is gone for good: the next call loads another. */
const FATAL = ['worker_lost', 'device_lost', 'disposed', 'out_of_memory'];
/** A live search that takes longer than this for 19 of 20 pictures is no fun. */
const SLOW_MS = 700;

/**
 * @param {(url: URL, options: LoadOptions & {onProgress: OnProgress}) => Promise<Model>} [load]
 * @returns {Detector}
 */
export function createDetector(load = loadBundle) {
  const reader = new PixelReader();
  /** @type {Set<OnProgress>} */
  const listeners = new Set();
  /** @type {Promise<Model> | null} */
  let loading = null;
  /** @type {Model | null} */
  let current = null;
  /** @type {PrepareOptions} */
  let wishes = {};

  /** @returns {Promise<Model>} */
  function model() {
    if (loading) return loading;
    const { place, onSlow, onServer } = wishes;
    const mine = load(BUNDLE, {
      ...(place === 'server' ? { backend: 'server', retries: 1, onServer } : { backend: 'auto', slow_ms: SLOW_MS, onSlow }),
      onProgress: (progress) => listeners.forEach((listener) => listener(progress)),
    });
    loading = mine;
    mine.then((loaded) => { if (loading === mine) current = loaded; }, () => forget(mine));
    return mine;
  }

  /** @param {Promise<Model>} failed */
  function forget(failed) {
    if (loading === failed) loading = null;
  }

  /** @type {Detector['prepare']} */
  async function prepare({ onProgress, ...wished } = {}) {
    if (wished.place && wished.place !== (wishes.place ?? 'device')) await release();
    wishes = { ...wishes, ...wished };
    if (onProgress) listeners.add(onProgress);
    try {
      await model();
    } finally {
      if (onProgress) listeners.delete(onProgress);
    }
  }

  /** @type {Detector['release']} */
  async function release() {
    const held = loading;
    loading = current = null;
    const loaded = await held?.catch(() => null); // a failed load was reported to who asked for it, and holds nothing
    await loaded?.dispose();
  }

  /** @type {Detector['detectDocument']} */
  async function detectDocument(image, { quality = isVideo(image) ? 'live' : 'still', signal } = {}) {
    checkSignal(signal);
    const held = model();
    const [network, { pixels, scale }] = await Promise.all([held, readSource(reader, image, quality)]);
    const { small, shrink } = reduceTo(pixels, NETWORK_SIDE);
    /** @type {Record<string, import('../../runtime/index.js').Tensor>} */
    let outputs;
    try {
      outputs = await network.run({ image: small }, { signal });
    } catch (error) {
      if (error instanceof InPageError && FATAL.includes(error.code)) forget(held);
      throw error;
    }
    checkSignal(signal);
    const { heatmaps, presence } = outputs;
    const decoded = decodeCorners({ heatmaps, presence }, network.postprocess ?? {}, small);
    if (!decoded) return null;
    const rough = decoded.corners.map(([x, y]) => [x * small.width * shrink, y * small.height * shrink]);
    const corners = refineCorners(pixels, /** @type {Quad} */ (rough), { quality });
    return {
      corners: orderCorners(corners.map(([x, y]) => /** @type {Point} */ ([x * scale[0], y * scale[1]]))),
      score: decoded.score,
    };
  }

  return { detectDocument, prepare, release, backend: () => current?.backend ?? '' };
}

/** @param {unknown} image */
const isVideo = (image) => typeof HTMLVideoElement === 'function' && image instanceof HTMLVideoElement;

/** @param {AbortSignal | undefined} signal */
function checkSignal(signal) {
  if (signal?.aborted) throw new InPageError('aborted', 'The search for the page was stopped', { cause: signal.reason });
}

/**
 * The picture's pixels, read once; a live one no larger than LIVE_SIDE. `scale` leads back to the source's pixels.
 * @param {PixelReader} reader @param {ImageSource} image @param {'still' | 'live'} quality
 * @returns {Promise<{pixels: Pixels, scale: [number, number]}>}
 */
async function readSource(reader, image, quality) {
  if (quality === 'still' || isPixels(image) || image instanceof Blob) return { pixels: await reader.read(image), scale: [1, 1] };
  const drawable = /** @type {Drawable} */ (image);
  const { width, height } = drawableSize(drawable);
  const shrink = Math.min(1, LIVE_SIDE / Math.max(width, height));
  const size = { width: Math.max(1, Math.round(width * shrink)), height: Math.max(1, Math.round(height * shrink)) };
  const pixels = reader.draw(drawable, size, 'the picture');
  return { pixels, scale: [width / size.width, height / size.height] };
}

/** The page's own detector: the network in static/models/document_corners. */
export const { detectDocument, prepare, release, backend } = createDetector();
