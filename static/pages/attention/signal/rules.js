// From smoothed angles and eye openness to one of six words, and when a word may change. Pure; every number is here.
//
// Taken from others:
// - Head angles stand for where someone faces: on classroom videos they agreed with human reviewers about nine times in
//   ten. Where eyes look, and what anyone thinks, they do not say.
// - An eye counts as closed below a share of the person's own openness (Soukupová & Čech, CVWW 2016: an eye's aspect ratio
//   falls below 0.2 to 0.25 from a value that differs from person to person, hence the calibration), and only where it is
//   20 pixels wide or more.
// - PERCLOS is the share of a minute with eyes at least 80 % closed (Wierwille et al., DOT HS 808 247, 1994), which goes
//   with sleepiness in drivers but is no sure sign of it (Abe, SLEEP Advances 4, 2023).
// - Faces below 12 pixels cannot be judged.
// Chosen here, by trying: all angles, and how long a word must hold. A glance aside is no turning away and a blink no closed
// eye, so turning away must last 3 s and closed eyes 2 s. Head down may be reading or writing: a word of its own, no fault.
// No word is about feelings, and none about attention itself.

/** @typedef {'facing' | 'down' | 'turned' | 'closed' | 'away' | 'unknown'} State */
/** @typedef {{yaw: number, pitch: number, open: number | null}} Neutral a person's own angles (degrees) and openness
 *   (0..1; null where the eyes were too small) while facing the screen */
/**
 * @typedef {object} Reading one face in one frame, smoothed
 * @property {number} yaw degrees @property {number} pitch degrees
 * @property {number | null} open 0..1, the wider of both eyes; null where both are too small to judge
 * @property {number} spread expected error of the angles in degrees
 * @property {number} size pixels, the face's smaller side
 */

export const RULES = Object.freeze({
  calibrationMs: 5000,
  yawLimit: 40, pitchLimit: 30, // degrees from neutral at which `facing` is 0
  turned: 27, turnedBack: 21, // degrees of yaw that enter and leave "turned"
  up: 25, upBack: 19, // degrees upwards count as turned, too
  down: 19, downBack: 14, // degrees downwards
  closed: 0.6, closedBack: 0.72, // shares of the person's own openness, as the head network says it: shut eyes read 0.4
  openWithoutCalibration: 0.85,
  eyePixels: 20, facePixels: 12, spread: 12,
  perclosMs: 60_000, perclosClosed: 0.48, // what the network says of eyes that are four fifths closed
  /** Milliseconds that a word must hold before it is shown; back to facing is quick. @type {Readonly<Record<State, number>>} */
  holds: Object.freeze({ facing: 500, down: 1500, turned: 3000, closed: 2000, away: 1600, unknown: 1000 }),
  slipMs: 400, // frames without a face that are taken for a slip of the detector; away is shown after both, 2 s
});

/** Without calibration: cameras sit above screens, so a person who reads looks a little down. @type {Neutral} */
export const USUAL = Object.freeze({ yaw: 0, pitch: -5, open: null });

/**
 * How far a head faces the screen: 1 at the person's own neutral, 0 at the limits and beyond.
 * @param {Reading} reading @param {Neutral} neutral
 */
export function facing({ yaw, pitch }, neutral) {
  const off = Math.max(Math.abs(yaw - neutral.yaw) / RULES.yawLimit, Math.abs(pitch - neutral.pitch) / RULES.pitchLimit);
  return Math.min(1, Math.max(0, 1 - off));
}

/** Openness as a share of the person's own. @param {number} open @param {Neutral} neutral */
export const openShare = (open, neutral) => open / (neutral.open ?? RULES.openWithoutCalibration);

/** Whether the face is large enough and its angles are sure enough to say anything. @param {Reading} reading */
export const isJudged = ({ size, spread }) => size >= RULES.facePixels && spread <= RULES.spread;

/**
 * The word for one frame. Limits are wider for the word that is shown already, so that it does not flicker.
 * @param {Reading | null} reading null: no face @param {Neutral} neutral @param {State} shown
 * @returns {State}
 */
export function wordFor(reading, neutral, shown) {
  if (!reading) return 'away';
  if (!isJudged(reading)) return 'unknown';
  const yaw = Math.abs(reading.yaw - neutral.yaw), pitch = reading.pitch - neutral.pitch;
  const stay = shown === 'turned';
  if (yaw > (stay ? RULES.turnedBack : RULES.turned) || pitch > (stay ? RULES.upBack : RULES.up)) return 'turned';
  if (-pitch > (shown === 'down' ? RULES.downBack : RULES.down)) return 'down';
  const limit = shown === 'closed' ? RULES.closedBack : RULES.closed;
  if (reading.open !== null && openShare(reading.open, neutral) < limit) return 'closed';
  return 'facing';
}

/** Shows a word once it has held long enough; short interruptions do not start its time anew. */
export class Holder {
  /** @param {State} [first] */
  constructor(first = 'unknown') {
    this.shown = first;
    /** @type {State} */
    this.candidate = first;
    this.since = 0;
    this.strayedAt = NaN;
  }

  /** @param {State} word of this frame @param {number} at milliseconds @returns {State} what to show */
  add(word, at) {
    if (word === this.shown) {
      if (this.candidate !== word && this.strays(at)) return this.shown;
      this.candidate = word;
    } else if (word !== this.candidate) {
      if (this.candidate !== this.shown && this.strays(at)) return this.shown;
      this.candidate = word;
      this.since = at;
    }
    if (word === this.candidate) this.strayedAt = NaN;
    if (this.candidate !== this.shown && at - this.since >= RULES.holds[this.candidate]) this.shown = this.candidate;
    return this.shown;
  }

  /** What will be shown if it lasts; null while nothing is about to change. @returns {State | null} */
  get coming() {
    return this.candidate === this.shown ? null : this.candidate;
  }

  /** Whole seconds that it has lasted. @param {number} at milliseconds */
  waited(at) {
    return Math.max(0, Math.floor((at - this.since) / 1000));
  }

  /** Whether the frames that disagree with the candidate are still too few to end its time. @param {number} at */
  strays(at) {
    if (Number.isNaN(this.strayedAt)) this.strayedAt = at;
    return at - this.strayedAt < 250;
  }
}

/** The share of the last minute with eyes at least 80 % closed, over the time in which they could be judged. */
export class Perclos {
  constructor() {
    /** @type {{at: number, ms: number, closed: boolean}[]} */
    this.spans = [];
    this.lastAt = NaN;
  }

  /** @param {number | null} share openness as a share of the person's own; null: not judged @param {number} at */
  add(share, at) {
    const ms = Math.min(1000, at - this.lastAt); // a gap in which nothing was seen says nothing
    if (share !== null && ms > 0) this.spans.push({ at, ms, closed: share < RULES.perclosClosed });
    this.lastAt = at;
    const first = this.spans.findIndex((span) => at - span.at < RULES.perclosMs);
    this.spans.splice(0, first < 0 ? this.spans.length : first);
  }

  /** 0..1, or null before twenty seconds were judged. @returns {number | null} */
  get share() {
    const all = this.spans.reduce((sum, { ms }) => sum + ms, 0);
    return all < 20_000 ? null : this.spans.reduce((sum, { ms, closed }) => sum + (closed ? ms : 0), 0) / all;
  }
}
