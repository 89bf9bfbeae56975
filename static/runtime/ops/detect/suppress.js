// Suppression of overlapping boxes, on the host: how many are left shows at run time. Arithmetic in float32 and ties as
// in Paddle.
import { elements, FLOAT, INTEGER } from '../dtype.js';
import { count, ShapeError, unplanned } from '../node.js';
import { partialSort } from './partial_sort.js';

/** @typedef {import('../node.js').HostNode} HostNode */
/** @typedef {import('../node.js').HostTensor} HostTensor */
/** @typedef {import('../node.js').Rule} Rule */
/** @typedef {ArrayLike<number>} Floats */
/** @typedef {{label: number, at: number, score: number}} Kept box `at` of the picture, as class `label` */
/**
 * @typedef {object} Boxes of one class of one picture: box i starts at first + i * step, its score at own + i * every
 * @property {Float32Array} boxes
 * @property {number} first
 * @property {number} step
 * @property {Float32Array} scores
 * @property {number} own
 * @property {number} every
 * @property {number} M how many
 */

const f = Math.fround;

/** 0 where a box is turned inside out. @param {Floats} box @param {number} p start of the box @param {number} extra */
function area(box, p, extra) {
  const w = f(box[p + 2] - box[p]), h = f(box[p + 3] - box[p + 1]);
  return w < 0 || h < 0 ? 0 : f(f(w + extra) * f(h + extra));
}

/** Intersection over union of two boxes. @param {Floats} box @param {number} p @param {number} q @param {boolean} normalized */
export function overlap(box, p, q, normalized) {
  if (box[q] > box[p + 2] || box[q + 2] < box[p] || box[q + 1] > box[p + 3] || box[q + 3] < box[p + 1]) return 0;
  const extra = normalized ? 0 : 1;
  const w = f(f(Math.min(box[p + 2], box[q + 2]) - Math.max(box[p], box[q])) + extra);
  const h = f(f(Math.min(box[p + 3], box[q + 3]) - Math.max(box[p + 1], box[q + 1])) + extra), inner = f(w * h);
  return f(inner / f(f(area(box, p, extra) + area(box, q, extra)) - inner));
}

/**
 * Positions of the survivors of one class by falling score; an eta below 1 tightens the limit with each.
 * @param {Boxes} of @param {Record<string, any>} attrs @returns {number[]}
 */
function suppress({ boxes, first, step, scores, own, every, M }, { score_threshold: least, nms_top_k: best, nms_threshold: iou, nms_eta: eta, normalized }) {
  const candidates = [], threshold = f(least), shrink = f(eta);
  for (let i = 0; i < M; i++) if (scores[own + i * every] > threshold) candidates.push(i);
  candidates.sort((p, q) => scores[own + q * every] - scores[own + p * every]); // stable
  if (best > -1) candidates.length = Math.min(candidates.length, best);
  let limit = f(iou);
  /** @type {number[]} */
  const kept = [];
  for (const at of candidates) {
    if (!kept.every((other) => overlap(boxes, first + at * step, first + other * step, normalized) <= limit)) continue;
    kept.push(at);
    if (shrink < 1 && limit > 0.5) limit = f(limit * shrink);
  }
  return kept;
}

/**
 * The boxes and scores of all classes of each picture: BBoxes [N,M,4] and Scores [N,C,M], or with RoisNum [N]
 * BBoxes [M,C,4] and Scores [M,C].
 * @param {HostNode} node @returns {{classes: Boxes[], position: (kept: Kept) => number}[]} position among all boxes
 */
