// A small badge that says where a model runs and how fast: "On this device · WASM · 23 ms".

/** @typedef {'idle'|'ok'|'warn'|'bad'} BadgeState */

/** Milliseconds the way people read them: two digits below ten, whole numbers above, seconds from one second on. */
export function formatMs(/** @type {number} */ ms) {
  if (!Number.isFinite(ms) || ms < 0) return '';
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

/**
 * The badge's words.
 * @param {{where?: string, backend?: string, ms?: number}} now where the model runs, on which backend, and the time
 *   of one run in milliseconds
 * @returns {string}
 */
export function badgeText({ where = 'On this device', backend = '', ms }) {
  return [where, backend.toUpperCase(), ms === undefined ? '' : formatMs(ms)].filter(Boolean).join(' · ');
}

/**
 * Turns an element into a badge.
 * @param {HTMLElement} element usually an empty span
 * @param {{smoothing?: number}} [options] weight of the newest time, 0..1; 1 shows each time as it is
 * @returns {{show(now: {where?: string, backend?: string, ms?: number}): void,
 *   say(text: string, state: BadgeState): void}} `show` reports a run, `say` shows any other state in words
 */
export function createBadge(element, { smoothing = 0.25 } = {}) {
  element.classList.add('badge');
  /** @type {number|undefined} */
  let average;
  let place = '';

  /** @param {string} text @param {BadgeState} state */
  function say(text, state) {
    if (element.textContent !== text) element.textContent = text;
    element.dataset.state = state;
  }

  return {
    say,
    show({ where, backend, ms }) {
      if (place !== `${where} ${backend}`) average = undefined;   // times of another place say nothing about this one
      place = `${where} ${backend}`;
      if (ms !== undefined) average = average === undefined ? ms : average + smoothing * (ms - average);
      say(badgeText({ where, backend, ms: average }), 'ok');
    },
  };
}
