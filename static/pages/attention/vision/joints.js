// The upper body's maps -> joints.
import { sigmoid } from './cells.js';

/** @typedef {import('./cells.js').Point} Point */
/** @typedef {import('./cells.js').Tensor} Tensor */
/** @typedef {import('./sample.js').Square} Square */
/** @typedef {{at: Point, sure: number}} Joint in source pixels; sure 0..1 */
/** @typedef {{nose: Joint, left: Joint, right: Joint, leftEar: Joint, rightEar: Joint}} Joints left and right: the person's own shoulders */

const NAMES = /** @type {const} */ (['nose', 'left', 'right', 'leftEar', 'rightEar']);
const NEAR = 2;

/**
 * The square of the upper body: `times` the face's size, its centre `below` face sizes under the face's.
 * @param {readonly number[]} box of the face @param {number} times @param {number} below
 * @returns {Square}
 */
export function squareOfBody([x, y, width, height], times, below) {
  const face = (width + height) / 2, side = times * face;
  return { x: x + width / 2 - side / 2, y: y + height / 2 + below * face - side / 2, side };
}

/**
 * @param {Tensor} joints [1, 5, h, w] logits @param {Square} square where the crop was taken from
 * @returns {Joints}
 */
export function decodeJoints({ data, shape }, square) {
  const [, , h, w] = shape;
  const entries = NAMES.map((name, k) => {
    const { x, y, peak } = place(data, k * h * w, h, w);
    const at = [square.x + ((x + 0.5) / w) * square.side, square.y + ((y + 0.5) / h) * square.side];
    return [name, { at, sure: sigmoid(peak) }];
  });
  return Object.fromEntries(entries);
}

/** The highest cell, moved to the softmax mean of the cells around it. @param {ArrayLike<number>} data @param {number} start @param {number} h @param {number} w */
function place(data, start, h, w) {
  let top = 0;
  for (let i = 1; i < h * w; i++) if (data[start + i] > data[start + top]) top = i;
  const peak = data[start + top], row = Math.floor(top / w), column = top % w;
  let sum = 0, sx = 0, sy = 0;
  for (let y = Math.max(0, row - NEAR); y <= Math.min(h - 1, row + NEAR); y++) {
    for (let x = Math.max(0, column - NEAR); x <= Math.min(w - 1, column + NEAR); x++) {
      const share = Math.exp(data[start + y * w + x] - peak);
      sum += share;
      sx += share * x;
      sy += share * y;
    }
  }
  return { x: sx / sum, y: sy / sum, peak };
}
