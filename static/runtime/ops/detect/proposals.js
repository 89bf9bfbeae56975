// Two-stage detectors, on the host: the first stage's boxes, their way to the maps of a pyramid, and what lies in them.
// Arithmetic in float32 and ties as in Paddle.
import { FLOAT, INTEGER } from '../dtype.js';
import { count, ShapeError, unplanned } from '../node.js';
import { overlap } from './suppress.js';

/** @typedef {import('../node.js').HostNode} HostNode */
/** @typedef {import('../node.js').HostTensor} HostTensor */
/** @typedef {ArrayLike<number>} Floats */

const f = Math.fround;
const LARGEST = f(Math.log(1000 / 16)); // an offset of a size is no larger: exp() of it stays in range

/** @param {HostNode} node @param {string} slot */
const floats = (node, slot) => /** @type {Float32Array} */ (node.x(slot).data);

/** @param {number[]|Float32Array} data @param {number[]} shape @returns {HostTensor} */
const float = (data, shape) => ({ data: Float32Array.from(data), shape, dtype: 'float32' });
/** @param {number[]} data @param {number[]} [shape] @returns {HostTensor} */
const whole = (data, shape = [data.length]) => ({ data: Int32Array.from(data), shape, dtype: 'int32' });

/**
 * A box at offsets from an anchor, cut at the picture's edges.
 * @param {Floats} anchor @param {Floats} spread @param {number} at of both @param {number[]} offset
 * @param {number} height @param {number} width @param {number} extra @returns {number[]}
 */
function decoded(anchor, spread, at, offset, height, width, extra) {
  const sides = [0, 1].map((axis) => {
    const own = f(f(anchor[at + 2 + axis] - anchor[at + axis]) + extra), middle = f(anchor[at + axis] + f(0.5 * own));
    const centre = f(f(f(spread[at + axis] * offset[axis]) * own) + middle);
    const half = f(f(f(Math.exp(Math.min(f(spread[at + 2 + axis] * offset[2 + axis]), LARGEST))) * own) / 2);
    return [f(centre - half), f(f(centre + half) - extra)];
  });
  const inside = (/** @type {number} */ v, /** @type {number} */ size) => Math.max(Math.min(v, f(size - extra)), 0);
  return [inside(sides[0][0], width), inside(sides[1][0], height), inside(sides[0][1], width), inside(sides[1][1], height)];
}

/**
 * Whether a box is of that size at least, and its middle in the picture.
 * @param {number[]} box @param {number} least @param {number} height @param {number} width @param {boolean} pixels
 */
function fits([left, top, right, bottom], least, height, width, pixels) {
  const w = f(f(right - left) + (pixels ? 1 : 0)), h = f(f(bottom - top) + (pixels ? 1 : 0)), limit = Math.max(f(least), 1);
  if (!(w >= limit && h >= limit)) return false;
  return !pixels || (f(left + f(w / 2)) <= width && f(top + f(h / 2)) <= height);
}

/**
 * Boxes by falling score, of equals the last first; an eta below 1 tightens the limit with each.
 * @param {{box: number[], score: number}[]} boxes @param {Record<string, any>} attrs
 */
function survivors(boxes, { nms_thresh: iou, eta, pixel_offset: pixels, post_nms_topN: most }) {
  const order = [...boxes].reverse().sort((p, q) => q.score - p.score), shrink = f(eta); // stable
  /** @type {typeof boxes} */
  const kept = [];
  let limit = f(iou);
  for (const one of order) {
    if (most > 0 && kept.length === most) break;
    if (!kept.every(({ box }) => overlap([...one.box, ...box], 0, 4, !pixels) <= limit)) continue;
    kept.push(one);
    if (shrink < 1 && limit > 0.5) limit = f(limit * shrink);
  }
  return kept;
}

