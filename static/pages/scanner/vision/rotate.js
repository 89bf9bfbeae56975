// Quarter turns of a picture, without resampling.

/** @typedef {{data: Uint8ClampedArray, width: number, height: number}} Image RGBA, row-major */

/**
 * The picture turned clockwise by `quarters` × 90° (any integer); always a copy.
 * @param {Image} image @param {number} quarters @returns {Image}
 */
export function rotate(image, quarters) {
  const { width: w, height: h } = image;
  const turns = ((Math.round(quarters) % 4) + 4) % 4;
  const source = asUint32(image.data);
  const target = new Uint32Array(w * h);
  if (turns === 0) target.set(source);
  else if (turns === 2) for (let i = 0, last = w * h - 1; i <= last; i++) target[last - i] = source[i];
  else turnQuarter(source, target, w, h, turns === 1);
  const data = new Uint8ClampedArray(target.buffer);
  return turns % 2 ? { data, width: h, height: w } : { data, width: w, height: h };
}

/**
 * target (h wide, w high) = source (w wide, h high) turned by 90°. Square tiles keep both sides in the cache.
 * @param {Uint32Array} source @param {Uint32Array} target @param {number} w @param {number} h @param {boolean} clockwise
 */
function turnQuarter(source, target, w, h, clockwise) {
  const tile = 32;
  for (let ty = 0; ty < h; ty += tile) {
    for (let tx = 0; tx < w; tx += tile) {
      const yEnd = Math.min(h, ty + tile);
      const xEnd = Math.min(w, tx + tile);
      for (let y = ty; y < yEnd; y++) {
        for (let x = tx; x < xEnd; x++) {
          target[clockwise ? x * h + (h - 1 - y) : (w - 1 - x) * h + y] = source[y * w + x];
        }
      }
    }
  }
}

/** Pixels as 32-bit words, the same memory (a copy only where the bytes are not aligned). @param {Uint8ClampedArray | Uint8Array} data */
export function asUint32(data) {
  if (data.byteOffset % 4 === 0) return new Uint32Array(data.buffer, data.byteOffset, data.byteLength >> 2);
  return new Uint32Array(data.slice().buffer);
}
