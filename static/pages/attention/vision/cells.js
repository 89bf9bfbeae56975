// The detector's maps -> faces. A cell of stride s with its centre at (x, y) says: score (logit), the face's centre in
// strides from its own, the logarithm of width and height in strides, five points in strides from its own centre.

/** @typedef {{data: ArrayLike<any>, shape: readonly number[]}} Tensor of float32 */
/** @typedef {[number, number]} Point */
/** @typedef {{box: [number, number, number, number], landmarks: Point[], score: number}} Found box x, y, width, height; landmarks: right eye (left in the picture), left eye, nose, right and left corner of the mouth */

const CHANNELS = 15;
/** More would be no class but noise; keeps the suppression quick whatever a picture holds. */
const MOST = 400;

/** @param {number} x */
export const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/**
 * @param {Record<string, Tensor>} outputs stride4, stride8, …: [1, 15, h, w]
 * @param {{score: number, overlap: number}} limits lowest score; faces that overlap more (IoU) are one
 * @returns {Found[]} in pixels of the network's input, best first
 */
export function decodeCells(outputs, { score, overlap }) {
  /** @type {Found[]} */
  const found = [];
  const lowest = Math.log(score / (1 - score));
  for (const [name, { data, shape }] of Object.entries(outputs)) {
    const stride = Number(/^stride(\d+)$/.exec(name)?.[1]);
    if (stride > 0 && shape[1] === CHANNELS) readLevel(data, shape[2], shape[3], stride, lowest, found);
  }
  found.sort((a, b) => b.score - a.score);
  return suppressed(found.slice(0, MOST), overlap);
}

/** @param {ArrayLike<number>} data @param {number} h @param {number} w @param {number} stride @param {number} lowest @param {Found[]} found */
function readLevel(data, h, w, stride, lowest, found) {
  const plane = h * w;
  for (let i = 0; i < plane; i++) {
    if (!(data[i] > lowest)) continue;
    const x = (i % w + 0.5) * stride, y = (Math.floor(i / w) + 0.5) * stride;
    /** @param {number} channel */
    const at = (channel) => data[channel * plane + i];
    const width = Math.exp(Math.min(5, Math.max(-3, at(3)))) * stride;
    const height = Math.exp(Math.min(5, Math.max(-3, at(4)))) * stride;
    /** @type {Point[]} */
    const landmarks = [];
    for (let k = 5; k < CHANNELS; k += 2) landmarks.push([x + at(k) * stride, y + at(k + 1) * stride]);
    found.push({
      box: [x + at(1) * stride - width / 2, y + at(2) * stride - height / 2, width, height],
      landmarks, score: sigmoid(data[i]),
    });
  }
}

/**
 * Intersection over union.
 * @param {readonly number[]} a x, y, width, height @param {readonly number[]} b
 */
export function iou(a, b) {
  const w = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const h = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  if (w <= 0 || h <= 0) return 0;
  return (w * h) / (a[2] * a[3] + b[2] * b[3] - w * h);
}

/** Each face once: the best of those that overlap. @param {Found[]} found best first @param {number} most */
function suppressed(found, most) {
  /** @type {Found[]} */
  const kept = [];
  for (const face of found) if (!kept.some((other) => iou(face.box, other.box) > most)) kept.push(face);
  return kept;
}