/** Scores [N,A,H,W], BboxDeltas [N,4A,H,W] → boxes [K,4], scores [K,1], boxes per picture [N]. @param {HostNode} node */
function generate(node) {
  const { attrs } = node, [N, A, H, W] = node.x('Scores').shape, plane = H * W, M = A * plane;
  const scores = floats(node, 'Scores'), deltas = floats(node, 'BboxDeltas'), sizes = floats(node, 'ImShape');
  const anchors = floats(node, 'Anchors'), spread = floats(node, 'Variances');
  if (anchors.length !== 4 * M || spread.length !== 4 * M || deltas.length !== 4 * N * M || sizes.length !== 2 * N) {
    throw new ShapeError(`${anchors.length / 4} anchors do not fit scores [${node.x('Scores').shape}]`);
  }
  const found = Array.from({ length: N }, (_, n) => {
    const [height, width] = sizes.subarray(2 * n, 2 * n + 2), scoreOf = (/** @type {number} */ m) => scores[n * M + m % A * plane + Math.floor(m / A)];
    let best = Array.from({ length: M }, (_unused, m) => m).sort((p, q) => scoreOf(q) - scoreOf(p));
    if (attrs.pre_nms_topN > 0) best = best.slice(0, attrs.pre_nms_topN);
    const boxes = best.map((m) => {
      const offset = [0, 1, 2, 3].map((k) => deltas[n * 4 * M + (m % A * 4 + k) * plane + Math.floor(m / A)]);
      return { score: scoreOf(m), box: decoded(anchors, spread, 4 * m, offset, height, width, attrs.pixel_offset ? 1 : 0) };
    }).filter(({ box }) => fits(box, attrs.min_size, height, width, attrs.pixel_offset));
    if (!boxes.length) return [{ score: 0, box: [0, 0, 0, 0] }]; // Paddle leaves one of nothing
    return attrs.nms_thresh > 0 ? survivors(boxes, attrs) : boxes;
  });
  const all = found.flat();
  return [
    float(all.flatMap(({ box }) => box), [all.length, 4]), float(all.map(({ score }) => score), [all.length, 1]),
    whole(found.map((boxes) => boxes.length)),
  ];
}

/** Which picture each box belongs to. @param {number} boxes @param {HostTensor} numbers @returns {number[]} */
function picturesOf(boxes, numbers) {
  const each = Array.from(numbers.data, Number);
  if (each.some((n) => n < 0) || each.reduce((sum, n) => sum + n, 0) !== boxes) throw new ShapeError(`${boxes} boxes are not [${each}] per picture`);
  return each.flatMap((n, picture) => new Array(n).fill(picture));
}

/** How many of these numbers are 0, 1, … @param {number[]} of @param {number} length @returns {HostTensor} */
const tally = (of, length) => whole(Array.from({ length }, (_, k) => of.filter((one) => one === k).length));

/** FpnRois [R,4] → where each stands below [R,1], the boxes of each level, their numbers per picture. @param {HostNode} node */
function distribute(node) {
  const { min_level: first, max_level: last, refer_level: refer, refer_scale: scale, pixel_offset: pixels } = node.attrs;
  const rois = floats(node, 'FpnRois'), R = rois.length / 4, numbers = node.x('RoisNum'), pictures = picturesOf(R, numbers);
  const levels = Array.from({ length: R }, (_, r) => {
    const w = f(rois[4 * r + 2] - rois[4 * r]), h = f(rois[4 * r + 3] - rois[4 * r + 1]), extra = pixels ? 1 : 0;
    const area = w < 0 || h < 0 ? 0 : f(f(w + extra) * f(h + extra));
    const level = Math.floor(f(f(Math.log2(f(f(f(Math.sqrt(area)) / f(scale)) + f(1e-6)))) + refer));
    return Math.min(Math.max(level, first), last);
  });
  const parts = Array.from({ length: last - first + 1 }, (_, k) => pictures.map((_unused, r) => r).filter((r) => levels[r] === first + k));
  const restore = new Array(R);
  parts.flat().forEach((r, at) => { restore[r] = at; });
  return [
    whole(restore, [R, 1]),
    ...parts.map((part) => float(part.flatMap((r) => [...rois.subarray(4 * r, 4 * r + 4)]), [part.length, 4])),
    ...parts.map((part) => tally(part.map((r) => pictures[r]), numbers.data.length)),
  ];
}

