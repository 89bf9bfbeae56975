// From frames to words: asks the eyes for every frame that there is time for, keeps a person or a room, counts the seconds.
import { Budget, Mean, Pictures } from './pace.js';
import { commonNeutral, Person } from './signal/person.js';
import { USUAL } from './signal/rules.js';
import { PostureWatch, shapeOf } from './signal/posture.js';
import { Tracker } from './signal/tracks.js';
import { Log } from './summary.js';

/** @typedef {import('./eyes.js').Eyes} Eyes */
/** @typedef {import('./looker.js').Head} Head */
/** @typedef {import('./looker.js').Times} Times */
/** @typedef {import('./summary.js').Mode} Mode */
/** @typedef {import('./signal/rules.js').State} State */
/** @typedef {import('./signal/posture.js').Posture} Posture */
/** @typedef {{face: Head, state: State, seen: boolean}} Seen seen: in this frame, not only waited for */
/** @typedef {{work: Mean, apart: Mean, stages: Record<keyof Times, Mean>}} Pace milliseconds of a frame, between two frames, of a stage when it is done */

/** Of a background tab: often enough that no second of the log stays empty. */
const HIDDEN_MS = 900;
const NO_FRAME_MS = 250;
/** A timer that comes late must not miss the camera's next frame. */
const LATE_MS = 8;
/** A picture that stands still for so long is no picture: cameras of phones stop in the background without a word. */
const STILL_MS = 2000;

