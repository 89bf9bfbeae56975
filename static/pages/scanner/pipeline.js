// From a photo and its corners to a finished page: decode, cut out and straighten, clean up, turn, encode.
// Runs in the vision worker, or on the page's thread where workers have no canvas.

import { deflate, packBits } from './bits.js';
import { enhance } from './vision/enhance.js';
import { outputSize } from './vision/geometry.js';
import { rotate } from './vision/rotate.js';
import { warpPerspective } from './vision/warp.js';

/** @typedef {import('./quad.js').Quad} Quad */
/** @typedef {import('./pages_store.js').Look} Look */
/** @typedef {import('./vision/rotate.js').Image} Image RGBA, row-major */
/** @typedef {{id: string, source: Blob, look: Look}} PageJob id: of the page, so that a change of mode does not cut it out again */
/** @typedef {{width: number, height: number, blob: Blob, bits: Uint8Array<ArrayBuffer> | null}} PagePicture */

const JPEG_QUALITY = 0.9;
/** Rows read from a canvas at a time: phones limit the area of one canvas, not the size of an array. */
const BAND_ROWS = 512;
/** Resampling looks this many pixels past the page's outline. */
const BORDER = 2;

/** @type {{key: string, image: Image} | null} the page cut out last, since a change of mode or turn often follows */
let cutOut = null;

/**
 * @param {PageJob} job
 * @returns {Promise<PagePicture>}
 */
export async function makePage(job) {
  const image = await finish(job);
  const { width, height } = image;
  if (job.look.mode !== 'black-white') return { width, height, blob: await encode(image, 'image/jpeg'), bits: null };
  return { width, height, blob: await encode(image, 'image/png'), bits: await deflate(packBits(image)) };
}

/**
 * @param {PageJob} job
 * @returns {Promise<Blob>} image/png
 */
export async function makePng(job) {
  return encode(await finish(job), 'image/png');
}

/** @param {PageJob} job @returns {Promise<Image>} */
async function finish({ id, source, look }) {
  const key = `${id} ${JSON.stringify(look.corners)}`;
  if (cutOut?.key !== key) {
    cutOut = null;   // the old pixels go before the new ones come
    cutOut = { key, image: await cut(source, look.corners) };
  }
  return rotate(enhance(cutOut.image, look.mode), look.turn / 90);
}

/** Straightens the page from just the part of the photo that it covers.
 * @param {Blob} source @param {Quad} corners @returns {Promise<Image>} */
async function cut(source, corners) {
  const bitmap = await createImageBitmap(source);
  try {
    const xs = corners.map(([x]) => x);
    const ys = corners.map(([, y]) => y);
    const left = Math.max(0, Math.floor(Math.min(...xs)) - BORDER);
    const top = Math.max(0, Math.floor(Math.min(...ys)) - BORDER);
    const right = Math.min(bitmap.width, Math.ceil(Math.max(...xs)) + BORDER);
    const bottom = Math.min(bitmap.height, Math.ceil(Math.max(...ys)) + BORDER);
    const part = readPixels(bitmap, left, top, right - left, bottom - top);
    const moved = /** @type {Quad} */ (corners.map(([x, y]) => [x - left, y - top]));
    // The size is measured in the whole photo: perspective is judged from the photo's centre.
    return warpPerspective(part, moved, outputSize(corners, bitmap));
  } finally {
    bitmap.close();
  }
}

/** A canvas off the page; on it in browsers that have no OffscreenCanvas, where this module runs on the page's thread.
 * @param {number} width @param {number} height */
function makeCanvas(width, height) {
  const canvas = 'OffscreenCanvas' in globalThis
    ? new OffscreenCanvas(width, height)
    : Object.assign(document.createElement('canvas'), { width, height });
  const context = /** @type {OffscreenCanvasRenderingContext2D | CanvasRenderingContext2D | null} */ (
    canvas.getContext('2d', { willReadFrequently: true }));
  if (!context) throw new RangeError(`The browser refused a canvas of ${width} × ${height} pixels`);
  return { canvas, context };
}

/** @param {ImageBitmap} bitmap @param {number} left @param {number} top @param {number} width @param {number} height @returns {Image} */
function readPixels(bitmap, left, top, width, height) {
  const data = new Uint8ClampedArray(width * height * 4);
  const { context } = makeCanvas(width, Math.min(BAND_ROWS, height));
  for (let row = 0; row < height; row += BAND_ROWS) {
    const rows = Math.min(BAND_ROWS, height - row);
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, left, top + row, width, rows, 0, 0, width, rows);
    data.set(context.getImageData(0, 0, width, rows).data, row * width * 4);
  }
  return { data, width, height };
}

/** @param {Image} image @param {'image/jpeg' | 'image/png'} type @returns {Promise<Blob>} */
async function encode({ data, width, height }, type) {
  const { canvas, context } = makeCanvas(width, height);
  context.putImageData(new ImageData(/** @type {Uint8ClampedArray<ArrayBuffer>} */ (data), width, height), 0, 0);
  if ('convertToBlob' in canvas) return canvas.convertToBlob({ type, quality: JPEG_QUALITY });
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new RangeError('The browser could not encode the page'))),
      type, JPEG_QUALITY);
  });
}

const OPERATIONS = { makePage, makePng };

/**
 * Answers one call of the vision client.
 * @param {{id: number, op: keyof typeof OPERATIONS, job: PageJob}} call
 * @returns {Promise<{id: number, value?: PagePicture | Blob, error?: {name: string, message: string}}>}
 */
export async function answer({ id, op, job }) {
  try {
    return { id, value: await OPERATIONS[op](job) };
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    return { id, error: { name, message } };
  }
}
