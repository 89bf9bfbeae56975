// A quadrilateral of a photo → a straight picture.

import { applyHomography, distance, homography, outputSize } from './geometry.js';
import { asUint32 } from './rotate.js';

/** @typedef {import('./geometry.js').Quad} Quad */
/** @typedef {import('./geometry.js').Size} Size */
/** @typedef {{data: Uint8ClampedArray, width: number, height: number}} Image RGBA, row-major */
/** @typedef {{pixels: Uint32Array, width: number, height: number}} Pixels */

/** What lies beyond the photo's border: paper white. */
const BEYOND = 0xffffffff;
/** Most samples per axis in one output pixel; a photo that shrinks by HALVE_FROM or more is halved first. */
const MAX_TAPS = 3;
const HALVE_FROM = 4;

/**
 * Straightens the page, at the photo's own resolution unless a size is given. Bilinear; where the
 * output is smaller than the photo, the mean of several samples (after halvings), so that letters do not break up.
 * @param {Image} image @param {Quad} corners TL, TR, BR, BL in pixels @param {Size} [size] default: outputSize()
 * @returns {Image} opaque; white where the page lies beyond the photo
 * @throws {RangeError} when three corners lie on one line
 */
export function warpPerspective(image, corners, size = outputSize(corners, image)) {
  const warp = planWarp(image, corners, size);
  const target = new Uint32Array(warp.width * warp.height);
  warpRows(warp, target, 0, warp.height);
  return { data: new Uint8ClampedArray(target.buffer), width: warp.width, height: warp.height };
}

/**
 * @typedef {object} Warp
 * @property {Pixels} source the photo, halved as often as needed
 * @property {number[]} matrix output pixel → source pixel, 3×3
 * @property {number} taps samples per axis in one output pixel
 * @property {number} width
 * @property {number} height
 */

/**
 * What warpRows needs: made once, then any rows, in any order.
 * @param {Image} image @param {Quad} corners @param {Size} size @returns {Warp}
 */
export function planWarp(image, corners, { width, height }) {
  /** @type {Pixels} */
  let source = { pixels: asUint32(image.data), width: image.width, height: image.height };
  let quad = corners;
  let shrink = shrinkage(quad, width, height);
  while (shrink >= HALVE_FROM && source.width > 1 && source.height > 1) {
    source = halve(source);
    quad = /** @type {Quad} */ (quad.map(([x, y]) => [x / 2, y / 2]));
    shrink /= 2;
  }
  const matrix = homography([[0, 0], [width, 0], [width, height], [0, height]], quad);
  // One bilinear sample covers about two source pixels, so a little shrinking needs no more.
  const taps = Math.min(MAX_TAPS, Math.max(1, Math.ceil(shrink / 1.35)));
  return { source, matrix, taps, width, height };
}

/** Source pixels per output pixel, along the axis that shrinks most. @param {Quad} quad @param {number} width @param {number} height */
function shrinkage([tl, tr, br, bl], width, height) {
  return Math.max(distance(tl, tr) / width, distance(bl, br) / width, distance(tl, bl) / height, distance(tr, br) / height);
}

/**
 * Fills the rows y0 ≤ y < y1 of the output.
 * @param {Warp} warp @param {Uint32Array} target rows y0.. of the output @param {number} y0 @param {number} y1
 */
export function warpRows(warp, target, y0, y1) {
  if (warp.taps === 1) return rowsBilinear(warp, target, y0, y1);
  const { source, matrix, taps, width } = warp;
  for (let y = y0; y < y1; y++) {
    for (let x = 0; x < width; x++) {
      let r = 0;
      let g = 0;
      let b = 0;
      for (let k = 0; k < taps * taps; k++) {
        const at = applyHomography(matrix, [x + ((k % taps) + 0.5) / taps, y + (Math.floor(k / taps) + 0.5) / taps]);
        const word = bilinear(source, at[0] - 0.5, at[1] - 0.5);
        r += word & 255;
        g += (word >>> 8) & 255;
        b += (word >>> 16) & 255;
      }
      const n = taps * taps;
      target[(y - y0) * width + x] = (Math.round(r / n) | (Math.round(g / n) << 8) | (Math.round(b / n) << 16) | 0xff000000) >>> 0;
    }
  }
}

