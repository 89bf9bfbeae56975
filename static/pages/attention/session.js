// From frames to words, as fast as the chosen share of the processor allows: detect now and then, follow in between.
import { Follower } from './follow.js';
import { Person } from './signal/person.js';
import { PostureWatch, shapeOf } from './signal/posture.js';
import { Tracker } from './signal/tracks.js';
import { Log } from './summary.js';

/** @typedef {import('./detect.js').Face} Face */
/** @typedef {import('./detect.js').Detector} Detector */
/** @typedef {import('./detect.js').Times} Times */
/** @typedef {import('./summary.js').Mode} Mode */
/** @typedef {import('./signal/rules.js').State} State */
/** @typedef {import('./signal/posture.js').Posture} Posture */
/** @typedef {{face: Face, state: State, seen: boolean}} Seen seen: in this frame, not only waited for */
/** @typedef {{work: number, fps: number, stages: Times}} Pace milliseconds of a frame, frames a second */

/** Longer side of what the detector sees; milliseconds between detections; most faces that are read. */
const MODES = Object.freeze({
  solo: Object.freeze({ side: 320, everyMs: 700, most: 1, fps: 30 }),
  room: Object.freeze({ side: 640, everyMs: 600, most: 40, fps: 12 }),
});
const POSTURE_MS = 1000;
const HIDDEN_MS = 1000; // browsers run timers of a background tab once a second

/** Fires `frame` after every frame, `second` when a second was logged, `failed` (with .error) when the models gave up. */
export class Session extends EventTarget {
  /** @type {Mode} */
  mode = 'solo';
  /** The share of one processor core that the page may use. */
  budget = 0.6;
  log = new Log();
  /** @type {unknown} */
  error = null;
  running = 0; // the number of the loop that may go on; 0: none
  passed = 0;
  resumedAt = NaN;
  detectedAt = -Infinity;
  postureAt = -Infinity;
  frameAt = NaN;
  tracker = new Tracker();
  /** @type {Map<number, Person>} */
  persons = new Map();
  alone = new Person();
  posture = new PostureWatch();
  /** @type {Posture} */
  postureNow = 'unknown';
  /** @type {Follower[]} */
  followers = [];
  /** @type {Seen[]} */
  seen = [];
  /** @type {Pace} */
  pace = noPace();

  /** @param {Pick<Detector, 'detectFaces' | 'readFaces' | 'readUpperBody'>} detector @param {HTMLVideoElement} video */
  constructor(detector, video) {
    super();
    this.detector = detector;
    this.video = video;
  }

  reset() {
    this.running = 0;
    this.passed = 0;
    this.detectedAt = -Infinity;
    this.postureAt = -Infinity;
    this.frameAt = NaN;
    this.tracker = new Tracker();
    this.persons.clear();
    this.alone = new Person();
    this.posture = new PostureWatch();
    this.postureNow = 'unknown';
    this.followers = [];
    this.seen = [];
    this.pace = noPace();
    this.log = new Log();
    this.error = null;
  }

  /** @returns {number} milliseconds since the start, pauses apart */
  get elapsed() {
    return this.passed + (this.running ? performance.now() - this.resumedAt : 0);
  }

  /** @param {Mode} mode */
  start(mode) {
    this.reset();
    this.mode = mode;
    this.resume();
  }

  resume() {
    if (this.running) return;
    loops += 1;
    this.resumedAt = performance.now();
    this.running = loops;
    void this.loop(loops);
  }

  pause() {
    if (!this.running) return;
    this.passed = this.elapsed;
    this.running = 0;
  }

  /** Ends everything and forgets everyone. @returns {Log} the seconds, which are the caller's to show and to clear */
  stop() {
    const { log } = this;
    this.reset();
    return log;
  }

  calibrate() {
    this.alone.calibrate();
    this.posture.forget();
  }

  /** @param {number} mine */
  async loop(mine) {
    try {
      while (this.running === mine) {
        const began = performance.now();
        if (this.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) await this.frame(mine, began);
        await pauseFor(this.restAfter(performance.now() - began));
      }
    } catch (error) {
      if (this.running !== mine) return;
      this.pause();
      this.error = error;
      this.dispatchEvent(new Event('failed'));
    }
  }

