// Boxes of detectors. Priors and anchors follow from shapes: the plan computes them. Offsets and YOLO heads are kernels,
// suppression of overlaps and the proposals of two-stage detectors run on the host (suppress.js, proposals.js). A box is [left, top, right, bottom].
import { FLOAT, INTEGER } from '../dtype.js';
import { count, ShapeError } from '../node.js';
import { rules as proposals } from './proposals.js';
import { rules as suppression } from './suppress.js';

/** @typedef {import('../node.js').OpNode} OpNode */
/** @typedef {import('../node.js').Rule} Rule */

const f = Math.fround;

/** Aspect ratios: 1 first, no near-equals, each followed by its inverse. @param {number[]} ratios @param {boolean} flip */
function expanded(ratios, flip) {
  const out = [1];
  for (const ratio of ratios.map(f)) {
    if (out.some((known) => Math.abs(ratio - known) < 1e-6)) continue;
    out.push(ratio);
    if (flip) out.push(f(1 / ratio));
  }
  return out;
}

/** Half width and height of each prior of a cell. @param {Record<string, any>} attrs @returns {number[][]} */
function priorSizes({ min_sizes: sizes, max_sizes: largest, aspect_ratios: given, flip, min_max_aspect_ratios_order: squaresFirst }) {
  const ratios = expanded(given, flip);
  return sizes.flatMap((/** @type {number} */ size, /** @type {number} */ i) => {
    const byRatio = ratios.map((r) => [f(size * Math.sqrt(r) / 2), f(size / Math.sqrt(r) / 2)]);
    const side = largest.length ? f(Math.sqrt(size * largest[i]) / 2) : 0, between = largest.length ? [[side, side]] : [];
    return squaresFirst ? [byRatio[0], ...between, ...byRatio.slice(1)] : [...byRatio, ...between];
  });
}

/** Half width and height of each anchor of a cell. @param {Record<string, any>} attrs @returns {number[][]} */
function anchorSizes({ anchor_sizes: sizes, aspect_ratios: ratios, stride }) {
  const [w, h] = stride.map(f);
  return ratios.map(f).flatMap((/** @type {number} */ ratio) => {
    const baseW = halfToEven(f(Math.sqrt(f(f(w * h) / ratio)))), baseH = halfToEven(f(baseW * ratio));
    return sizes.map(f).map((/** @type {number} */ size) => (
      [f(0.5 * f(f(f(size / w) * baseW) - 1)), f(0.5 * f(f(f(size / h) * baseH) - 1))]));
  });
}

/** @param {number} x */
function halfToEven(x) {
  const low = Math.floor(x), part = x - low;
  return part < 0.5 || (part === 0.5 && low % 2 === 0) ? low : low + 1;
}

/** Height and width of [N,C,H,W]. @param {OpNode} node @param {string} slot @returns {number[]} */
function picture(node, slot) {
  const { shape } = node.x(slot);
  if (shape.length !== 4) throw new ShapeError(`${slot} is [${shape}], not [N,C,H,W]`);
  return shape.slice(2);
}

/**
 * [H,W,P,4] around the centres of the cells, and the variances once per box.
 * @param {number[]} grid H, W @param {number[][]} half sizes of the P boxes of a cell @param {number[]} xs centres
 * @param {number[]} ys @param {number[]} size what coordinates are divided by @param {number[]} variances
 * @returns {[number[], number[]]}
 */
function spread([rows, columns], half, xs, ys, size, variances) {
  /** @type {number[]} */
  const boxes = [], spreads = [];
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) for (const [w, h] of half) {
    boxes.push(f(f(xs[j] - w) / size[0]), f(f(ys[i] - h) / size[1]), f(f(xs[j] + w) / size[0]), f(f(ys[i] + h) / size[1]));
    spreads.push(...variances);
  }
  return [boxes, spreads];
}

/** @param {OpNode} node @returns {number[][]} */
function priors(node) {
  const { step_w: stepW, step_h: stepH, offset, clip, variances } = node.attrs;
  const [rows, columns] = picture(node, 'Input'), [height, width] = picture(node, 'Image');
  const [w, h] = stepW === 0 || stepH === 0 ? [f(width / columns), f(height / rows)] : [f(stepW), f(stepH)];
  const xs = Array.from({ length: columns }, (_, i) => f(f(i + f(offset)) * w));
  const ys = Array.from({ length: rows }, (_, i) => f(f(i + f(offset)) * h));
  const [boxes, spreads] = spread([rows, columns], priorSizes(node.attrs), xs, ys, [width, height], variances.map(f));
  return [clip ? boxes.map((v) => Math.min(Math.max(v, 0), 1)) : boxes, spreads];
}

/** @param {OpNode} node @returns {number[][]} */
function anchors(node) {
  const { stride, offset, variances } = node.attrs, [rows, columns] = picture(node, 'Input'), [w, h] = stride.map(f);
  const xs = Array.from({ length: columns }, (_, i) => f(f(i * w) + f(f(offset) * (w - 1))));
  const ys = Array.from({ length: rows }, (_, i) => f(f(i * h) + f(f(offset) * (h - 1))));
  return spread([rows, columns], anchorSizes(node.attrs), xs, ys, [1, 1], variances.map(f));
}

/** @param {(attrs: Record<string, any>) => number[][]} sizes @returns {Rule['shape']} */
const perCell = (sizes) => (node) => {
  const info = { shape: [...picture(node, 'Input'), sizes(node.attrs).length, 4], dtype: 'float32' };
  return [info, info];
};

