// nearest_interp_v2, bilinear_interp_v2, bicubic_interp_v2: X [N,C,H,W] or [N,H,W,C]; every position in float32, as Paddle computes it.
import { FLOAT, INTEGER } from '../dtype.js';
import { channelsLast, checkLayout, known, ShapeError } from '../node.js';

/** @typedef {import('../node.js').OpNode} OpNode */
/** @typedef {{low: Int32Array, high: Int32Array, part: Float32Array}} Axis two source positions and the weight of the second */
/** @typedef {{size: number, scale: number}} Target scale 0: the sizes set the step */

const fround = Math.fround;

/**
 * SizeTensor wins over everything; else a scale sets size and step; OutSize then overrides the size only.
 * @param {OpNode} node @param {number[]} sizes H and W of X
 * @returns {Target[]}
 */
function targets(node, sizes) {
  const { out_h: h, out_w: w, scale } = node.attrs;
  const parts = node.all('SizeTensor'), factor = node.maybe('Scale'), outSize = node.maybe('OutSize');
  if (parts.length) return parts.map((part) => ({ size: known(part)[0], scale: 0 }));
  let scales = (factor ? known(factor) : scale).map(fround);
  if (scales.length === 1) scales = [scales[0], scales[0]];
  const scaled = scales.length === 2 && Math.min(...scales) > 0;
  /** @type {Target[]} */
  const out = sizes.map((n, i) => (scaled ? { size: Math.trunc(fround(n * scales[i])), scale: scales[i] } : { size: [h, w][i], scale: 0 }));
  return outSize ? out.map((target, i) => ({ ...target, size: known(outSize)[i] })) : out;
}

/**
 * Source pixels per output pixel.
 * @param {number} size @param {Target} target @param {boolean} corners
 */
function stepOf(size, { size: out, scale }, corners) {
  if (out === 1) return 0; // one pixel is always the first one
  if (corners) return fround((size - 1) / (out - 1));
  return scale ? fround(1 / scale) : fround(size / out);
}

/** @param {OpNode} node */
export function resizeSizes(node) {
  const { shape } = node.x(), last = channelsLast(node.attrs.data_layout), first = last ? 1 : 2;
  if (shape.length !== 4) throw new ShapeError(`it takes a 4-D tensor, not [${shape}]`);
  const sizes = shape.slice(first, first + 2), out = targets(node, sizes);
  if (out.length !== 2 || out.some(({ size }) => !(size >= 1))) {
    throw new ShapeError(`it has no usable size or scale for [${shape}]: ${out.map(({ size }) => size).join(' x ')}`);
  }
  const [OH, OW] = out.map(({ size }) => size);
  return {
    sizes, out, outer: last ? shape[0] : shape[0] * shape[1], inner: last ? shape[3] : 1,
    shape: last ? [shape[0], OH, OW, shape[3]] : [shape[0], shape[1], OH, OW],
  };
}

/** @param {number} size @param {Target} target @param {boolean} corners @returns {Int32Array} */
export function nearestAxis(size, target, corners) {
  const step = stepOf(size, target, corners);
  return Int32Array.from({ length: target.size }, (_, i) => {
    const at = fround(step * i);
    return Math.min(Math.trunc(corners ? fround(at + 0.5) : at), size - 1);
  });
}

/** @param {number} size @param {Target} target @param {boolean} corners @param {number} mode @returns {Axis} */
export function linearAxis(size, target, corners, mode) {
  const step = stepOf(size, target, corners), half = mode === 0 && !corners ? 0.5 : 0;
  const source = Float32Array.from({ length: target.size }, (_, i) => Math.max(fround(fround(step * fround(i + half)) - half), 0));
  const low = Int32Array.from(source, (at) => Math.min(Math.trunc(at), size - 1));
  return { low, high: low.map((at) => Math.min(at + 1, size - 1)), part: source.map((at, i) => at - low[i]) };
}

/**
 * Four source positions and their weights per output pixel: Keys' kernel with a = -0.75.
 * @param {number} size @param {Target} target @param {boolean} corners
 */
export function cubicAxis(size, target, corners) {
  const step = stepOf(size, target, corners), half = corners ? 0 : 0.5, a = -0.75;
  const at = new Int32Array(4 * target.size), weight = new Float32Array(4 * target.size);
  const near = (/** @type {number} */ x) => ((a + 2) * x - (a + 3)) * x * x + 1;
  const far = (/** @type {number} */ x) => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  for (let i = 0; i < target.size; i++) {
    const source = fround(fround(step * fround(i + half)) - half), low = Math.floor(source), t = fround(source - low);
    weight.set([far(t + 1), near(t), near(1 - t), far(2 - t)], 4 * i);
    for (let k = 0; k < 4; k++) at[4 * i + k] = Math.min(Math.max(low - 1 + k, 0), size - 1);
  }
  return { at, weight };
}

/** @type {import('../node.js').Rule} */
const rule = {
  attrs: ['out_h', 'out_w', 'scale', 'align_corners', 'align_mode', 'data_layout'],
  types: { X: FLOAT, 'OutSize?': INTEGER, 'SizeTensor?': INTEGER, 'Scale?': FLOAT },
  check: ({ attrs }) => checkLayout(attrs.data_layout),
  shape: (node) => [{ shape: resizeSizes(node).shape, dtype: 'float32' }],
};

/** @type {Record<string, import('../node.js').Rule>} */
export const rules = { nearest_interp_v2: rule, bilinear_interp_v2: rule, bicubic_interp_v2: rule };
