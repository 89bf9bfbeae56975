// From one detection per frame to a calm quadrilateral, a measure of steadiness and the moment to release the shutter.
// All distances are shares of the frame's diagonal, all times are milliseconds. No DOM, no clock: the caller says when.

import { copyQuad, farthestMove } from './quad.js';

/** @typedef {import('./quad.js').Quad} Quad */
/** @typedef {import('./quad.js').Size} Size */
/**
 * @typedef {object} Steady
 * @property {Quad | null} corners smoothed, in frame pixels; null when no page is in view
 * @property {number} progress 0 when the page moves, 1 when it has been still for the whole hold
 * @property {boolean} moving the page is in view and moved more than the tolerance just now
 */

const DEFAULTS = {
  holdMs: 1000,      // still for this long = steady
  missMs: 450,       // a page lost for less than this is still there
  tolerance: 0.012,  // hands tremble by less than this
  jump: 0.1,         // farther in one frame is a new page, or a mistake when the next frame disagrees
};

/** @param {Size} frame @returns {number} */
const diagonal = ({ width, height }) => Math.hypot(width, height);

export class Steadiness {
  /** @type {Quad | null} */
  corners = null;
  /** @type {Quad | null} where the corners were when the hold began */
  anchor = null;
  since = 0;
  seen = 0;
  jumped = false;

  /** @param {Partial<typeof DEFAULTS>} [options] */
  constructor(options = {}) {
    this.options = { ...DEFAULTS, ...options };
  }

  reset() {
    this.corners = null;
    this.anchor = null;
    this.since = 0;
    this.seen = 0;
    this.jumped = false;
  }

  /**
   * Takes the result of one frame.
   * @param {Quad | null} found corners in frame pixels, or null when there is no page
   * @param {Size} frame
   * @param {number} now
   * @returns {Steady}
   */
  push(found, frame, now) {
    const { holdMs, missMs, tolerance, jump } = this.options;
    const size = diagonal(frame);
    if (found && this.corners && !this.jumped && farthestMove(found, this.corners) / size > jump) {
      this.jumped = true;   // believed when the next frame says so too
      found = null;
    } else if (found) {
      const before = this.jumped ? null : this.corners;
      this.corners = before ? blend(before, found, trust(farthestMove(found, before) / size)) : copyQuad(found);
      this.jumped = false;
      this.seen = now;
    }
    const corners = this.corners;
    if (!corners || (!found && now - this.seen > missMs)) {
      this.reset();
      return { corners: null, progress: 0, moving: false };
    }
    const moving = !this.anchor || farthestMove(corners, this.anchor) / size > tolerance;
    if (moving) {
      this.anchor = copyQuad(corners);
      this.since = now;
    }
    return { corners, progress: Math.min(1, (now - this.since) / holdMs), moving };
  }
}

/** How much of a new detection to believe: little when it only trembles, all when the page really moves.
 * @param {number} step @returns {number} */
function trust(step) {
  return Math.min(1, 0.3 + step / 0.03);
}

/** @param {Quad} from @param {Quad} to @param {number} share @returns {Quad} */
export function blend(from, to, share) {
  return /** @type {Quad} */ (from.map(([x, y], i) => [x + (to[i][0] - x) * share, y + (to[i][1] - y) * share]));
}

/** Decides when to take the picture by itself: once per page, and again only after the page moved away. */
export class AutoShutter {
  /** @type {Quad | null} the page that was taken last */
  taken = null;
  /** @type {number | null} */
  goneSince = null;

  /** @param {{moved?: number, goneMs?: number}} [options] */
  constructor({ moved = 0.12, goneMs = 600 } = {}) {
    this.moved = moved;
    this.goneMs = goneMs;
  }

  /** Tell it that a picture was taken, by hand too. @param {Quad | null} corners */
  took(corners) {
    this.taken = corners && copyQuad(corners);
    this.goneSince = null;
  }

  /**
   * @param {Steady} steady
   * @param {boolean} wellPlaced no hint asks the person to change anything
   * @param {Size} frame
   * @param {number} now
   * @returns {boolean} whether to take the picture now
   */
  push({ corners, progress }, wellPlaced, frame, now) {
    if (!corners) {
      this.goneSince ??= now;
      if (now - this.goneSince >= this.goneMs) this.taken = null;
      return false;
    }
    this.goneSince = null;
    if (this.taken && farthestMove(corners, this.taken) / diagonal(frame) > this.moved) this.taken = null;
    return !this.taken && wellPlaced && progress >= 1;
  }
}
