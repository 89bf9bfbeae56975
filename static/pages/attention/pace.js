// When to look at the next frame: at the camera's pace, within the chosen share of the time.

/** Work may be ahead of its share by this much: a strict share would skip every other frame where it needs to skip a few. */
const SLACK_MS = 40;

/** A share of the time, paid back by resting. Pure. */
export class Budget {
  /** @param {number} share 0..1 */
  constructor(share) {
    this.share = share;
    this.paidAt = -Infinity;
  }

  /** @param {number} began milliseconds @param {number} now @returns {number} milliseconds to rest after the work between both */
  restAfter(began, now) {
    this.paidAt = Math.max(this.paidAt, began) + (now - began) / this.share;
    return Math.max(0, this.paidAt - now - (this.share < 1 ? SLACK_MS : 0));
  }
}

/** A running mean: of all values at first, then of about the last thirty. */
export class Mean {
  value = 0;
  count = 0;

  /** @param {number} value */
  add(value) {
    this.count = Math.min(30, this.count + 1);
    this.value += (value - this.value) / this.count;
  }
}

/** The camera's pictures as the browser shows them. One that comes while nobody waits is kept in mind. */
export class Pictures {
  came = false;
  #handle = 0;
  #tell = () => {};

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.video = video;
    if ('requestVideoFrameCallback' in video) this.#listen();
  }

  #listen() {
    this.#handle = this.video.requestVideoFrameCallback(() => {
      this.came = true;
      this.#tell();
      this.#listen();
    });
  }

  /** @returns {boolean} whether one came since the last was taken; it is taken now */
  take() {
    const { came } = this;
    this.came = false;
    return came;
  }

  /** @param {Promise<unknown>} a_while @returns {Promise<unknown>} the next one, or the end of a while in which none came */
  next(a_while) {
    return Promise.race([new Promise((resolve) => { this.#tell = () => resolve(undefined); }), a_while]);
  }

  end() {
    if (this.#handle) this.video.cancelVideoFrameCallback(this.#handle);
  }
}
