// The network's corners → corners at full resolution, by fitting the page's edges near its quadrilateral.

import { distance, intersectLines, isValidQuad } from './geometry.js';
import { findEdge } from './edge.js';
import { polishEdge } from './polish.js';

/** @typedef {import('./geometry.js').Point} Point */
/** @typedef {import('./geometry.js').Quad} Quad */
/** @typedef {import('./strip.js').Image} Image */

/**
 * Half of the band in which an edge is looked for, as a share of the diagonal: some four times the network's usual
 * error. In a wider one more pages gain the edge of the sheet below, or of a shadow, than get their own back.
 */
const REACH = 0.015;
/** No corner moves further than this share of the diagonal. */
export const MAX_SHIFT = 0.02;

/**
 * @typedef {object} Effort
 * @property {number} cell size of the band's cells across, as a share of the diagonal (never less than a pixel)
 * @property {number} along places along a side
 * @property {number[]} polish cells of each final fit, as a share of `cell`
 * @property {number} polishAlong places of the final fits
 */
/** @type {Record<'live' | 'still', Effort>} */
const EFFORTS = {
  live: { cell: 0.001, along: 72, polish: [0.8, 0.4], polishAlong: 72 },
  still: { cell: 0.001, along: 96, polish: [0.5, 0.25], polishAlong: 160 },
};
/** Final fits: smallest cell in pixels, half band in cells, and at least in pixels. */
const POLISH_CELL = 0.7;
const POLISH_CELLS = 5;
const POLISH_PIXELS = 3;

/**
 * @param {Image} image RGBA or grey, 8 bits
 * @param {Quad} corners in pixels, from the network
 * @param {{quality?: 'live' | 'still'}} [options] live: a coarser look, for every frame of a video
 * @returns {Quad} a side that shows no clear edge keeps its line; `corners` unchanged where the result is no page
 */
export function refineCorners(image, corners, { quality = 'still' } = {}) {
  const diagonal = Math.hypot(image.width, image.height);
  const effort = EFFORTS[quality];
  const grid = { along: effort.along, step: Math.max(1, effort.cell * diagonal), reach: REACH * diagonal, from: 0.04, to: 0.96 };
  let quad = fitSides(image, corners, (a, b) => findEdge(image, a, b, grid));
  for (const share of effort.polish) {
    const step = Math.max(POLISH_CELL, grid.step * share);
    const fine = { along: effort.polishAlong, step, reach: Math.max(POLISH_PIXELS, POLISH_CELLS * step), from: 0.02, to: 0.98 };
    quad = fitSides(image, quad, (a, b) => polishEdge(image, a, b, fine));
  }
  return quad.every((p, i) => distance(p, corners[i]) <= MAX_SHIFT * diagonal) ? quad : corners;
}

/**
 * One pass: every side is looked for, those found move, and the corners are where neighbours meet.
 * @param {Image} image @param {Quad} quad @param {(a: Point, b: Point) => [Point, Point] | null} look @returns {Quad}
 */
function fitSides(image, quad, look) {
  const lines = quad.map((a, i) => look(a, quad[(i + 1) % 4]) ?? [a, quad[(i + 1) % 4]]);
  const moved = quad.map((corner, i) => {
    const [before, after] = [lines[(i + 3) % 4], lines[i]];
    return intersectLines(before[0], before[1], after[0], after[1]) ?? corner;
  });
  const page = /** @type {Quad} */ (moved);
  return isValidQuad(page, image) ? page : quad;
}
