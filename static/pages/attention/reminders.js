// Quiet notes to one person, each of which can be switched off: a break, turned away, slumped.
import { duration } from './summary.js';

/** @typedef {import('../scanner/dom.js').Toasts} Toasts */
/** @typedef {import('./session.js').Session} Session */
/** @typedef {{breakMinutes: number, nudges: boolean}} Wishes breakMinutes 0: never */

const TURNED_MS = 30_000;
const SLUMPED_MS = 120_000;
/** Who was away for so long had a break. */
const BREAK_MS = 120_000;

/** Tells how long something has lasted. */
class Lasting {
  since = NaN;

  /** @param {boolean} is now @param {number} at milliseconds @returns {number} milliseconds, 0 when it is not so */
  look(is, at) {
    if (!is) this.since = NaN;
    else if (Number.isNaN(this.since)) this.since = at;
    return is ? at - this.since : 0;
  }
}

export class Reminders {
  satFrom = 0;
  away = new Lasting();
  turned = new Lasting();
  slumped = new Lasting();

  /** @param {Pick<Toasts, 'show'>} toasts @param {() => Wishes} wishes */
  constructor(toasts, wishes) {
    this.toasts = toasts;
    this.wishes = wishes;
  }

  /** @param {number} [at] milliseconds from which a break is counted */
  start(at = 0) {
    this.satFrom = at;
    this.away = new Lasting();
    this.turned = new Lasting();
    this.slumped = new Lasting();
  }

  /** @param {Pick<Session, 'alone' | 'postureNow' | 'elapsed'>} session once a second */
  look({ alone: { state }, postureNow, elapsed: at }) {
    const { breakMinutes, nudges } = this.wishes();
    if (this.away.look(state === 'away', at) >= BREAK_MS) this.satFrom = at;
    if (breakMinutes && at - this.satFrom >= breakMinutes * 60_000) {
      this.satFrom = at;
      this.toasts.show(`${duration(breakMinutes * 60)} have passed. Look into the distance for a moment, or stand up.`, { ms: 15_000 });
    }
    if (this.turned.look(state === 'turned', at) >= TURNED_MS) {
      this.turned.since = at;
      if (nudges) this.toasts.show('You have been turned away for half a minute.');
    }
    if (this.slumped.look(postureNow === 'slumped', at) >= SLUMPED_MS) {
      this.slumped.since = at;
      if (nudges) this.toasts.show('You have been slumped for two minutes. Sit up, if you like.');
    }
  }
}
