// A picture at the size the model looks at, as a small file: the server resizes it once more, which changes nothing.
import { InPageError } from './errors.js';
import { Preprocessor, geometry } from './preprocess.js';

/** @typedef {import('./preprocess.js').PreprocessSpec} PreprocessSpec */
/** @typedef {import('./preprocess.js').Size} Size */
/** @typedef {import('../media/image.js').Pixels} Pixels */

/** Above this, edges keep their place to a fraction of a pixel; 256×256 takes some 20 KB. */
const QUALITY = 0.92;

/**
 * The size at which a picture can be sent: as the bundle's rule scales it, if the rule then leaves it as it is.
 * @param {PreprocessSpec} spec @param {Size} picture
 * @returns {Size|null} null when only the whole picture would give the same input
 */
export function sentSize(spec, { width, height }) {
  const { scaled } = geometry(spec, { width, height });
  const again = geometry(spec, scaled).scaled;
  return again.width === scaled.width && again.height === scaled.height ? scaled : null;
}

/** Makes pictures small and encodes them; keeps its canvas and tables for the next frame. */
export class PictureSender {
  /** @param {PreprocessSpec} spec */
  constructor(spec) {
    this.spec = spec;
    /** @type {OffscreenCanvas|HTMLCanvasElement|null} */
    this.canvas = null;
    /** @type {{size: Size, preprocessor: Preprocessor, rgba: ImageData}|null} */
    this.kept = null;
  }

  /**
   * @param {Pixels} picture
   * @returns {Promise<Blob>} JPEG
   * @throws {InPageError} invalid_input
   */
  async encode(picture) {
    const size = sentSize(this.spec, picture) ?? picture;
    const image = size.width === picture.width && size.height === picture.height ? asImageData(picture) : this.reduced(picture, size);
    const context = this.context(size);
    context.putImageData(image, 0, 0);
    return jpeg(context.canvas);
  }

  /** The picture resampled by the bundle's own rule, to whole numbers. @param {Pixels} picture @param {Size} size @returns {ImageData} */
  reduced(picture, { width, height }) {
    if (this.kept?.size.width !== width || this.kept.size.height !== height) {
      const rule = {
        ...this.spec, size: /** @type {[number, number]} */ ([height, width]), resize: /** @type {const} */ ('stretch'), crop: null, limit: null,
        channels: /** @type {const} */ ('rgb'), layout: /** @type {const} */ ('nhwc'), scale: 1, mean: [0, 0, 0], std: [1, 1, 1],
      };
      this.kept = { size: { width, height }, preprocessor: new Preprocessor(rule), rgba: new ImageData(width, height) };
    }
    const { preprocessor, rgba } = this.kept, { data } = preprocessor.run(picture);
    for (let from = 0, to = 0; from < data.length; from += 3, to += 4) {
      rgba.data[to] = data[from]; // clamped and rounded to the nearest by the array
      rgba.data[to + 1] = data[from + 1];
      rgba.data[to + 2] = data[from + 2];
      rgba.data[to + 3] = 255;
    }
    return rgba;
  }

  /** @param {Size} size @returns {OffscreenCanvasRenderingContext2D|CanvasRenderingContext2D} */
  context({ width, height }) {
    this.canvas ??= typeof OffscreenCanvas === 'function' ? new OffscreenCanvas(width, height) : document.createElement('canvas');
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const context = /** @type {CanvasRenderingContext2D|null} */ (this.canvas.getContext('2d', { alpha: false }));
    if (!context) throw new InPageError('invalid_input', 'The browser refused a canvas for the picture', { where: 'run()' });
    return context;
  }
}

/** @param {Pixels} picture @returns {ImageData} */
function asImageData({ data, width, height }) {
  return new ImageData(new Uint8ClampedArray(data), width, height);
}

/** @param {OffscreenCanvas|HTMLCanvasElement} canvas @returns {Promise<Blob>} */
async function jpeg(canvas) {
  /** @type {Blob|null} */
  const blob = 'convertToBlob' in canvas ? await canvas.convertToBlob({ type: 'image/jpeg', quality: QUALITY })
    : await new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', QUALITY));
  if (!blob) throw new InPageError('invalid_input', 'The browser could not encode the picture', { where: 'run()' });
  return blob;
}