function pictures(node) {
  const boxes = node.x('BBoxes'), scores = node.x('Scores'), counts = node.maybe('RoisNum');
  const data = { boxes: /** @type {Float32Array} */ (boxes.data), scores: /** @type {Float32Array} */ (scores.data) };
  const shared = scores.shape.length === 3, wanted = shared ? [scores.shape[0], scores.shape[2], 4] : [...scores.shape, 4];
  if ((!shared && !counts) || scores.shape.length < 2 || boxes.shape.join() !== wanted.join()) {
    throw new ShapeError(`boxes [${boxes.shape}] and scores [${scores.shape}] do not fit${shared ? '' : ' or lack RoisNum'}`);
  }
  if (shared) {
    const [N, C, M] = scores.shape;
    return Array.from({ length: N }, (_, n) => ({
      classes: Array.from({ length: C }, (_unused, c) => ({ ...data, first: n * M * 4, step: 4, own: (n * C + c) * M, every: 1, M })),
      position: ({ at }) => n * M + at,
    }));
  }
  const C = scores.shape[1], each = Array.from(counts?.data ?? [], Number);
  if (each.some((n) => n < 0) || each.reduce((sum, n) => sum + n, 0) > scores.shape[0]) throw new ShapeError(`RoisNum [${each}] counts other than ${scores.shape[0]} boxes`);
  return each.map((M, n) => {
    const start = each.slice(0, n).reduce((sum, size) => sum + size, 0);
    return {
      classes: Array.from({ length: C }, (_, c) => ({ ...data, first: (start * C + c) * 4, step: 4 * C, own: start * C + c, every: C, M })),
      position: ({ label, at }) => (start + at) * C + label,
    };
  });
}

/**
 * Survivors of one picture by class and then by score (by position where every class has boxes of its own).
 * @param {Boxes[]} classes @param {boolean} shared @param {Record<string, any>} attrs @returns {Kept[]}
 */
function onePicture(classes, shared, attrs) {
  const { background_label: background, keep_top_k: best } = attrs;
  /** @type {Kept[]} */
  const kept = classes.flatMap((of, label) => {
    if (label === background) return [];
    const found = suppress(of, attrs);
    if (!shared) found.sort((p, q) => p - q);
    return found.map((at) => ({ label, at, score: of.scores[of.own + at * of.every] }));
  });
  if (best <= -1 || kept.length <= best) return kept;
  const top = kept.sort((p, q) => q.score - p.score).slice(0, best);
  return top.sort((p, q) => p.label - q.label || (shared ? 0 : p.at - q.at));
}

/** @param {Float32Array} rows @param {number} i @param {Kept} kept @param {Boxes} of */
function writeRow(rows, i, { label, at, score }, { boxes, first, step }) {
  rows[6 * i] = label;
  rows[6 * i + 1] = score;
  rows.set(boxes.subarray(first + at * step, first + at * step + 4), 6 * i + 2);
}

/**
 * Rows [K,6] (class, score, box), positions [K,1] and rows per picture [N].
 * @param {HostNode} node @param {(classes: Boxes[], shared: boolean, attrs: Record<string, any>) => Kept[]} choose
 * @returns {HostTensor[]}
 */
function collect(node, choose) {
  const all = pictures(node), shared = node.x('Scores').shape.length === 3;
  const chosen = all.map(({ classes }) => choose(classes, shared, node.attrs)), K = chosen.reduce((sum, kept) => sum + kept.length, 0);
  const rows = new Float32Array(6 * K), positions = new Int32Array(K);
  let i = 0;
  chosen.forEach((kept, n) => {
    for (const one of kept) {
      writeRow(rows, i, one, all[n].classes[one.label]);
      positions[i++] = all[n].position(one);
    }
  });
  const counts = Int32Array.from(chosen, (kept) => kept.length);
  return [
    { data: rows, shape: [K, 6], dtype: 'float32' }, { data: positions, shape: [K, 1], dtype: 'int32' },
    { data: counts, shape: [counts.length], dtype: 'int32' },
  ];
}

