// Faces from frame to frame, as cheaply as can be: found now and then, followed in between by what their heads show.
import { Follower } from './follow.js';

/** @typedef {import('./detect.js').Box} Box */
/** @typedef {import('./detect.js').Detector} Detector */
/** @typedef {import('./detect.js').Face} Face */
/** @typedef {import('./summary.js').Mode} Mode */
/** @typedef {import('./vision/joints.js').Joints} Joints */
/** @typedef {import('../../media/image.js').ImageSource} ImageSource */
/** @typedef {{read: number, detect: number, crop: number, head: number, body: number}} Times milliseconds; 0: not done now */
/** @typedef {Omit<Face, 'points'>} Head what the page needs of a face */
/**
 * @typedef {object} Looked
 * @property {Head[]} heads in source pixels; of a crowd some are as a frame or two before
 * @property {Joints | null} joints of the first head, when they were looked for
 * @property {Times} times
 */
/**
 * @typedef {object} Cadence
 * @property {number} side longer side of what the detector sees
 * @property {number} [score] lowest score of a face, where not the bundle's: at 320 pixels a pale face in the sun is at 0.38,
 *   and one person before the screen is likelier than none
 * @property {number} everyMs between two searches of the whole picture while faces are followed, or more where it is slow
 * @property {number} emptyMs the same while there is nobody
 * @property {number} most faces that are read at all
 * @property {number} bodyMs between two looks at the shoulders; Infinity: never
 * @property {number} frameMs work that a frame may take: of a crowd only so many heads are read, in turn
 */

/** @type {Readonly<Record<Mode, Readonly<Cadence>>>} */
export const ON_DEVICE = Object.freeze({
  solo: Object.freeze({ side: 320, score: 0.35, everyMs: 700, emptyMs: 120, most: 1, bodyMs: 1000, frameMs: 25 }),
  room: Object.freeze({ side: 640, everyMs: 700, emptyMs: 250, most: 40, bodyMs: Infinity, frameMs: 30 }),
});
const FEWEST = 4;
/** A search may take this share of the time: on a slow device the whole picture is searched less often. */
const SEARCH_SHARE = 1 / 8;

export class Looker {
  /** @type {{head: Head, follower: Follower}[]} the one that waits longest for being read comes first */
  known = [];
  foundAt = -Infinity;
  bodyAt = -Infinity;
  headMs = 2; // a head's share of a frame, as measured
  searchMs = 0; // the last search, its heads included

  /** @param {Pick<Detector, 'detectFaces' | 'readFaces' | 'readUpperBody'>} detector @param {Readonly<Cadence>} cadence */
  constructor(detector, cadence) {
    this.detector = detector;
    this.cadence = cadence;
  }

  /** @param {ImageSource} frame @param {number} now milliseconds @returns {Promise<Looked>} */
  async look(frame, now) {
    const { everyMs, emptyMs, bodyMs } = this.cadence;
    /** @type {Times} */
    const times = { read: 0, detect: 0, crop: 0, head: 0, body: 0 };
    const options = { onTimes: (/** @type {import('./detect.js').Times} */ spent) => { Object.assign(times, spent); } };
    const apart = this.known.length ? Math.max(everyMs, this.searchMs / SEARCH_SHARE) : emptyMs;
    if (now - this.foundAt < apart) await this.follow(frame, options, times);
    else {
      this.foundAt = now;
      await this.find(frame, options);
      this.searchMs = times.read + times.detect + times.crop + times.head;
    }
    const first = this.known[0]?.head;
    let joints = null;
    if (first && bodyMs < Infinity && now - this.bodyAt >= bodyMs) {
      this.bodyAt = now;
      const from = performance.now();
      joints = await this.detector.readUpperBody(frame, first.box);
      times.body = performance.now() - from;
    }
    return { heads: this.known.map(({ head }) => head), joints, times };
  }

  /** @param {ImageSource} frame @param {import('./detect.js').FacesOptions} options */
  async find(frame, options) {
    const { side, most, score } = this.cadence;
    const faces = await this.detector.detectFaces(frame, { ...options, side, most, score });
    this.known = faces.map((face) => ({ head: headOf(face, face.box), follower: new Follower(face) }));
  }

  /** @param {ImageSource} frame @param {import('./detect.js').FacesOptions} options @param {Times} times */
  async follow(frame, options, times) {
    if (!this.known.length) return;
    const count = Math.min(this.known.length, Math.max(FEWEST, Math.floor(this.cadence.frameMs / this.headMs)));
    const turn = this.known.slice(0, count), later = this.known.slice(count);
    const faces = await this.detector.readFaces(frame, turn.map(({ head }) => head.box), options);
    this.headMs += 0.2 * ((times.crop + times.head) / count - this.headMs);
    const read = faces.flatMap((face, k) => (face ? [{ head: headOf(face, turn[k].follower.move(face)), follower: turn[k].follower }] : []));
    this.known = [...later, ...read];
  }
}

/** @param {Face} face @param {Box} box @returns {Head} */
function headOf({ points, ...head }, box) {
  return { ...head, box };
}
