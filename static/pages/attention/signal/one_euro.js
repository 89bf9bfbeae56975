// The 1 € filter: still when the signal is still, quick when it moves. Casiez, Roussel, Vogel: "1 € Filter", CHI 2012.

/** @typedef {{cutoffHz?: number, slope?: number, slopeCutoffHz?: number}} OneEuroOptions
 *   cutoffHz: of a signal at rest; slope: Hz more for each unit per second of speed */

export class OneEuro {
  /** @param {OneEuroOptions} [options] */
  constructor({ cutoffHz = 1, slope = 0.015, slopeCutoffHz = 1 } = {}) {
    this.cutoffHz = cutoffHz;
    this.slope = slope;
    this.slopeCutoffHz = slopeCutoffHz;
    this.value = NaN;
    this.speed = 0;
    this.at = NaN;
  }

  /**
   * @param {number} value @param {number} at milliseconds, never going back
   * @returns {number} the smoothed value
   */
  add(value, at) {
    const seconds = (at - this.at) / 1000;
    if (Number.isNaN(this.value)) {
      this.value = value;
      this.at = at;
    } else if (seconds > 0) {
      this.speed += weight(seconds, this.slopeCutoffHz) * ((value - this.value) / seconds - this.speed);
      this.value += weight(seconds, this.cutoffHz + this.slope * Math.abs(this.speed)) * (value - this.value);
      this.at = at;
    }
    return this.value;
  }
}

/** Share of the new value in the smoothed one. @param {number} seconds since the last one @param {number} hz */
function weight(seconds, hz) {
  const lag = 1 / (2 * Math.PI * hz);
  return seconds / (seconds + lag);
}
