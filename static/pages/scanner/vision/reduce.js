// Fewer pixels for what needs no more.

import { asUint32 } from './rotate.js';

/** @typedef {{data: Uint8ClampedArray | Uint8Array, width: number, height: number}} Pixels RGBA, row-major */

/**
 * Means of k × k pixels, k the smallest whole number that brings the longer side to at most `side`;
 * the picture itself when it is small enough. A last row or column that fills no square is left out.
 * @param {Pixels} image @param {number} side
 * @returns {{small: Pixels, shrink: number}} shrink = k
 */
export function reduceTo(image, side) {
  const k = Math.ceil(Math.max(image.width, image.height) / side);
  if (k <= 1 || Math.min(image.width, image.height) < k) return { small: image, shrink: 1 };
  const width = Math.floor(image.width / k);
  const height = Math.floor(image.height / k);
  const words = asUint32(image.data);
  const data = new Uint8ClampedArray(width * height * 4);
  const sums = new Uint32Array(width * 3);
  for (let y = 0; y < height; y++) {
    sums.fill(0);
    for (let row = y * k; row < (y + 1) * k; row++) {
      for (let x = 0, at = row * image.width; x < width; x++) {
        for (let n = 0; n < k; n++, at++) {
          const word = words[at];
          sums[3 * x] += word & 255;
          sums[3 * x + 1] += (word >>> 8) & 255;
          sums[3 * x + 2] += (word >>> 16) & 255;
        }
      }
    }
    for (let x = 0, at = 4 * y * width; x < width; x++, at += 4) {
      for (let c = 0; c < 3; c++) data[at + c] = sums[3 * x + c] / (k * k);
      data[at + 3] = 255;
    }
  }
  return { small: { data, width, height }, shrink: k };
}