/** Per level boxes, scores and numbers per picture → the best of all [K,4] by picture, of equals the last first, [N]. @param {HostNode} node */
function collect(node) {
  const [rois, scores, numbers] = ['MultiLevelRois', 'MultiLevelScores', 'MultiLevelRoIsNum'].map((slot) => node.inputs[slot] ?? []);
  if (rois.length !== scores.length || rois.length !== numbers.length) throw new ShapeError('the levels of boxes, scores and numbers differ');
  const all = rois.flatMap(({ data }, level) => picturesOf(data.length / 4, numbers[level]).map((picture, r) => (
    { picture, score: Number(scores[level].data[r]), box: [...Array.from(data, Number).slice(4 * r, 4 * r + 4)] })));
  const best = all.reverse().sort((p, q) => q.score - p.score).slice(0, node.attrs.post_nms_topN).sort((p, q) => p.picture - q.picture); // stable
  return [float(best.flatMap(({ box }) => box), [best.length, 4]), tally(best.map(({ picture }) => picture), numbers[0].data.length)];
}

/** The pixels of each bin from first to last, both included, inside the picture. @param {number} first @param {number} last @param {number} n @param {number} size */
function bins(first, last, n, size) {
  const step = f(Math.max(last - first + 1, 1) / n), inside = (/** @type {number} */ v) => Math.min(Math.max(v + first, 0), size);
  return Array.from({ length: n }, (_, k) => [inside(Math.floor(f(k * step))), inside(Math.ceil(f((k + 1) * step)))]);
}

/** X [N,C,H,W], ROIs [R,4] → the largest in each bin of whole pixels [R,C,ph,pw]; 0 where a bin is empty. @param {HostNode} node */
function roiPool(node) {
  const { pooled_height: ph, pooled_width: pw, spatial_scale: scale } = node.attrs, x = floats(node, 'X'), rois = floats(node, 'ROIs');
  const [, C, H, W] = node.x().shape, R = rois.length / 4, out = new Float32Array(R * C * ph * pw);
  const nearest = (/** @type {number} */ v) => Math.sign(v) * Math.floor(Math.abs(v) + 0.5); // halves away from 0
  picturesOf(R, node.x('RoisNum')).forEach((n, r) => {
    const [left, top, right, bottom] = Array.from(rois.subarray(4 * r, 4 * r + 4), (v) => nearest(f(v * f(scale))));
    const rows = bins(top, bottom, ph, H), columns = bins(left, right, pw, W);
    for (let c = 0; c < C; c++) rows.forEach(([y0, y1], i) => columns.forEach(([x0, x1], j) => {
      let most = y0 < y1 && x0 < x1 ? -Infinity : 0;
      for (let y = y0; y < y1; y++) for (let at = x0; at < x1; at++) most = Math.max(most, x[((n * C + c) * H + y) * W + at]);
      out[((r * C + c) * ph + i) * pw + j] = most;
    }));
  });
  return [{ data: out, shape: [R, C, ph, pw], dtype: 'float32' }];
}

/** @type {Record<string, import('../node.js').Rule>} */
export const rules = {
  generate_proposals_v2: {
    attrs: ['pre_nms_topN', 'post_nms_topN', 'nms_thresh', 'min_size', 'eta', 'pixel_offset'],
    types: { Scores: FLOAT, BboxDeltas: FLOAT, ImShape: FLOAT, Anchors: FLOAT, Variances: FLOAT },
    shape: unplanned,
    host: generate,
  },
  distribute_fpn_proposals: {
    attrs: ['min_level', 'max_level', 'refer_level', 'refer_scale', 'pixel_offset'],
    types: { FpnRois: FLOAT, RoisNum: INTEGER },
    shape: unplanned,
    host: distribute,
  },
  collect_fpn_proposals: {
    attrs: ['post_nms_topN'],
    types: { MultiLevelRois: FLOAT, MultiLevelScores: FLOAT, MultiLevelRoIsNum: INTEGER },
    shape: unplanned,
    host: collect,
  },
  roi_pool: {
    attrs: ['pooled_height', 'pooled_width', 'spatial_scale'],
    types: { X: FLOAT, ROIs: FLOAT, RoisNum: INTEGER },
    check: ({ attrs }) => (count([attrs.pooled_height, attrs.pooled_width]) > 0 ? '' : `a window of ${attrs.pooled_height} x ${attrs.pooled_width}`),
    shape: unplanned,
    host: roiPool,
  },
};
