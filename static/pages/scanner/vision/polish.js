// The last fit of a side: sub-pixel steps very near a known edge, and the sheet's gentle bend.

import { colourSteps, linePoints } from './edge.js';
import { sampleStrip } from './strip.js';

/** @typedef {import('./geometry.js').Point} Point */
/** @typedef {import('./strip.js').Image} Image */
/** @typedef {import('./strip.js').Strip} Strip */
/** @typedef {import('./strip.js').Grid} Grid */
/** @typedef {{t: number, y: number, weight: number}} Step position along 0..1, cells outward, 0..1 */

/** A step of this many grey levels counts half. */
const HALF_WEIGHT = 10;
/** Rounds of the re-weighted fit; the cut shrinks by this factor each round, down to the last, in cells. */
const ROUNDS = 9;
const CUT_FACTOR = 0.75;
const LAST_CUT = 1.5;
/** Pulls the bend to zero: as much as this many steps that say "straight". */
const STRAIGHT_PRIOR = 4;
/** Share of all places that must lie on the curve. */
const MIN_INLIERS = 0.35;

/**
 * Fits y = p + q t + bend · 4t(1 − t) by least squares re-weighted with Tukey's function, and gives the
 * chord of the curve: a bent edge still ends in the page's corners. Null when too few steps agree.
 * @param {Image} image @param {Point} a @param {Point} b @param {Grid} grid @returns {[Point, Point] | null}
 */
export function polishEdge(image, a, b, grid) {
  const strip = sampleStrip(image, a, b, grid);
  const steps = strongestSteps(strip);
  let cut = (strip.across - 1) / 2;
  let curve = [0, 0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    const next = fitCurve(steps, curve, cut);
    if (!next) return null;
    curve = next;
    cut = Math.max(LAST_CUT, cut * CUT_FACTOR);
  }
  const inliers = steps.reduce((sum, s) => sum + (Math.abs(s.y - at(curve, s.t)) < LAST_CUT ? s.weight : 0), 0);
  if (inliers < MIN_INLIERS * strip.along) return null;
  const whole = { ...strip, from: 0, to: 1 };
  return linePoints(whole, a, b, curve[0], curve[0] + curve[1]);
}

/** @param {number[]} curve @param {number} t */
const at = ([p, q, bend], t) => p + q * t + bend * 4 * t * (1 - t);

/**
 * The strongest step of each place, nearer ones preferred, to a fraction of a cell (a parabola through three).
 * @param {Strip} strip @returns {Step[]}
 */
function strongestSteps(strip) {
  const { along, across } = strip;
  const size = colourSteps(strip);
  const half = (across - 1) / 2;
  const steps = [];
  for (let i = 0; i < along; i++) {
    let best = -1;
    let most = 0;
    for (let j = 1; j < across - 1; j++) {
      const rated = size[i * across + j] * (1 - ((j - half) / (half + 1)) ** 2);
      if (rated > most) [best, most] = [j, rated];
    }
    if (best < 0) continue;
    const [left, mid, right] = size.subarray(i * across + best - 1, i * across + best + 2);
    const curvature = left - 2 * mid + right;
    const shift = curvature < 0 ? Math.max(-0.5, Math.min(0.5, (0.5 * (left - right)) / curvature)) : 0;
    const t = strip.from + ((strip.to - strip.from) * i) / (along - 1);
    steps.push({ t, y: best + shift - half, weight: (mid * mid) / (mid * mid + HALF_WEIGHT * HALF_WEIGHT) });
  }
  return steps;
}

/**
 * One weighted least-squares fit of the steps within `cut` of the curve. @param {Step[]} steps @param {number[]} curve
 * @param {number} cut @returns {number[] | null}
 */
function fitCurve(steps, curve, cut) {
  // Normal equations of the basis 1, t, 4t(1 − t): m[0..5] upper triangle, m[6..8] right-hand side.
  const m = new Float64Array(9);
  for (const { t, y, weight } of steps) {
    const e = (y - at(curve, t)) / cut;
    if (Math.abs(e) >= 1) continue;
    const w = weight * (1 - e * e) ** 2;
    const f = 4 * t * (1 - t);
    m[0] += w;
    m[1] += w * t;
    m[2] += w * f;
    m[3] += w * t * t;
    m[4] += w * t * f;
    m[5] += w * f * f;
    m[6] += w * y;
    m[7] += w * y * t;
    m[8] += w * y * f;
  }
  m[5] += STRAIGHT_PRIOR;
  const [a, b, c, d, e, f] = m;
  const det = a * (d * f - e * e) - b * (b * f - c * e) + c * (b * e - c * d);
  if (!(det > 1e-9)) return null;
  const [u, v, w] = m.subarray(6);
  return [
    (u * (d * f - e * e) + v * (c * e - b * f) + w * (b * e - c * d)) / det,
    (u * (c * e - b * f) + v * (a * f - c * c) + w * (b * c - a * e)) / det,
    (u * (b * e - c * d) + v * (b * c - a * e) + w * (a * d - b * b)) / det,
  ];
}