/** One sample per pixel; the matrix is stepped along the row. @param {Warp} warp @param {Uint32Array} target @param {number} y0 @param {number} y1 */
function rowsBilinear({ source, matrix, width }, target, y0, y1) {
  const [a, , , d, , , g] = matrix;
  let at = 0;
  for (let y = y0; y < y1; y++) {
    let u = a * 0.5 + matrix[1] * (y + 0.5) + matrix[2];
    let v = d * 0.5 + matrix[4] * (y + 0.5) + matrix[5];
    let w = g * 0.5 + matrix[7] * (y + 0.5) + matrix[8];
    for (let x = 0; x < width; x++, u += a, v += d, w += g) {
      const inverse = 1 / w;
      target[at++] = bilinear(source, u * inverse - 0.5, v * inverse - 0.5) | 0xff000000;
    }
  }
}

/**
 * The picture at (x, y) counted from the first pixel's centre: red and blue are mixed in one word, green in
 * another, with weights of 1/256. Half a pixel beyond the border repeats it, further out is BEYOND.
 * @param {Pixels} source @param {number} x @param {number} y @returns {number} RGBA as a little-endian word (alpha undefined)
 */
function bilinear({ pixels, width, height }, x, y) {
  let left = Math.floor(x);
  let top = Math.floor(y);
  let fx = ((x - left) * 256 + 0.5) | 0;
  let fy = ((y - top) * 256 + 0.5) | 0;
  let right = 1;
  let down = width;
  if (left < 0 || top < 0 || left >= width - 1 || top >= height - 1) {
    if (!(x >= -1 && y >= -1 && x <= width && y <= height)) return BEYOND;
    if (left < 0) [left, fx] = [0, 0];
    if (top < 0) [top, fy] = [0, 0];
    if (left >= width - 1) [left, fx, right] = [width - 1, 0, 0];
    if (top >= height - 1) [top, fy, down] = [height - 1, 0, 0];
  }
  const at = top * width + left;
  const p = pixels[at];
  const q = pixels[at + right];
  const r = pixels[at + down];
  const s = pixels[at + down + right];
  const gx = 256 - fx;
  const gy = 256 - fy;
  // Each product has 16 bits a channel: two channels fit in a word, rounded before the shift.
  const rbTop = ((Math.imul(p & 0xff00ff, gx) + Math.imul(q & 0xff00ff, fx) + 0x800080) >>> 8) & 0xff00ff;
  const rbDown = ((Math.imul(r & 0xff00ff, gx) + Math.imul(s & 0xff00ff, fx) + 0x800080) >>> 8) & 0xff00ff;
  const gTop = (((p >>> 8) & 0xff) * gx + ((q >>> 8) & 0xff) * fx + 0x80) >>> 8;
  const gDown = (((r >>> 8) & 0xff) * gx + ((s >>> 8) & 0xff) * fx + 0x80) >>> 8;
  const rb = ((Math.imul(rbTop, gy) + Math.imul(rbDown, fy) + 0x800080) >>> 8) & 0xff00ff;
  const g = (gTop * gy + gDown * fy + 0x80) >>> 8;
  return rb | (g << 8);
}

/** Half the size: means of 2×2 pixels (an odd last row or column is dropped). @param {Pixels} source @returns {Pixels} */
function halve({ pixels, width, height }) {
  const w = width >> 1;
  const h = height >> 1;
  const out = new Uint32Array(w * h);
  for (let y = 0; y < h; y++) {
    for (let x = 0, at = 2 * y * width; x < w; x++, at += 2) {
      const p = pixels[at];
      const q = pixels[at + 1];
      const r = pixels[at + width];
      const s = pixels[at + width + 1];
      const rb = ((p & 0xff00ff) + (q & 0xff00ff) + (r & 0xff00ff) + (s & 0xff00ff) + 0x20002) >>> 2;
      const g = (((p >>> 8) & 0xff) + ((q >>> 8) & 0xff) + ((r >>> 8) & 0xff) + ((s >>> 8) & 0xff) + 2) >>> 2;
      out[y * w + x] = (rb & 0xff00ff) | (g << 8) | 0xff000000;
    }
  }
  return { pixels: out, width: w, height: h };
}
