// Who is who from frame to frame: by place alone. No looks are compared and nobody is recognised: a person who leaves and
// comes back is somebody new. Pure.
import { iou } from '../vision/cells.js';

/** @typedef {import('../looker.js').Head} Face */
/**
 * @typedef {object} Track
 * @property {number} id counts up within a session and means nothing beyond it
 * @property {Face} face as last seen
 * @property {number} firstAt milliseconds
 * @property {number} lastAt milliseconds of the frame in which it was last seen
 * @property {number} hits frames in which it was seen
 */
/** @typedef {{keepMs?: number, minHits?: number, reach?: number}} TrackerOptions keepMs: how long an unseen face is
 *   waited for; minHits: frames before a face counts; reach: how far it may move between frames, in its own sizes */

export class Tracker {
  /** @param {TrackerOptions} [options] */
  constructor({ keepMs = 2400, minHits = 2, reach = 0.9 } = {}) {
    this.keepMs = keepMs;
    this.minHits = minHits;
    this.reach = reach;
    this.lastId = 0;
    /** @type {Track[]} */
    this.tracks = [];
  }

  /**
   * @param {readonly Face[]} faces of one frame @param {number} at milliseconds, never going back
   * @returns {Track[]} all that count, seen in this frame or still waited for
   */
  update(faces, at) {
    const pairs = this.tracks.flatMap((track) => faces.map((face) => ({ track, face, cost: distance(track.face, face) })))
      .filter(({ cost }) => cost < this.reach).sort((a, b) => a.cost - b.cost);
    /** @type {Set<Track>} */
    const taken = new Set();
    /** @type {Set<Face>} */
    const placed = new Set();
    for (const { track, face } of pairs) {
      if (taken.has(track) || placed.has(face)) continue;
      taken.add(track);
      placed.add(face);
      Object.assign(track, { face, lastAt: at, hits: track.hits + 1 });
    }
    for (const face of faces) {
      if (placed.has(face)) continue;
      this.lastId += 1;
      this.tracks.push({ id: this.lastId, face, firstAt: at, lastAt: at, hits: 1 });
    }
    this.tracks = this.tracks.filter((track) => at - track.lastAt <= (track.hits < this.minHits ? 0 : this.keepMs));
    return this.tracks.filter(({ hits }) => hits >= this.minHits);
  }

  clear() {
    this.tracks = [];
  }
}

/**
 * How unlike two faces lie: 0 for the same place, in sizes of a face; Infinity when they cannot be one person.
 * The landmarks move with the head where boxes of neighbours overlap, so both count.
 * @param {Face} a @param {Face} b
 */
export function distance(a, b) {
  const size = Math.sqrt(Math.max(1, a.box[2] * a.box[3])), other = Math.sqrt(Math.max(1, b.box[2] * b.box[3]));
  if (Math.max(size, other) > 2 * Math.min(size, other)) return Infinity;
  const points = a.landmarks.map(([x, y], k) => Math.hypot(x - b.landmarks[k][0], y - b.landmarks[k][1]));
  const moved = points.reduce((sum, d) => sum + d, 0) / points.length / size;
  return moved * 0.5 + (1 - iou(a.box, b.box)) * 0.5;
}
