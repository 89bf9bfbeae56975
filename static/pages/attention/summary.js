// What a session leaves behind: seconds by word, and for a room how many faces a word had. No pictures, no persons. Pure.

/** @typedef {import('./signal/rules.js').State} State */
/** @typedef {Record<State, number>} Counts */
/** @typedef {{at: number, counts: Counts}} Second at: seconds since the start */
/** @typedef {'solo' | 'room'} Mode */

/** @type {readonly State[]} in the order in which they are drawn and listed */
export const STATES = Object.freeze(['facing', 'down', 'turned', 'closed', 'away', 'unknown']);

/** @type {Readonly<Record<State, string>>} */
export const WORDS = Object.freeze({
  facing: 'Facing the screen', down: 'Looking down', turned: 'Turned away', closed: 'Eyes closed', away: 'Away',
  unknown: 'Not clear',
});

const MAX_SECONDS = 6 * 3600;

/** @returns {Counts} */
export const noCounts = () => ({ facing: 0, down: 0, turned: 0, closed: 0, away: 0, unknown: 0 });

/** One line a second. */
export class Log {
  constructor() {
    /** @type {Second[]} */
    this.seconds = [];
    this.now = noCounts();
    this.frames = 0;
    this.second = 0;
  }

  /**
   * @param {readonly State[]} states of everyone who counts in this frame @param {number} at milliseconds since the start,
   *   pauses apart
   * @returns {boolean} whether a second was completed
   */
  add(states, at) {
    const second = Math.floor(at / 1000);
    const completed = second > this.second && this.close(second);
    for (const state of states) this.now[state] += 1;
    this.frames += 1;
    return completed;
  }

  /** @param {number} next */
  close(next) {
    const { frames } = this;
    if (frames && this.seconds.length < MAX_SECONDS) {
      const counts = noCounts();
      for (const state of STATES) counts[state] = this.now[state] / frames;
      this.seconds.push({ at: this.second, counts });
    }
    this.now = noCounts();
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
 * @returns {{seconds: number, shares: Counts, longestFacing: number, mostFaces: number}} shares of all that was seen;
 *   longestFacing in seconds; mostFaces at once
 */
export function summarise(seconds) {
  const total = noCounts();
  let run = 0, longestFacing = 0, mostFaces = 0;
  for (const { counts } of seconds) {
    for (const state of STATES) total[state] += counts[state];
    const faces = all(counts) - counts.away;
    mostFaces = Math.max(mostFaces, Math.round(faces));
    run = faces > 0 && counts.facing >= faces / 2 ? run + 1 : 0;
    longestFacing = Math.max(longestFacing, run);
  }
  const sum = all(total), shares = noCounts();
  for (const state of STATES) shares[state] = sum ? total[state] / sum : 0;
  return { seconds: seconds.length, shares, longestFacing, mostFaces };
}

/** @param {Counts} counts */
export const all = (counts) => STATES.reduce((sum, state) => sum + counts[state], 0);

/**
 * Ten seconds a line, so that a line says little about any one moment.
 * @param {readonly Second[]} seconds @param {Mode} mode
 * @returns {string} CSV (RFC 4180) with a header
 */
export function toCsv(seconds, mode) {
  const head = ['seconds since start', ...STATES.map((state) => `${WORDS[state].toLowerCase()} (share)`), ...(mode === 'room' ? ['faces'] : [])];
  /** @type {Map<number, Second[]>} */
  const groups = new Map();
  for (const second of seconds) {
    const start = Math.floor(second.at / 10) * 10;
    groups.set(start, [...(groups.get(start) ?? []), second]);
  }
  const lines = [...groups].map(([start, group]) => {
    const { shares } = summarise(group);
    const faces = group.reduce((sum, { counts }) => sum + all(counts) - counts.away, 0) / group.length;
    return [start, ...STATES.map((state) => shares[state].toFixed(3)), ...(mode === 'room' ? [faces.toFixed(1)] : [])].join(',');
  });
  return [head.join(','), ...lines, ''].join('\r\n');
}

/** @param {number} seconds @returns {string} such as 4 min 05 s */
export function duration(seconds) {
  const whole = Math.round(seconds), minutes = Math.floor(whole / 60);
  return minutes ? `${minutes} min ${String(whole % 60).padStart(2, '0')} s` : `${whole} s`;
}
