// One side of a page: the straight edge in the band around a guessed line.
//
// Every place along the side votes for where the colour steps; a line is a candidate when most places
// vote for it. Letters, printed frames, seams of planks and shadows step as well, so the candidates are
// told apart by what lies on either side: at the border of a page the wider surroundings differ, in the
// same direction all along, and what lies outside continues outward as the table (perhaps shaded).

import { sampleStrip } from './strip.js';

/** @typedef {import('./geometry.js').Point} Point */
/** @typedef {import('./strip.js').Image} Image */
/** @typedef {import('./strip.js').Strip} Strip */
/** @typedef {import('./strip.js').Grid} Grid */
/** @typedef {{start: number, end: number, votes: number}} Line offsets in cells, outward, at the strip's ends; mean vote 0..1 */

/** Cells on either side that a step is measured over. */
const STEP_CELLS = 2;
/** Steps (in grey levels) that count half a vote: this, or twice the band's median step when that is more. */
const STEP_FLOOR = 5;
const TEXTURE_FACTOR = 2;
/** Mean vote below which no line is an edge. */
const MIN_VOTES = 0.45;
/** Mean cosine between neighbouring colour steps below which a line is a mixture, not an edge. */
const MIN_COHERENCE = 0.3;
/** Lines compared, and how many cells apart they are. */
const CANDIDATES = 8;
const SEPARATE = 4;
/** The surroundings: medians over the cells from STEP_CELLS to this many away. */
const FAR_CELLS = 8;
/** Colour difference of the surroundings that counts half. */
const FAR_CONTRAST = 12;
/** Distance from the table's colour that counts half, and how far a shadow may darken the table. */
const TABLE_DISTANCE = 15;
const SHADE_RANGE = [0.25, 1.05];
/** Weights of the evidence beside the votes, and of the distance from the guess (at the band's edge). */
const WEIGHT_FAR = 0.5;
const WEIGHT_TABLE = 0.5;
const WEIGHT_AWAY = 4;

/**
 * The edge of the page near a → b as two points on it, or null when nothing there is clearly it.
 * @param {Image} image @param {Point} a @param {Point} b @param {Grid} grid @returns {[Point, Point] | null}
 */
export function findEdge(image, a, b, grid) {
  const strip = sampleStrip(image, a, b, grid);
  const lines = bestLines(strip, lineScores(strip, castVotes(strip)));
  /** @type {Line | null} */
  let best = null;
  let bestWorth = -Infinity;
  for (const line of lines) {
    if (line.votes < MIN_VOTES) continue;
    const { far, coherence, table } = surroundings(strip, line);
    if (coherence < MIN_COHERENCE) continue;
    const worth = line.votes + WEIGHT_FAR * far * coherence + WEIGHT_TABLE * table - WEIGHT_AWAY * away(strip, line);
    if (worth > bestWorth) [best, bestWorth] = [line, worth];
  }
  return best && linePoints(strip, a, b, best.start, best.end);
}

/** How far a line is from the guess: 0 on it, 1 at the band's edge on both ends. @param {Strip} strip @param {{start: number, end: number}} line */
function away({ across }, { start, end }) {
  const half = (across - 1) / 2;
  return (start * start + end * end) / (2 * half * half);
}

/**
 * Colour step at each cell: distance between the means of the `k` cells outward and inward of it; 0 where unknown.
 * @param {Strip} strip @param {number} [k] @returns {Float32Array} along × across
 */
export function colourSteps({ rgb, inside, along, across }, k = STEP_CELLS) {
  const out = new Float32Array(along * across);
  for (let i = 0; i < along; i++) {
    for (let j = k; j < across - k; j++) {
      const at = i * across + j;
      if (!inside[at - k] || !inside[at + k]) continue;
      let sum = 0;
      for (let c = 0; c < 3; c++) {
        let d = 0;
        for (let n = 1; n <= k; n++) d += rgb[3 * (at + n) + c] - rgb[3 * (at - n) + c];
        sum += d * d;
      }
      out[at] = Math.sqrt(sum) / k;
    }
  }
  return out;
}

/**
 * Votes 0..1 per cell: local maxima of the step across, saturated against the band's own texture,
 * and a part of the vote for the two neighbours (edges are not perfectly straight).
 * @param {Strip} strip
 */
function castVotes(strip) {
  const { along, across } = strip;
  const step = colourSteps(strip);
  const sample = step.filter((_, i) => i % 7 === 0 && strip.inside[i] === 1).sort();
  const texture = Math.max(STEP_FLOOR, TEXTURE_FACTOR * (sample[sample.length >> 1] ?? 0));
  const votes = new Float32Array(along * across);
  for (let i = 0; i < along; i++) {
    for (let j = 1; j < across - 1; j++) {
      const at = i * across + j;
      const m = step[at];
      if (m === 0 || m < step[at - 1] || m < step[at + 1]) continue;
      const vote = (m * m) / (m * m + texture * texture);
      votes[at] = Math.max(votes[at], vote);
      votes[at - 1] = Math.max(votes[at - 1], 0.7 * vote);
      votes[at + 1] = Math.max(votes[at + 1], 0.7 * vote);
    }
  }
  return votes;
}

