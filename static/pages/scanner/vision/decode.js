// Heatmaps of the document_corners network → four corners and a score.

import { isValidQuad, polygonArea } from './geometry.js';

/** @typedef {import('./geometry.js').Point} Point */
/** @typedef {import('./geometry.js').Size} Size */
/** @typedef {import('./geometry.js').Quad} Quad */
/** @typedef {{data: ArrayLike<number> | BigInt64Array, shape: number[]}} Tensor */
/** @typedef {{at: Point, peak: number}} Peak position normalised to the picture, 0..1 (beyond: outside of it) */

/** No page below this probability of one being there. */
export const MIN_PRESENCE = 0.5;
/** A corner whose peak is at least this is taken as seen. */
export const STRONG_PEAK = 0.25;
/** Three seen corners complete a fourth only when they are this sure. */
export const SURE_PEAK = 0.5;
/** Nothing is drawn below this score. */
export const MIN_SCORE = 0.35;
/** What a completed corner takes off the score. */
export const COMPLETED_FACTOR = 0.7;
/** How far outside the picture a corner may be, as a share of its side. */
const MAX_OUTSIDE = 0.2;
/** A second peak of a channel this strong, relative to the first, is weighed against it. */
const SECOND_PEAK = 0.5;
/** Between peaks of much the same strength the squarer page wins: the spread, in degrees, of a page's angles around 90. */
const ANGLE_SPREAD = 25;
/** Padding of the network's input, over the input: the margin a bundle without metadata was trained with. */
const DEFAULT_MARGIN = 16 / 224;

/**
 * @param {{heatmaps: Tensor, presence?: Tensor}} outputs heatmaps [1,4,h,w] (probabilities; TL,TR,BR,BL), presence [1,1]
 * @param {{margin?: number, presence?: number}} [postprocess] the bundle's metadata: the grid covers the picture plus this share
 *   of each side; smallest presence
 * @param {Size} [picture] its size, or just its proportions: angles are judged in them
 * @returns {{corners: Quad, score: number} | null} corners normalised 0..1; null = no page
 * @throws {RangeError} when the outputs do not have these shapes
 */
export function decodeCorners(outputs, postprocess = {}, picture = { width: 1, height: 1 }) {
  const { data, h, w, present } = checked(outputs);
  if (!(present >= (postprocess.presence ?? MIN_PRESENCE))) return null;
  const margin = postprocess.margin ?? DEFAULT_MARGIN;
  const channels = [0, 1, 2, 3].map((k) => findPeaks(data, k * h * w, h, w, margin));
  const found = fromSeen(channels, present, picture) ?? fromThree(channels.map((peaks) => peaks[0]), present);
  return found && found.score >= MIN_SCORE ? found : null;
}

/** @param {{heatmaps: Tensor, presence?: Tensor}} outputs */
function checked({ heatmaps, presence }) {
  const { data, shape = [] } = heatmaps ?? {};
  const [batch, corners, h, w] = shape;
  if (!data || data instanceof BigInt64Array || shape.length !== 4 || batch !== 1 || corners !== 4) {
    throw new RangeError(`decodeCorners: heatmaps must be numbers of shape [1, 4, h, w], got [${shape}]`);
  }
  if (data.length !== 4 * h * w) throw new RangeError(`decodeCorners: heatmaps hold ${data.length} values, not ${4 * h * w}`);
  if (presence && presence.data.length !== 1) throw new RangeError(`decodeCorners: presence must be one number, got ${presence.data.length}`);
  return { data, h, w, present: presence ? Number(presence.data[0]) : 1 };
}

/**
 * The two highest separate peaks of one channel, best first.
 * @param {ArrayLike<number>} data @param {number} offset @param {number} h @param {number} w @param {number} margin
 * @returns {Peak[]}
 */
function findPeaks(data, offset, h, w, margin) {
  const first = argmax(data, offset, h, w, -1, -1);
  const peaks = [first];
  const second = argmax(data, offset, h, w, first.row, first.col);
  if (second.value >= Math.max(STRONG_PEAK, SECOND_PEAK * first.value)) peaks.push(second);
  return peaks.map(({ row, col, value }) => {
    const [x, y] = refinePeak(data, offset, h, w, row, col);
    return {
      at: [((x + 0.5) / w) * (1 + 2 * margin) - margin, ((y + 0.5) / h) * (1 + 2 * margin) - margin],
      peak: value,
    };
  });
}

/**
 * The highest cell, leaving out the surroundings of (skipRow, skipCol) when that is ≥ 0.
 * @param {ArrayLike<number>} data @param {number} offset @param {number} h @param {number} w
 * @param {number} skipRow @param {number} skipCol
 */
function argmax(data, offset, h, w, skipRow, skipCol) {
  const reach = skipRow < 0 ? -1 : Math.ceil(Math.max(h, w) / 14);
  let best = -1;
  let value = -Infinity;
  for (let row = 0; row < h; row++) {
    for (let col = 0; col < w; col++) {
      if (Math.abs(row - skipRow) <= reach && Math.abs(col - skipCol) <= reach) continue;
      const v = data[offset + row * w + col];
      if (v > value) [best, value] = [row * w + col, v];
    }
  }
  return { row: Math.floor(best / w), col: best % w, value };
}

