// One tracked person: smoothing, calibration, the word shown. Knows a track's number and nothing else about anyone. Pure.
import { OneEuro } from './one_euro.js';
import { facing, Holder, isJudged, openShare, Perclos, RULES, USUAL, wordFor } from './rules.js';

/** @typedef {import('../looker.js').Head} Face */
/** @typedef {import('./rules.js').Neutral} Neutral */
/** @typedef {import('./rules.js').Reading} Reading */
/** @typedef {import('./rules.js').State} State */

export class Person {
  /** @param {Neutral} [neutral] from an earlier calibration */
  constructor(neutral = USUAL) {
    this.neutral = neutral;
    this.yaw = new OneEuro();
    this.pitch = new OneEuro();
    this.open = new OneEuro({ cutoffHz: 4 });
    this.holder = new Holder();
    this.perclos = new Perclos();
    /** @type {Reading | null} */
    this.reading = null;
    this.seenAt = NaN;
    /** @type {Calibration | null} */
    this.calibration = null;
    this.calibrationFailed = false;
    /** Of this very person. */
    this.learned = false;
  }

  /** @param {Face | null} face null: not found in this frame @param {number} at milliseconds @returns {State} */
  add(face, at) {
    if (face) {
      this.reading = this.smooth(face, at);
      this.seenAt = at;
      this.calibration?.add(this.reading, at);
      if (this.calibration?.done) this.endCalibration();
    } else if (!(at - this.seenAt < RULES.slipMs)) this.reading = null;
    const open = this.reading?.open ?? null;
    this.perclos.add(open === null ? null : openShare(open, this.neutral), at);
    return this.holder.add(wordFor(this.reading, this.neutral, this.holder.shown), at);
  }

  /** How far the person faces the screen now, 0..1; null where nothing is known. */
  get facing() {
    return this.reading && isJudged(this.reading) ? facing(this.reading, this.neutral) : null;
  }

  get state() {
    return this.holder.shown;
  }

  calibrate() {
    this.calibration = new Calibration();
    this.calibrationFailed = false;
  }

  endCalibration() {
    const learned = this.calibration?.neutral ?? null;
    this.calibrationFailed = !learned;
    this.learned ||= learned !== null;
    this.neutral = learned ?? this.neutral;
    this.calibration = null;
  }

  /** @param {Face} face @param {number} at @returns {Reading} */
  smooth({ pose, eyes, eyeWidth, spread, box }, at) {
    const judged = [['left', eyes.left], ['right', eyes.right]].filter(
      ([side]) => eyeWidth[/** @type {'left' | 'right'} */ (side)] >= RULES.eyePixels).map(([, open]) => Number(open));
    return {
      yaw: this.yaw.add(pose.yaw, at), pitch: this.pitch.add(pose.pitch, at), spread, size: Math.min(box[2], box[3]),
      open: judged.length ? this.open.add(Math.max(...judged), at) : null,
    };
  }
}

/** Five seconds of a person who faces the screen: medians, so that a blink or a glance does not count. */
export class Calibration {
  constructor() {
    /** @type {Reading[]} */
    this.readings = [];
    this.from = NaN;
    this.at = NaN;
  }

  /** @param {Reading} reading @param {number} at milliseconds */
  add(reading, at) {
    if (Number.isNaN(this.from)) this.from = at;
    this.at = at;
    if (reading.spread <= RULES.spread) this.readings.push({ ...reading });
  }

  /** 0..1 of the time. */
  get progress() {
    return Number.isNaN(this.from) ? 0 : Math.min(1, (this.at - this.from) / RULES.calibrationMs);
  }

  get done() {
    return this.progress >= 1;
  }

  /** What was learned; null where too little was seen, or the head moved too much to say what facing is. @returns {Neutral | null} */
  get neutral() {
    if (this.readings.length < 5) return null;
    const yaw = quartiles(this.readings.map((r) => r.yaw)), pitch = quartiles(this.readings.map((r) => r.pitch));
    if (yaw[2] - yaw[0] > 15 || pitch[2] - pitch[0] > 15) return null;
    const open = this.readings.flatMap((r) => (r.open === null ? [] : [r.open]));
    return { yaw: yaw[1], pitch: pitch[1], open: open.length < 5 ? null : Math.max(0.2, quartiles(open)[1]) };
  }
}

/**
 * What stands for somebody of whom nothing was learned, in a room where others were: a camera beside the screen sees
 * everybody from that side.
 * @param {readonly Neutral[]} learned @returns {Neutral}
 */
export function commonNeutral(learned) {
  if (!learned.length) return USUAL;
  return { yaw: quartiles(learned.map(({ yaw }) => yaw))[1], pitch: quartiles(learned.map(({ pitch }) => pitch))[1], open: null };
}

/** @param {number[]} numbers @returns {[number, number, number]} */
function quartiles(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const at = (/** @type {number} */ share) => sorted[Math.round(share * (sorted.length - 1))];
  return [at(0.25), at(0.5), at(0.75)];
}