/**
 * PriorBox [M,4] and TargetBox: [N,4] to encode, [N,M,4] to decode (axis 0; with axis 1 [M,N,4]).
 * @param {OpNode} node
 */
export function coderSizes(node) {
  const prior = node.x('PriorBox').shape, target = node.x('TargetBox').shape, spread = node.maybe('PriorBoxVar');
  const { code_type: type, axis } = node.attrs, encode = type === 'encode_center_size';
  const fits = encode ? target.length === 2 : target.length === 3 && target[1 - axis] === prior[0];
  if (prior.length !== 2 || prior[1] !== 4 || !fits || target[target.length - 1] !== 4) {
    throw new ShapeError(`priors [${prior}] and boxes [${target}] do not fit`);
  }
  if (spread && spread.shape.join() !== prior.join() && spread.shape.join() !== '4') {
    throw new ShapeError(`variances [${spread.shape}] do not fit priors [${prior}]`);
  }
  return { encode, N: target[0], M: encode ? prior[0] : target[1], each: spread?.shape.length === 2 };
}

/** @param {{attrs: Record<string, any>}} op */
function checkCoder({ attrs: { code_type: type, axis, variance } }) {
  if (!['encode_center_size', 'decode_center_size'].includes(type)) return `code_type ${JSON.stringify(type)}`;
  if (axis !== 0 && axis !== 1) return `axis ${axis}`;
  return variance.length === 0 || variance.length === 4 ? '' : `variance [${variance}]`;
}

/** X [N,A*(5+classes),H,W], with iou_aware [N,A*(6+classes),H,W]. @param {OpNode} node */
export function yoloSizes(node) {
  const { shape } = node.x(), { anchors: sizes, class_num: classes, iou_aware: aware } = node.attrs, A = sizes.length / 2;
  if (shape.length !== 4 || shape[1] !== A * (classes + (aware ? 6 : 5))) throw new ShapeError(`[${shape}] has not the channels of ${A} anchors`);
  const image = node.x('ImgSize').shape;
  if (image.join() !== [shape[0], 2].join()) throw new ShapeError(`ImgSize is [${image}], not [${shape[0]},2]`);
  return { N: shape[0], A, H: shape[2], W: shape[3], classes };
}

/** @type {Record<string, Rule>} */
export const rules = {
  prior_box: {
    attrs: ['min_sizes', 'max_sizes', 'aspect_ratios', 'variances', 'flip', 'clip', 'step_w', 'step_h', 'offset', 'min_max_aspect_ratios_order'],
    types: { Input: FLOAT, Image: FLOAT },
    check: ({ attrs: { min_sizes: small, max_sizes: large, variances } }) => (
      (large.length && large.length !== small.length) || variances.length !== 4 ? 'this number of sizes or variances' : ''),
    shape: perCell(priorSizes),
    needs: [],
    evaluate: priors,
  },
  anchor_generator: {
    attrs: ['anchor_sizes', 'aspect_ratios', 'variances', 'stride', 'offset'],
    types: { Input: FLOAT },
    check: ({ attrs: { stride, variances } }) => (stride.length !== 2 || variances.length !== 4 ? 'this number of strides or variances' : ''),
    shape: perCell(anchorSizes),
    needs: [],
    evaluate: anchors,
  },
  box_coder: {
    attrs: ['code_type', 'box_normalized', 'axis', 'variance'],
    types: { PriorBox: FLOAT, 'PriorBoxVar?': FLOAT, TargetBox: FLOAT },
    check: checkCoder,
    shape: (node) => {
      const { N, M } = coderSizes(node);
      return [{ shape: [N, M, 4], dtype: 'float32' }];
    },
  },
  yolo_box: {
    attrs: ['anchors', 'class_num', 'conf_thresh', 'downsample_ratio', 'clip_bbox', 'scale_x_y', 'iou_aware', 'iou_aware_factor'],
    types: { X: FLOAT, ImgSize: ['int32'] },
    check: ({ attrs }) => (attrs.anchors.length && attrs.anchors.length % 2 === 0 ? '' : `anchors [${attrs.anchors}]`),
    shape: (node) => {
      const { N, A, H, W, classes } = yoloSizes(node);
      return [4, classes].map((last) => ({ shape: [N, A * H * W, last], dtype: 'float32' }));
    },
  },
  roi_align: {
    attrs: ['pooled_height', 'pooled_width', 'spatial_scale', 'sampling_ratio', 'aligned'],
    types: { X: FLOAT, ROIs: FLOAT, RoisNum: INTEGER },
    check: ({ attrs }) => (attrs.pooled_height > 0 && attrs.pooled_width > 0 ? '' : `a window of ${attrs.pooled_height} x ${attrs.pooled_width}`),
    shape: (node) => {
      const { shape } = node.x(), boxes = node.x('ROIs').shape, numbers = node.x('RoisNum').shape;
      if (shape.length !== 4 || boxes.length !== 2 || boxes[1] !== 4 || count(numbers) !== shape[0]) {
        throw new ShapeError(`pictures [${shape}], boxes [${boxes}] and their numbers [${numbers}] do not fit`);
      }
      return [{ shape: [boxes[0], shape[1], node.attrs.pooled_height, node.attrs.pooled_width], dtype: 'float32' }];
    },
  },
  ...suppression,
  ...proposals,
};