  /** @param {number} work milliseconds that the frame took */
  restAfter(work) {
    const { fps } = MODES[this.mode];
    return Math.max(document.hidden ? HIDDEN_MS : 0, 1000 / fps - work, work * (1 / this.budget - 1));
  }

  /** @param {number} mine @param {number} began */
  async frame(mine, began) {
    const faces = await this.look(began);
    if (this.running !== mine) return; // paused or stopped meanwhile
    const at = this.elapsed;
    this.seen = this.mode === 'solo' ? this.meet(faces[0] ?? null, at) : this.count(faces, at);
    await this.lookAtPosture(faces[0], began);
    if (this.running !== mine) return;
    const now = performance.now(), apart = now - this.frameAt;
    this.frameAt = now;
    this.pace.work += 0.2 * (now - began - this.pace.work);
    if (apart > 0) this.pace.fps += 0.2 * (1000 / apart - this.pace.fps);
    const second = this.log.add(this.seen.map(({ state }) => state), at);
    this.dispatchEvent(new Event('frame'));
    if (second) this.dispatchEvent(new Event('second'));
  }

  /** Detects, or follows the faces of the frame before. @param {number} now @returns {Promise<Face[]>} */
  async look(now) {
    const { side, everyMs, most } = MODES[this.mode];
    const onTimes = (/** @type {Times} */ times) => this.keepTimes(times);
    if (this.followers.length && now - this.detectedAt < everyMs) {
      const read = await this.detector.readFaces(this.video, this.followers.map(({ box }) => box), { onTimes });
      const kept = read.flatMap((face, k) => (face ? [{ face, follower: this.followers[k] }] : []));
      this.followers = kept.map(({ follower }) => follower);
      return kept.map(({ face, follower }) => ({ ...face, box: follower.move(face) }));
    }
    this.detectedAt = now;
    const faces = await this.detector.detectFaces(this.video, { side, most, onTimes });
    this.followers = faces.map((face) => new Follower(face));
    return faces;
  }

  /** @param {Times} times */
  keepTimes(times) {
    const { stages } = this.pace;
    for (const stage of /** @type {(keyof Times)[]} */ (Object.keys(stages))) {
      if (times[stage] > 0) stages[stage] += 0.3 * (times[stage] - stages[stage]);
    }
  }

  /** One person, who stays the same one while away. @param {Face | null} face @param {number} at @returns {Seen[]} */
  meet(face, at) {
    const state = this.alone.add(face, at);
    const before = this.seen[0]?.face;
    const shown = face ?? before;
    return shown ? [{ face: shown, state, seen: Boolean(face) }] : [];
  }

  /** Everybody in the room, as numbers that mean nothing. @param {Face[]} faces @param {number} at @returns {Seen[]} */
  count(faces, at) {
    const tracks = this.tracker.update(faces, at), ids = new Set(tracks.map(({ id }) => id));
    for (const id of this.persons.keys()) if (!ids.has(id)) this.persons.delete(id);
    return tracks.map(({ id, face, lastAt }) => {
      const person = this.persons.get(id) ?? new Person();
      this.persons.set(id, person);
      const seen = lastAt === at;
      return { face, state: person.add(seen ? face : null, at), seen };
    });
  }

  /** @param {Face | undefined} face @param {number} now */
  async lookAtPosture(face, now) {
    if (this.mode !== 'solo' || now - this.postureAt < POSTURE_MS) return;
    this.postureAt = now;
    this.postureNow = face ? this.posture.add(shapeOf(await this.detector.readUpperBody(this.video, face.box))) : 'unknown';
  }
}

let loops = 0;

/** @returns {Pace} */
const noPace = () => ({ work: 0, fps: 0, stages: { read: 0, detect: 0, crop: 0, head: 0 } });

/** @param {number} ms @returns {Promise<void>} */
const pauseFor = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
