// A picture -> the numbers that Paddle.js 2.x's Runner feeds: drawn onto a canvas, then (x / 255 - mean) / std.
import { decodeBlob, drawableSize, isImage, isPixels } from '../media/image.js';
import { InPageError } from './errors.js';

/** @typedef {{fc?: number, fh: number, fw: number}} FeedShape channels (3 where not said), height, width */
/** @typedef {import('../media/image.js').ImageSource} ImageSource */
/** @typedef {{path: CanvasImageSource, width: number, height: number}} Held what mini programs call a picture */
/** @typedef {ImageSource|Held} Media */
/**
 * @typedef {object} MediaOptions
 * @property {number[]} [mean] per channel, of 0..1 numbers; default 0
 * @property {number[]} [std] per channel; default 1
 * @property {boolean} [bgr] blue first
 * @property {boolean} [keepRatio] fit the whole picture in and fill the rest; default true; false: stretch
 * @property {number} [scale] first bring the shorter side to this length, then cut the feed's size from the centre
 * @property {string} [fill] colour of the rest; default "#fff"
 * @property {boolean} [webglFeedProcess] as the original's shader does it: bgr, scale and fill are not looked at
 */
/** @typedef {CanvasRenderingContext2D|OffscreenCanvasRenderingContext2D} Context */
/** @typedef {{canvas: [number, number], at: [number, number], drawn: [number, number], cut: [number, number]}} Layout
 *   sizes as [width, height]; where the picture is drawn, and where the feed is cut out */

/**
 * Where the picture goes, in the original's arithmetic.
 * @param {{width: number, height: number}} picture @param {FeedShape} feed @param {MediaOptions} options
 * @returns {Layout}
 */
export function layout({ width, height }, { fw, fh }, { keepRatio = true, scale = 0, webglFeedProcess = false }) {
  if (scale && !webglFeedProcess) {
    const wide = width > height;
    const drawn = /** @type {[number, number]} */ (wide
      ? [Math.round((scale * width) / height), scale] : [scale, Math.round((scale * height) / width)]);
    return { canvas: drawn, at: [0, 0], drawn, cut: [(drawn[0] - fw) / 2, (drawn[1] - fh) / 2] };
  }
  let drawnWidth = fw, drawnHeight = fh;
  if (keepRatio) {
    if (((fw / fh) * height) / width >= 1) drawnWidth = Math.round((fh * width) / height);
    else drawnHeight = Math.round((fw * height) / width);
  }
  const at = /** @type {[number, number]} */ ([Math.floor((fw - drawnWidth) / 2), Math.floor((fh - drawnHeight) / 2)]);
  return { canvas: [fw, fh], at, drawn: [drawnWidth, drawnHeight], cut: [0, 0] };
}

/**
 * RGBA pixels to planes: (x / 255 - mean) / std, each step rounded to float32 as the original's array does.
 * @param {Uint8ClampedArray} rgba @param {FeedShape} feed @param {MediaOptions} options
 * @returns {Float32Array} [fc, fh, fw]
 */
export function toPlanes(rgba, { fc = 3, fh, fw }, { mean = [], std = [], bgr = false, webglFeedProcess = false }) {
  const pixels = fh * fw, planes = new Float32Array(fc * pixels);
  for (let c = 0; c < fc; c++) {
    const table = Float32Array.from({ length: 256 }, (_, x) => (
      Math.fround(Math.fround(x / 255) - (mean[c] ?? 0)) / (std[c] ?? 1)));
    const from = bgr && !webglFeedProcess && c < 3 ? 2 - c : c;
    for (let i = 0, at = c * pixels; i < pixels; i++, at++) planes[at] = table[rgba[4 * i + from]];
  }
  return planes;
}

/** Keeps its canvas between pictures. */
export class MediaProcessor {
  /** @param {{getContext: (kind: '2d') => any}|null} [given] the page's own canvas (env.set('canvas2d', …)) */
  constructor(given = null) {
    this.given = given;
    /** @type {Context|null} */
    this.context = null;
  }

  /**
   * @param {Media} media @param {FeedShape} feed @param {MediaOptions} options
   * @returns {Promise<Float32Array>} [fc, fh, fw]
   * @throws {InPageError} invalid_input for what is no picture, not loaded, or smaller than the cut
   */
  async process(media, feed, options) {
    const { source, size, close } = await drawable(media);
    try {
      const { canvas, at, drawn, cut } = layout(size, feed, options);
      if (cut[0] < 0 || cut[1] < 0) {
        throw new InPageError('invalid_input', `The scale of ${options.scale} is smaller than the feed of ${feed.fw}×${feed.fh}`, {
          where: 'predict()', hint: 'give a larger scale, or leave it out',
        });
      }
      const context = this.canvas(canvas[0], canvas[1]);
      context.fillStyle = (!options.webglFeedProcess && options.fill) || '#fff';
      context.fillRect(0, 0, canvas[0], canvas[1]);
      context.drawImage(source, at[0], at[1], drawn[0], drawn[1]);
      return toPlanes(context.getImageData(cut[0], cut[1], feed.fw, feed.fh).data, feed, options);
    } catch (cause) {
      if (!(cause instanceof Error) || cause.name !== 'SecurityError') throw cause;
      throw new InPageError('invalid_input', 'The picture comes from another site that does not share its pixels', {
        where: 'predict()', hint: 'load it with crossorigin="anonymous" from a site that allows it', cause,
      });
    } finally {
      close();
    }
  }

  /** @param {number} width @param {number} height @returns {Context} */
  canvas(width, height) {
    if (!this.context) {
      const canvas = this.given ?? (typeof document === 'object' ? document.createElement('canvas')
        : typeof OffscreenCanvas === 'function' ? new OffscreenCanvas(width, height) : null);
      this.context = canvas?.getContext('2d') ?? null;
    }
    if (!this.context) {
      throw new InPageError('invalid_input', 'There is no canvas here to draw a picture on', {
        where: 'predict()', hint: 'use predictWithFeed() with numbers, or env.set(\'canvas2d\', canvas)',
      });
    }
    this.context.canvas.width = width;
    this.context.canvas.height = height;
    return this.context;
  }
}

/**
 * Something that can be drawn now.
 * @param {Media} media
 * @returns {Promise<{source: CanvasImageSource, size: {width: number, height: number}, close: () => void}>}
 */
async function drawable(media) {
  const where = 'predict()', nothing = () => {};
  if (typeof media === 'object' && media !== null && 'path' in media && media.width && media.height) {
    return { source: media.path, size: media, close: nothing };
  }
  if (!isImage(media)) {
    throw new InPageError('invalid_input', 'This is not a picture', {
      where, hint: 'give an image, video, canvas, ImageBitmap, ImageData or Blob; numbers go to predictWithFeed()',
    });
  }
  if (typeof Blob === 'function' && media instanceof Blob) {
    const bitmap = await decodeBlob(media, { where });
    return { source: bitmap, size: bitmap, close: () => bitmap.close() };
  }
  if (isPixels(media)) {
    const { data, width, height } = media;
    const bitmap = await createImageBitmap(new ImageData(new Uint8ClampedArray(data), width, height));
    return { source: bitmap, size: bitmap, close: () => bitmap.close() };
  }
  const source = /** @type {import('../media/image.js').Drawable} */ (media);
  if (typeof HTMLImageElement === 'function' && source instanceof HTMLImageElement && !source.complete) await source.decode();
  return { source, size: drawableSize(source, where), close: nothing };
}