/**
 * Sub-cell position [x, y] of a peak: the centre of mass of the 5×5 cells around it, over what rises
 * above a third of the peak (the tails would pull it to the window's middle), three times, with the window
 * centred on the last result: a window fixed to the cells pulls the result to their middle.
 * @param {ArrayLike<number>} data @param {number} offset @param {number} h @param {number} w
 * @param {number} row @param {number} col
 */
function refinePeak(data, offset, h, w, row, col) {
  const floor = data[offset + row * w + col] / 3;
  let x = col;
  let y = row;
  for (let round = 0; round < 3; round++) {
    let mass = 0;
    let mx = 0;
    let my = 0;
    for (let r = Math.max(0, row - 3); r <= Math.min(h - 1, row + 3); r++) {
      const wy = Math.min(1, Math.max(0, 3 - Math.abs(r - y)));
      for (let c = Math.max(0, col - 3); c <= Math.min(w - 1, col + 3); c++) {
        const wx = Math.min(1, Math.max(0, 3 - Math.abs(c - x)));
        const v = Math.max(0, data[offset + r * w + c] - floor) * wx * wy;
        mass += v;
        mx += v * c;
        my += v * r;
      }
    }
    if (!(mass > 0)) break;
    x = Math.min(col + 1, Math.max(col - 1, mx / mass));
    y = Math.min(row + 1, Math.max(row - 1, my / mass));
  }
  return [x, y];
}

/** @param {Quad} corners */
function plausible(corners) {
  const inside = corners.every((p) => p.every((v) => v >= -MAX_OUTSIDE && v <= 1 + MAX_OUTSIDE));
  return inside && isValidQuad(corners, { width: 1, height: 1 });
}

/**
 * All four corners seen: of the choices of peaks that make a page, the one of the best score and shape.
 * @param {Peak[][]} channels @param {number} presence @param {Size} picture
 * @returns {{corners: Quad, score: number} | null}
 */
function fromSeen(channels, presence, picture) {
  if (channels.some((peaks) => peaks[0].peak < STRONG_PEAK)) return null;
  let best = null;
  let bestRank = 0;
  for (let choice = 0; choice < 16; choice++) {
    const picked = channels.map((peaks, k) => peaks[(choice >> k) & 1]);
    if (picked.some((p) => p === undefined)) continue;
    const corners = /** @type {Quad} */ (picked.map((p) => p.at));
    if (!plausible(corners)) continue;
    const score = scoreOf(picked.map((p) => p.peak), presence);
    const rank = score * squareness(corners, picture);
    if (rank > bestRank) [best, bestRank] = [{ corners, score }, rank];
  }
  return best;
}

/**
 * How likely these angles are on a page, 0..1: tilt bends them, but seldom far.
 * @param {Quad} corners @param {Size} picture
 */
function squareness(corners, { width, height }) {
  let squares = 0;
  corners.forEach(([x, y], k) => {
    const [before, after] = [corners[(k + 3) % 4], corners[(k + 1) % 4]];
    const toBefore = Math.atan2((before[1] - y) * height, (before[0] - x) * width);
    const toAfter = Math.atan2((after[1] - y) * height, (after[0] - x) * width);
    const turn = Math.abs(toBefore - toAfter);
    const angle = (Math.min(turn, 2 * Math.PI - turn) * 180) / Math.PI;
    squares += (angle - 90) ** 2;
  });
  return Math.exp(-squares / 4 / (2 * ANGLE_SPREAD ** 2));
}

/**
 * One corner hidden, three sure: the fourth closes a parallelogram, at a lower score.
 * @param {Peak[]} peaks @param {number} presence @returns {{corners: Quad, score: number} | null}
 */
function fromThree(peaks, presence) {
  const weak = peaks.reduce((low, p, k) => (p.peak < peaks[low].peak ? k : low), 0);
  const others = peaks.filter((_, k) => k !== weak);
  if (others.some((p) => p.peak < SURE_PEAK)) return null;
  const [before, across, after] = [3, 2, 1].map((step) => peaks[(weak + step) % 4].at);
  const corners = /** @type {Quad} */ (peaks.map((p) => p.at));
  corners[weak] = [before[0] + after[0] - across[0], before[1] + after[1] - across[1]];
  if (!plausible(corners) || polygonArea(corners) > 1) return null;
  return { corners, score: COMPLETED_FACTOR * scoreOf(others.map((p) => p.peak), presence) };
}

/** Geometric mean of the peaks, times presence. @param {number[]} peaks @param {number} presence */
function scoreOf(peaks, presence) {
  const logs = peaks.reduce((sum, p) => sum + Math.log(Math.max(p, 1e-6)), 0) / peaks.length;
  return Math.min(1, presence * Math.exp(logs));
}
