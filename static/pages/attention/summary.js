// What a session leaves behind: seconds by word, and for a room how many faces a word had. No pictures, no persons. Pure.

/** @typedef {import('./signal/rules.js').State} State */
/** @typedef {import('./signal/posture.js').Posture} Posture */
/** @typedef {'solo' | 'room'} Mode */
/** @typedef {Record<State, number>} Counts faces by word; within a second, means over its frames */
/** @typedef {Record<Posture, number>} Postures shares, of one person */
/** @typedef {{at: number, counts: Counts, postures: Postures}} Second at: seconds since the start */

/** @type {readonly State[]} in the order in which they are drawn and listed */
export const STATES = Object.freeze(['facing', 'down', 'turned', 'closed', 'away', 'unknown']);
/** Of a room, who leaves is not counted on. @type {Readonly<Record<Mode, readonly State[]>>} */
export const STATES_OF = Object.freeze({ solo: STATES, room: STATES.filter((state) => state !== 'away') });
/** @type {readonly Posture[]} */
export const POSTURES = Object.freeze(['upright', 'leaning', 'slumped', 'unknown']);

/** @type {Readonly<Record<State, string>>} */
export const WORDS = Object.freeze({
  facing: 'Facing the screen', down: 'Looking down', turned: 'Turned away', closed: 'Eyes closed', away: 'Away',
  unknown: 'Not clear',
});

const MAX_SECONDS = 6 * 3600;

/** @returns {Counts} */
export const noCounts = () => ({ facing: 0, down: 0, turned: 0, closed: 0, away: 0, unknown: 0 });
/** @returns {Postures} */
const noPostures = () => ({ upright: 0, leaning: 0, slumped: 0, unknown: 0 });

/** One line a second. */
export class Log {
  constructor() {
    /** @type {Second[]} */
    this.seconds = [];
    this.now = noCounts();
    this.postures = noPostures();
    this.frames = 0;
    this.second = 0;
  }

  /**
   * @param {readonly State[]} states of everyone who counts in this frame @param {number} at milliseconds since the start,
   *   pauses apart @param {Posture} [posture] of one person
   * @returns {boolean} whether a second was completed
   */
  add(states, at, posture = 'unknown') {
    const second = Math.floor(at / 1000);
    const completed = second > this.second && this.close(second);
    for (const state of states) this.now[state] += 1;
    this.postures[posture] += 1;
    this.frames += 1;
    return completed;
  }

  /** @param {number} next */
  close(next) {
    const { frames } = this;
    if (frames && this.seconds.length < MAX_SECONDS) {
      this.seconds.push({ at: this.second, counts: scaled(this.now, 1 / frames), postures: scaled(this.postures, 1 / frames) });
    }
    this.now = noCounts();
    this.postures = noPostures();
    this.frames = 0;
    this.second = next;
    return frames > 0;
  }

  get summary() {
    return summarise(this.seconds);
  }

  clear() {
    Object.assign(this, new Log());
  }
}

/**
 * @param {readonly Second[]} seconds
 * @returns {{seconds: number, shares: Counts, postures: Postures, longestFacing: number, mostFaces: number}} shares of all
 *   that was seen; longestFacing in seconds; mostFaces at once
 */
export function summarise(seconds) {
  const total = noCounts(), postures = noPostures();
  let run = 0, longestFacing = 0, mostFaces = 0;
  for (const { counts, postures: stood } of seconds) {
    for (const state of STATES) total[state] += counts[state];
    for (const posture of POSTURES) postures[posture] += stood[posture];
    const faces = all(counts) - counts.away;
    mostFaces = Math.max(mostFaces, Math.round(faces));
    run = faces > 0 && counts.facing >= faces / 2 ? run + 1 : 0;
    longestFacing = Math.max(longestFacing, run);
  }
  const sum = all(total), count = seconds.length;
  return {
    seconds: count, shares: scaled(total, sum ? 1 / sum : 0), postures: scaled(postures, count ? 1 / count : 0), longestFacing, mostFaces,
  };
}

/** @template {Record<string, number>} T @param {T} numbers @param {number} by @returns {T} */
function scaled(numbers, by) {
  return /** @type {T} */ (Object.fromEntries(Object.entries(numbers).map(([key, value]) => [key, value * by])));
}

/** @param {Counts} counts */
export const all = (counts) => STATES.reduce((sum, state) => sum + counts[state], 0);

/**
 * Ten seconds a line, so that a line says little about any one moment.
 * @param {readonly Second[]} seconds @param {Mode} mode
 * @returns {string} CSV (RFC 4180) with a header
 */
export function toCsv(seconds, mode) {
  const states = STATES_OF[mode], solo = mode === 'solo';
  const head = ['seconds since start', ...states.map((state) => `${WORDS[state].toLowerCase()} (share)`),
    ...(solo ? POSTURES.map((posture) => `posture ${posture} (share)`) : ['faces'])];
  /** @type {Map<number, Second[]>} */
  const groups = new Map();
  for (const second of seconds) {
    const start = Math.floor(second.at / 10) * 10, group = groups.get(start);
    if (group) group.push(second);
    else groups.set(start, [second]);
  }
  const lines = [...groups].map(([start, group]) => {
    const { shares, postures } = summarise(group);
    const faces = group.reduce((sum, { counts }) => sum + all(counts) - counts.away, 0) / group.length;
    return [start, ...states.map((state) => shares[state].toFixed(3)),
      ...(solo ? POSTURES.map((posture) => postures[posture].toFixed(3)) : [faces.toFixed(1)])].join(',');
  });
  return [head.join(','), ...lines, ''].join('\r\n');
}

/** Seconds from the start to the end of the last one that was logged. @param {readonly Second[]} seconds */
export const endOf = (seconds) => (seconds.length ? seconds[seconds.length - 1].at + 1 : 0);

/** @param {number} share */
export const percent = (share) => `${Math.round(share * 100)} %`;

/** @param {number} seconds @returns {string} such as 4 min 05 s */
export function duration(seconds) {
  const whole = Math.round(seconds), minutes = Math.floor(whole / 60);
  return minutes ? `${minutes} min ${String(whole % 60).padStart(2, '0')} s` : `${whole} s`;
}

/** @param {number} bytes @returns {string} such as 12 KB */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${Math.round(bytes / 1000)} KB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