/** Mean vote along every line of the band, from cell s at one end to cell e at the other: across × across. @param {Strip} strip @param {Float32Array} votes */
function lineScores({ along, across }, votes) {
  const score = new Float32Array(across * across);
  for (let s = 0; s < across; s++) {
    for (let e = 0; e < across; e++) {
      let sum = 0;
      const slope = (e - s) / (along - 1);
      for (let i = 0, row = 0, y = s + 0.5; i < along; i++, row += across, y += slope) sum += votes[row + (y | 0)];
      score[s * across + e] = sum / along;
    }
  }
  return score;
}

/** The lines with most votes, at least SEPARATE cells apart at one end. @param {Strip} strip @param {Float32Array} score @returns {Line[]} */
function bestLines({ across }, score) {
  const half = (across - 1) / 2;
  const left = score.slice();
  const lines = [];
  for (let n = 0; n < CANDIDATES; n++) {
    let best = 0;
    for (let k = 1; k < left.length; k++) if (left[k] > left[best]) best = k;
    const s = Math.floor(best / across);
    const e = best % across;
    lines.push({ start: s - half, end: e - half, votes: score[best] });
    for (let p = Math.max(0, s - SEPARATE); p <= Math.min(across - 1, s + SEPARATE); p++) {
      left.fill(-1, p * across + Math.max(0, e - SEPARATE), p * across + Math.min(across, e + SEPARATE + 1));
    }
  }
  return lines;
}

/** Median colour of the cells j0..j1 at place i, into `out`; false when fewer than two are in the picture. */
const scratch = new Float32Array(3 * FAR_CELLS);
/** @param {Strip} strip @param {number} i @param {number} j0 @param {number} j1 @param {number[]} out */
function medianColour({ rgb, inside, across }, i, j0, j1, out) {
  for (let c = 0; c < 3; c++) {
    let n = 0;
    for (let j = Math.max(0, j0); j <= Math.min(across - 1, j1); j++) {
      if (!inside[i * across + j]) continue;
      const v = rgb[3 * (i * across + j) + c];
      let k = n++;
      for (; k > 0 && scratch[k - 1] > v; k--) scratch[k] = scratch[k - 1];
      scratch[k] = v;
    }
    if (n < 2) return false;
    out[c] = scratch[n >> 1];
  }
  return true;
}

/**
 * What lies on both sides of a line, 0..1 each: contrast of the wider surroundings, agreement of its
 * direction from place to place, and likeness of the outside to the table further out.
 * @param {Strip} strip @param {Line} line
 */
function surroundings(strip, line) {
  const { along, across } = strip;
  const outer = [0, 0, 0];
  const inner = [0, 0, 0];
  const table = [0, 0, 0];
  let before = [0, 0, 0];
  const sums = { places: 0, far: 0, pairs: 0, coherence: 0, table: 0 };
  for (let i = 0; i < along; i++) {
    const y = Math.round((across - 1) / 2 + line.start + ((line.end - line.start) * i) / (along - 1));
    if (!medianColour(strip, i, y + STEP_CELLS, y + FAR_CELLS, outer)) continue;
    if (!medianColour(strip, i, y - FAR_CELLS, y - STEP_CELLS, inner)) continue;
    const d = [outer[0] - inner[0], outer[1] - inner[1], outer[2] - inner[2]];
    const size = Math.hypot(d[0], d[1], d[2]);
    const unit = size > 1 ? d.map((v) => v / size) : [0, 0, 0];
    if (sums.places++) {
      sums.pairs++;
      sums.coherence += unit[0] * before[0] + unit[1] * before[1] + unit[2] * before[2];
    }
    before = unit;
    sums.far += (size * size) / (size * size + FAR_CONTRAST * FAR_CONTRAST);
    const known = medianColour(strip, i, across - FAR_CELLS + STEP_CELLS, across - 1, table);
    sums.table += known ? shadedLikeness(outer, table) : 0.5;
  }
  if (sums.pairs === 0) return { far: 0, coherence: 0, table: 0 };
  return { far: sums.far / sums.places, coherence: Math.max(0, sums.coherence / sums.pairs), table: sums.table / sums.places };
}

/** 1 when `colour` is the table's or a shade of it, falling to 0 with the distance. @param {number[]} colour @param {number[]} table */
function shadedLikeness(colour, table) {
  const dot = colour[0] * table[0] + colour[1] * table[1] + colour[2] * table[2];
  const norm = table[0] ** 2 + table[1] ** 2 + table[2] ** 2 + 1;
  const shade = Math.min(SHADE_RANGE[1], Math.max(SHADE_RANGE[0], dot / norm));
  const apart = Math.hypot(colour[0] - shade * table[0], colour[1] - shade * table[1], colour[2] - shade * table[2]);
  return 1 / (1 + (apart / TABLE_DISTANCE) ** 2);
}

/**
 * Two points in the picture: `start` and `end` cells outward of a → b, at the strip's two ends.
 * @param {Strip} strip @param {Point} a @param {Point} b @param {number} start @param {number} end @returns {[Point, Point]}
 */
export function linePoints({ step, from, to }, a, b, start, end) {
  const length = Math.hypot(b[0] - a[0], b[1] - a[1]);
  const dx = (b[0] - a[0]) / length;
  const dy = (b[1] - a[1]) / length;
  return [
    [a[0] + dx * length * from + dy * start * step, a[1] + dy * length * from - dx * start * step],
    [a[0] + dx * length * to + dy * end * step, a[1] + dy * length * to - dx * end * step],
  ];
}
