// Any picture a page can hold -> RGBA pixels, sRGB, upright (EXIF honoured), 8 bits, not premultiplied.
import { InPageError } from '../runtime/errors.js';
import { imageSize } from './image_size.js';

/** @typedef {{data: Uint8Array|Uint8ClampedArray, width: number, height: number}} Pixels RGBA, row-major */
/** @typedef {ImageBitmap|HTMLVideoElement|HTMLCanvasElement|OffscreenCanvas|VideoFrame|HTMLImageElement} Drawable */
/** @typedef {ImageData|Pixels|Drawable|Blob} ImageSource */

/** 64 megapixels: 256 MB of RGBA; cameras of phones stay below. */
export const MAX_PIXELS = 64 * 1024 * 1024;
/** Pixels read through the canvas at a time: iOS refuses canvases above 16 megapixels, and bands bound the memory. */
const BAND_PIXELS = 4 * 1024 * 1024;
/** What the browser is asked for, and what the size guard needs of a file. */
const HEADER_BYTES = 512 * 1024;

/**
 * Whether a global class exists here and the value is one: half of them are missing in a worker or in Node.
 * @param {unknown} value @param {string} name
 */
function isA(value, name) {
  const type = /** @type {Record<string, any>} */ (globalThis)[name];
  return typeof type === 'function' && value instanceof type;
}

/** @param {unknown} value @returns {value is ImageData|Pixels} */
export function isPixels(value) {
  return typeof value === 'object' && value !== null && 'data' in value && 'width' in value && 'height' in value
    && !('shape' in value);
}

const DRAWABLES = [
  'ImageBitmap', 'HTMLVideoElement', 'HTMLCanvasElement', 'OffscreenCanvas', 'VideoFrame', 'HTMLImageElement',
];

/** @param {unknown} value @returns {value is ImageSource} */
export function isImage(value) {
  return isPixels(value) || isA(value, 'Blob') || DRAWABLES.some((name) => isA(value, name));
}

/**
 * The size in pixels of something drawable.
 * @param {Drawable} source @param {string} where for messages
 * @returns {{width: number, height: number}}
 * @throws {InPageError} invalid_input when it is empty or not loaded
 */
export function drawableSize(source, where = 'the picture') {
  const sizes = /** @type {Record<string, any>} */ (source);
  const width = sizes.displayWidth ?? sizes.videoWidth ?? sizes.naturalWidth ?? sizes.width;
  const height = sizes.displayHeight ?? sizes.videoHeight ?? sizes.naturalHeight ?? sizes.height;
  const noFrame = isA(source, 'HTMLVideoElement') && sizes.readyState < 2;
  if (noFrame || !(width > 0) || !(height > 0)) {
    const what = noFrame ? 'The video has no frame yet' : `The picture is empty (${width}×${height})`;
    throw new InPageError('invalid_input', what, {
      where, hint: noFrame ? 'wait for its "loadeddata" event' : 'wait until it is loaded, and not closed',
    });
  }
  return { width, height };
}

/**
 * @param {{width: number, height: number}} size @param {number} maxPixels @param {string} where
 * @throws {InPageError} invalid_input
 */
function guard({ width, height }, maxPixels, where) {
  if (width * height <= maxPixels) return;
  const has = Math.round((width * height) / 1e6), most = Math.round(maxPixels / 1e6);
  const what = `The picture is ${width}×${height}, ${has} megapixels where at most ${most} are taken`;
  throw new InPageError('invalid_input', what, { where, hint: 'make it smaller first' });
}

/**
 * @param {Blob} blob an image file
 * @param {{maxPixels?: number, where?: string}} [options]
 * @returns {Promise<ImageBitmap>} upright; the caller closes it
 * @throws {InPageError} invalid_input when it is no image, damaged or enormous
 */
export async function decodeBlob(blob, { maxPixels = MAX_PIXELS, where = 'the picture' } = {}) {
  if (blob.size === 0) {
    throw new InPageError('invalid_input', 'The file is empty', { where, hint: 'choose another picture' });
  }
  const size = imageSize(new Uint8Array(await blob.slice(0, HEADER_BYTES).arrayBuffer()));
  if (size) guard(size, maxPixels, where); // before decoding: a small file may hold a picture of gigabytes
  try {
    return await createImageBitmap(blob, { imageOrientation: 'from-image' });
  } catch (cause) {
    const kind = blob.type && ` (${blob.type})`;
    const what = `The file${kind} is not a picture that this browser can read`;
    throw new InPageError('invalid_input', what, { where, hint: 'give a PNG, JPEG or WebP file', cause });
  }
}

/**
 * A copy of what something drawable shows now, which can be sent to a worker. The source stays usable.
 * @param {Drawable} source @param {{maxPixels?: number, where?: string}} [options]
 * @returns {Promise<ImageBitmap>} the caller closes it
 * @throws {InPageError} invalid_input
 */
export async function snapshot(source, { maxPixels = MAX_PIXELS, where = 'the picture' } = {}) {
  if (isA(source, 'HTMLImageElement') && !(/** @type {HTMLImageElement} */ (source).complete)) {
    await /** @type {HTMLImageElement} */ (source).decode().catch((cause) => { throw unreadable(cause, where); });
  }
  guard(drawableSize(source, where), maxPixels, where);
  try {
    return await createImageBitmap(source);
  } catch (cause) {
    throw unreadable(cause, where);
  }
}

