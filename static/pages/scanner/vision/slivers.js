// Thin remains of the table along the border of a scan: a sheet is never quite straight.

import { asUint32 } from './rotate.js';

/** A dark run from the border that ends within this share of the shorter side is table, a longer one is print. */
const DEPTH = 0.012;
/** Evened paper is at least this bright in every channel. */
const PAPER = 225;

/**
 * Turns the slivers white, in place. For scans of white sheets, whose paper is even.
 * @param {{data: Uint8ClampedArray, width: number, height: number}} image RGBA
 */
export function clearSlivers({ data, width, height }) {
  const words = asUint32(data);
  const depth = Math.round(Math.min(width, height) * DEPTH);
  for (let x = 0; x < width; x++) {
    clearRun(words, x, width, depth);
    clearRun(words, (height - 1) * width + x, -width, depth);
  }
  for (let y = 0; y < height; y++) {
    clearRun(words, y * width, 1, depth);
    clearRun(words, y * width + width - 1, -1, depth);
  }
}

/** @param {Uint32Array} words @param {number} start @param {number} step @param {number} depth */
function clearRun(words, start, step, depth) {
  let length = 0;
  while (length <= depth && !isPaper(words[start + length * step])) length++;
  if (length > depth) return;
  for (let i = 0; i < length; i++) words[start + i * step] = 0xffffffff;
}

/** @param {number} word */
const isPaper = (word) => (word & 255) >= PAPER && ((word >>> 8) & 255) >= PAPER && ((word >>> 16) & 255) >= PAPER;