/** Fires `frame` after every frame, `second` when a second was logged, `failed` (with .error) when the eyes gave up. */
export class Session extends EventTarget {
  /** @type {Eyes | null} */
  eyes = null;
  /** @type {Mode} */
  mode = 'solo';
  budget = new Budget(0.6);
  log = new Log();
  /** @type {unknown} */
  error = null;
  running = 0; // the number of the loop that may go on; 0: none
  passed = 0;
  resumedAt = NaN;
  frameAt = NaN;
  shownTime = NaN; // of the video
  movedAt = NaN;
  /** No new picture comes. */
  blind = false;
  /** Since the start: of any thread. */
  requests = 0;
  sent = 0;
  tracker = new Tracker();
  /** @type {Map<number, Person>} */
  persons = new Map();
  alone = new Person();
  /** What was learned of the room, for those who come later. */
  common = USUAL;
  posture = new PostureWatch();
  /** @type {Posture} */
  postureNow = 'unknown';
  /** @type {Seen[]} */
  seen = [];
  /** @type {Pace} */
  pace = noPace();

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    super();
    this.video = video;
  }

  reset() {
    const { video, budget, mode } = this;
    Object.assign(this, new Session(video), { budget, mode });
  }

  /** @returns {number} milliseconds since the start, pauses apart */
  get elapsed() {
    return this.elapsedAt(performance.now());
  }

  /** @param {number} now */
  elapsedAt(now) {
    return this.passed + (this.running ? now - this.resumedAt : 0);
  }

  /** Frames a second; 0 before the second one. */
  get fps() {
    return this.pace.apart.value && 1000 / this.pace.apart.value;
  }

  /** @param {Mode} mode @param {Eyes} eyes which see until stop() */
  start(mode, eyes) {
    this.reset();
    this.mode = mode;
    this.eyes = eyes;
    this.resume();
  }

  resume() {
    if (this.running || !this.eyes) return;
    loops += 1;
    this.resumedAt = this.movedAt = performance.now();
    this.frameAt = NaN; // a pause is no slow frame
    this.running = loops;
    void this.loop(loops, this.eyes);
  }

  pause() {
    if (!this.running) return;
    this.passed = this.elapsed;
    this.running = 0;
  }

  /** Ends everything and forgets everyone. @returns {Log} the seconds, which are the caller's to show and to clear */
  stop() {
    const { log, eyes } = this;
    this.reset();
    eyes?.close();
    return log;
  }

  /** Learns anew what facing the screen looks like: of one person, or of everybody in the room. */
  calibrate() {
    for (const person of this.watched) person.calibrate();
    this.posture.forget();
  }

  /** @returns {Person[]} */
  get watched() {
    return this.mode === 'solo' ? [this.alone] : [...this.persons.values()];
  }

  /** How far a calibration is, 0..1; null: none is going on. */
  get calibrating() {
    const all = this.watched.flatMap(({ calibration }) => (calibration ? [calibration.progress] : []));
    return all.length ? Math.max(...all) : null;
  }

  /** How many were calibrated, and of how many it failed. */
  get calibrated() {
    const { watched } = this;
    return { done: watched.filter(({ learned }) => learned).length, failed: watched.filter((person) => person.calibrationFailed).length };
  }

  /** @param {number} mine @param {Eyes} eyes */
  async loop(mine, eyes) {
    const pictures = new Pictures(this.video);
    try {
      while (this.running === mine) {
        const began = performance.now();
        if (this.moved(began, pictures.take())) await this.frame(mine, eyes, began);
        await this.rest(eyes, began, pictures);
      }
    } catch (error) {
      if (this.running !== mine) return;
      this.pause();
      this.error = error;
      this.dispatchEvent(new Event('failed'));
    } finally {
      pictures.end();
    }
  }

  /** Whether there is a picture that was not looked at. @param {number} now @param {boolean} came the browser has told of one */
  moved(now, came) {
    const { readyState, currentTime } = this.video;
    const moved = readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && (came || currentTime !== this.shownTime);
    if (moved) {
      this.shownTime = currentTime;
      this.movedAt = now;
    }
    const blind = now - this.movedAt > STILL_MS;
    if (blind !== this.blind) {
      this.blind = blind;
      this.dispatchEvent(new Event('frame'));
    }
    return moved;
  }

  /** @param {Eyes} eyes @param {number} began @param {Pictures} pictures */
  async rest(eyes, began, pictures) {
    const now = performance.now(), owed = this.budget.restAfter(began, now);
    if (document.hidden) return void await eyes.wake(Math.max(owed, HIDDEN_MS - (now - began)));
    const ms = Math.max(owed, eyes.everyMs[this.mode] - (now - began)) - LATE_MS;
    if (ms > 1) await eyes.wake(ms);
    if (pictures.came) return; // while the last one was looked at: it is not lost
    const a_while = eyes.wake(NO_FRAME_MS);
    a_while.catch(() => {}); // the race below is told, too, unless the frame came first: then the next look is
    await pictures.next(a_while);
  }

  /** @param {number} mine @param {Eyes} eyes @param {number} began */
  async frame(mine, eyes, began) {
    const at = this.elapsedAt(began);
    const { heads, joints, times, requests, sent } = await eyes.look(this.video, began);
    if (this.running !== mine) return; // paused or stopped meanwhile
    this.requests = requests;
    this.sent = sent;
    this.seen = this.mode === 'solo' ? this.meet(heads[0] ?? null, at) : this.count(heads, at);
    if (joints) this.postureNow = this.posture.add(shapeOf(joints));
    else if (!heads.length) this.postureNow = 'unknown';
    this.keepPace(times, began);
    const second = this.log.add(this.mode === 'solo' ? [this.alone.state] : this.seen.map(({ state }) => state), at, this.postureNow);
    this.dispatchEvent(new Event('frame'));
    if (second) this.dispatchEvent(new Event('second'));
  }

  /** @param {Times} times @param {number} began */
  keepPace(times, began) {
    const { pace } = this;
    if (began > this.frameAt) pace.apart.add(began - this.frameAt);
    this.frameAt = began;
    pace.work.add(performance.now() - began);
    for (const stage of /** @type {(keyof Times)[]} */ (Object.keys(times))) if (times[stage] > 0) pace.stages[stage].add(times[stage]);
  }

  /** One person, who stays the same one while away. @param {Head | null} face @param {number} at @returns {Seen[]} */
  meet(face, at) {
    const state = this.alone.add(face, at);
    const shown = face ?? this.seen[0]?.face;
    return shown ? [{ face: shown, state, seen: Boolean(face) }] : [];
  }

  /** Everybody in the room, as numbers that mean nothing. @param {Head[]} faces @param {number} at @returns {Seen[]} */
  count(faces, at) {
    const tracks = this.tracker.update(faces, at), ids = new Set(tracks.map(({ id }) => id));
    for (const id of this.persons.keys()) if (!ids.has(id)) this.persons.delete(id);
    return tracks.map(({ id, face, lastAt }) => {
      const person = this.persons.get(id) ?? new Person(this.common), { neutral } = person;
      this.persons.set(id, person);
      const seen = lastAt === at, state = person.add(seen ? face : null, at);
      if (person.neutral !== neutral) this.common = commonNeutral([...this.persons.values()].flatMap((p) => (p.learned ? [p.neutral] : [])));
      return { face, state, seen };
    });
  }
}

let loops = 0;

/** @returns {Pace} */
const noPace = () => ({
  work: new Mean(), apart: new Mean(), stages: { read: new Mean(), detect: new Mean(), crop: new Mean(), head: new Mean(), body: new Mean() },
});