/** One class of matrix_nms: each score shrunk by the overlap with better ones. @param {Boxes} of @param {number} label @param {Record<string, any>} attrs @returns {Kept[]} */
function decayed({ boxes, first, step, scores, own, M }, label, attrs) {
  const { score_threshold: least, post_threshold: last, nms_top_k: top, use_gaussian: gaussian, gaussian_sigma: sigma, normalized } = attrs;
  const candidates = Array.from({ length: M }, (_, i) => i).filter((i) => !(scores[own + i] <= f(least)));
  const best = top > -1 ? Math.min(top, candidates.length) : candidates.length;
  const order = partialSort(candidates, best, (p, q) => scores[own + p] > scores[own + q]), covered = new Float32Array(best);
  return order.flatMap((at, i) => {
    let decay = 1;
    for (let j = 0; j < i; j++) {
      const iou = overlap(boxes, first + at * step, first + order[j] * step, normalized), most = covered[j];
      if (covered[i] < iou) covered[i] = iou;
      const one = gaussian ? f(Math.exp(f(f(f(most * most) - f(iou * iou)) * f(sigma)))) : f((1 - iou) / (1 - most));
      if (one < decay) decay = one;
    }
    const score = f(scores[own + at] * decay);
    return score > f(last) ? [{ label, at, score }] : [];
  });
}

/** @param {Boxes[]} classes @param {boolean} _shared @param {Record<string, any>} attrs @returns {Kept[]} */
function matrixPicture(classes, _shared, attrs) {
  const found = classes.flatMap((of, label) => (label === attrs.background_label ? [] : decayed(of, label, attrs)));
  const best = attrs.keep_top_k > -1 ? Math.min(attrs.keep_top_k, found.length) : found.length;
  return partialSort(found.map((_, i) => i), best, (p, q) => found[p].score > found[q].score).map((i) => found[i]);
}

/** Positions of the boxes, the best first, that overlap no better one that stays. @param {HostNode} node @returns {HostTensor[]} */
function plain(node) {
  const box = /** @type {Float32Array} */ (node.x('Boxes').data), limit = f(node.attrs.iou_threshold);
  const side = (/** @type {number} */ low, /** @type {number} */ high) => f(high - low);
  const whole = (/** @type {number} */ p) => f(side(box[p], box[p + 2]) * side(box[p + 1], box[p + 3]));
  /** @type {number[]} */
  const kept = [];
  for (let p = 0; p < box.length; p += 4) {
    const covered = kept.some((q) => {
      const [w, h] = [0, 1].map((axis) => Math.max(side(Math.max(box[p + axis], box[q + axis]), Math.min(box[p + 2 + axis], box[q + 2 + axis])), 0));
      const inner = f(w * h);
      return f(inner / f(f(whole(p) + whole(q)) - inner)) > limit;
    });
    if (!covered) kept.push(p);
  }
  return [{ data: elements(kept.map((p) => p / 4), 'int64'), shape: [kept.length], dtype: 'int64' }];
}

const ATTRS = ['score_threshold', 'nms_top_k', 'keep_top_k', 'normalized', 'background_label'];
const GREEDY = [...ATTRS, 'nms_threshold', 'nms_eta'];

/** @type {Record<string, Rule>} */
export const rules = {
  multiclass_nms: {
    attrs: GREEDY,
    types: { BBoxes: FLOAT, Scores: FLOAT },
    shape: unplanned,
    host: (node) => {
      const [rows] = collect(node, onePicture);
      return [count(rows.shape) ? rows : { data: Float32Array.of(-1), shape: [1, 1], dtype: 'float32' }];
    },
  },
  multiclass_nms3: {
    attrs: GREEDY,
    types: { BBoxes: FLOAT, Scores: FLOAT, 'RoisNum?': INTEGER },
    shape: unplanned,
    host: (node) => collect(node, onePicture),
  },
  nms: { attrs: ['iou_threshold'], types: { Boxes: FLOAT }, shape: unplanned, host: plain },
  matrix_nms: {
    attrs: [...ATTRS, 'post_threshold', 'use_gaussian', 'gaussian_sigma'],
    types: { BBoxes: FLOAT, Scores: FLOAT },
    check: ({ attrs }) => (attrs.nms_top_k === 0 ? 'nms_top_k 0' : ''),
    shape: unplanned,
    host: (node) => collect(node, matrixPicture),
  },
};
