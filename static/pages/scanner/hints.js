// The one line that tells the person what to do, and how long a line stays before the next may replace it.

import { distance, signedArea } from './vision/geometry.js';

/** @typedef {import('./quad.js').Quad} Quad */
/** @typedef {import('./quad.js').Size} Size */
/** @typedef {keyof typeof HINTS} HintCode */

export const HINTS = Object.freeze({
  loading: 'Getting the page finder ready…',
  by_hand: 'Take the picture; you set the corners afterwards',
  searching: 'Point the camera at a page',
  none: 'No page found. Try a darker, plain background',
  closer: 'Move closer',
  cut: 'Show the whole page',
  tilted: 'Hold the camera flatter over the page',
  hold: 'Hold still…',
  ready: 'Ready. Press the shutter',
  next: 'Page taken. Show the next one',
  taking: 'Taking the picture…',
  server_away: 'The server does not answer. Trying again…',
  server_busy: 'The server is busy. Trying again…',
});

/** Hints that do not ask the person to change how the page is shown. */
const WELL_PLACED = new Set(['hold', 'ready', 'next']);

const SMALLEST_SHARE = 0.14;   // of the frame's area
const EDGE_MARGIN = 0.006;     // a corner nearer to the frame's edge is probably cut off
const STEEPEST_RATIO = 2.2;    // far edge against near edge
const PATIENCE_MS = 4000;      // before "point the camera" becomes "no page found"

/** @param {HintCode} code @returns {boolean} */
export function isWellPlaced(code) {
  return WELL_PLACED.has(code);
}

/** @param {Quad} corners @returns {number[]} lengths of top, right, bottom, left */
function edgeLengths(corners) {
  return corners.map((corner, i) => distance(corner, corners[(i + 1) % 4]));
}

/**
 * What is wrong with how the page is shown, if anything.
 * @param {Quad} corners in frame pixels
 * @param {Size} frame
 * @returns {'closer' | 'cut' | 'tilted' | null}
 */
export function placement(corners, { width, height }) {
  const near = (/** @type {number} */ value, /** @type {number} */ size) =>
    value < size * EDGE_MARGIN || value > size * (1 - EDGE_MARGIN);
  if (corners.filter(([x, y]) => near(x, width) || near(y, height)).length >= 2) return 'cut';
  if (signedArea(corners) < SMALLEST_SHARE * width * height) return 'closer';
  const [top, right, bottom, left] = edgeLengths(corners);
  const steepness = Math.max(top / bottom, bottom / top, left / right, right / left);
  return steepness > STEEPEST_RATIO ? 'tilted' : null;
}

/**
 * The hint for one frame.
 * @param {object} seen
 * @param {Quad | null} seen.corners
 * @param {Size} seen.frame
 * @param {number} seen.progress of the hold, 0..1
 * @param {boolean} seen.taken this very page was taken already
 * @param {number} seen.searchingMs for how long there has been no page
 * @returns {HintCode}
 */
export function hintFor({ corners, frame, progress, taken, searchingMs }) {
  if (!corners) return searchingMs > PATIENCE_MS ? 'none' : 'searching';
  if (taken) return 'next';
  return placement(corners, frame) ?? (progress < 1 ? 'hold' : 'ready');
}

/** Keeps the line calm: a hint must last a moment before it is shown, so that one odd frame changes nothing. */
export class HintLine {
  /** @param {number} [settleMs] */
  constructor(settleMs = 350) {
    this.settleMs = settleMs;
    /** @type {HintCode | null} */
    this.shown = null;
    /** @type {HintCode | null} */
    this.waiting = null;
    this.since = 0;
  }

  /**
   * @param {HintCode} code
   * @param {number} now
   * @returns {HintCode} the hint to show
   */
  push(code, now) {
    if (code !== this.waiting) {
      this.waiting = code;
      this.since = now;
    }
    if (!this.shown || now - this.since >= this.settleMs) this.shown = code;
    return this.shown;
  }
}