/** @param {unknown} cause @param {string} where @returns {InPageError} */
function unreadable(cause, where) {
  if (cause instanceof Error && cause.name === 'SecurityError') {
    return new InPageError('invalid_input', 'The picture comes from another site that does not share its pixels', {
      where, hint: 'load it with crossorigin="anonymous" from a site that allows it', cause,
    });
  }
  return new InPageError('invalid_input', 'The picture cannot be read', { where, hint: 'wait until it is loaded', cause });
}

/** Reads pixels; keeps its canvas, so that a stream of frames of one size makes one canvas. */
export class PixelReader {
  constructor() {
    /** @type {OffscreenCanvasRenderingContext2D|CanvasRenderingContext2D|null} */
    this.context = null;
  }

  /**
   * @param {ImageSource} source left as it is (a Blob's own decoded copy is closed)
   * @param {{maxPixels?: number, where?: string}} [options]
   * @returns {Promise<Pixels>} the source's own bytes for ImageData in sRGB, else a fresh copy
   * @throws {InPageError} invalid_input
   */
  async read(source, options = {}) {
    const { maxPixels = MAX_PIXELS, where = 'the picture' } = options;
    if (isPixels(source)) {
      guard(source, maxPixels, where);
      const { data, width, height } = source;
      const bytes = 4 * width * height;
      const plain = (data instanceof Uint8ClampedArray || data instanceof Uint8Array) && data.length === bytes;
      const foreign = 'colorSpace' in source && source.colorSpace !== 'srgb';
      if (plain && !foreign) return source;
      if (!isA(source, 'ImageData')) {
        throw new InPageError('invalid_input', `A picture of ${width}×${height} needs ${bytes} bytes of RGBA`, { where });
      }
    }
    if (isA(source, 'Blob')) return this.readAndClose(await decodeBlob(/** @type {Blob} */ (source), options), where);
    if (isPixels(source) || isA(source, 'HTMLImageElement')) {
      const bitmap = isPixels(source)
        ? await createImageBitmap(/** @type {ImageData} */ (source)) // converts colours and sample sizes
        : await snapshot(/** @type {Drawable} */ (source), options);
      return this.readAndClose(bitmap, where);
    }
    const drawable = /** @type {Drawable} */ (source);
    const size = drawableSize(drawable, where);
    guard(size, maxPixels, where);
    return this.draw(drawable, size, where);
  }

  /** @param {ImageBitmap} bitmap @param {string} where @returns {Pixels} */
  readAndClose(bitmap, where) {
    try {
      return this.draw(bitmap, bitmap, where);
    } finally {
      bitmap.close();
    }
  }

  /**
   * @param {Drawable} source @param {{width: number, height: number}} size @param {string} where
   * @returns {Pixels}
   */
  draw(source, { width, height }, where) {
    const rows = Math.min(height, Math.max(1, Math.floor(BAND_PIXELS / width)));
    const context = this.canvas(width, rows, where);
    /** @type {Uint8ClampedArray|null} */
    let whole = null;
    try {
      for (let top = 0; top < height; top += rows) {
        const count = Math.min(rows, height - top);
        context.clearRect(0, 0, width, rows);
        context.drawImage(source, 0, -top, width, height);
        const band = context.getImageData(0, 0, width, count, { colorSpace: 'srgb' }).data;
        if (count === height) return { data: band, width, height };
        whole ??= new Uint8ClampedArray(4 * width * height);
        whole.set(band, 4 * width * top);
      }
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw unreadable(cause, where);
      throw new InPageError('out_of_memory', `The device has no memory for a picture of ${width}×${height}`, {
        where, hint: 'make it smaller first', cause,
      });
    }
    return { data: /** @type {Uint8ClampedArray} */ (whole), width, height };
  }

  /** @param {number} width @param {number} height @param {string} where */
  canvas(width, height, where) {
    let context = this.context;
    if (!context) {
      const canvas = typeof OffscreenCanvas === 'function' ? new OffscreenCanvas(width, height)
        : typeof document === 'object' ? document.createElement('canvas') : null;
      const wish = { willReadFrequently: true, colorSpace: /** @type {const} */ ('srgb') };
      context = /** @type {typeof context} */ (canvas?.getContext('2d', wish) ?? null);
      if (!context) {
        throw new InPageError('invalid_input', 'There is no canvas here to read a picture with', {
          where, hint: 'give pixels ({data, width, height}) or a tensor instead',
        });
      }
      this.context = context;
    }
    if (context.canvas.width !== width || context.canvas.height !== height) {
      context.canvas.width = width;
      context.canvas.height = height;
    }
    return context;
  }
}

/**
 * @param {ImageSource} source @param {{maxPixels?: number, where?: string}} [options]
 * @returns {Promise<Pixels>}
 * @throws {InPageError} invalid_input
 */
export function toPixels(source, options) {
  return new PixelReader().read(source, options);
}
