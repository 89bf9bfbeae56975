// What the page draws: faces as dots or over a coarse picture, and the timeline.
import { all, STATES } from './summary.js';

/** @typedef {import('./session.js').Seen} Seen */
/** @typedef {import('./summary.js').Second} Second */
/** @typedef {import('./signal/rules.js').State} State */

/** Wide enough to see where people sit, too coarse to know anybody. */
const COARSE = 48;

/** @returns {Record<State, string>} colours of the words, from the style sheet */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  return /** @type {Record<State, string>} */ (Object.fromEntries(STATES.map((s) => [s, style.getPropertyValue(`--state-${s}`).trim()])));
}

/** @param {HTMLCanvasElement} canvas @param {number} width @param {number} height @returns {CanvasRenderingContext2D} */
function contextOf(canvas, width, height) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext('2d');
  if (!context) throw new RangeError('The browser refused a canvas to draw on');
  context.clearRect(0, 0, width, height);
  return context;
}

export class Stage {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.small = document.createElement('canvas');
  }

  /**
   * @param {HTMLVideoElement} video @param {readonly Seen[]} seen
   * @param {{picture: 'none' | 'coarse'}} options coarse: the whole picture, too coarse to know anybody
   */
  draw(video, seen, { picture }) {
    const { videoWidth: width, videoHeight: height } = video;
    if (!width) return;
    const context = contextOf(this.canvas, width, height), colour = colours();
    if (picture === 'coarse') {
      const low = contextOf(this.small, COARSE, Math.max(1, Math.round((COARSE * height) / width)));
      low.drawImage(video, 0, 0, this.small.width, this.small.height);
      context.imageSmoothingEnabled = true;
      context.imageSmoothingQuality = 'high';
      context.drawImage(this.small, 0, 0, width, height);
    }
    for (const { face: { box: [x, y, w, h] }, state, seen: now } of seen) {
      context.globalAlpha = now ? 1 : 0.35;
      context.fillStyle = colour[state];
      context.strokeStyle = '#ffffff';
      context.lineWidth = Math.max(2, w / 20);
      context.beginPath();
      context.arc(x + w / 2, y + h / 2, Math.max(6, (w + h) / 5), 0, 2 * Math.PI);
      context.fill();
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  /** A thin frame about one's own face. @param {HTMLVideoElement} video @param {readonly Seen[]} seen */
  outline(video, seen) {
    const { videoWidth: width, videoHeight: height } = video;
    if (!width) return;
    const context = contextOf(this.canvas, width, height), colour = colours();
    for (const { face: { box: [x, y, w, h] }, state, seen: now } of seen) {
      if (!now) continue;
      context.strokeStyle = colour[state];
      context.lineWidth = Math.max(3, width / 240);
      context.beginPath();
      context.roundRect(x, y, w, h, w / 6);
      context.stroke();
    }
  }

  clear() {
    contextOf(this.canvas, this.canvas.width, this.canvas.height);
    contextOf(this.small, 1, 1);
  }
}

/**
 * Columns of a session, newest at the right: how the words were shared at each time.
 * @param {HTMLCanvasElement} canvas @param {readonly Second[]} seconds @param {number} [shown] seconds that fit at first
 */
export function drawTimeline(canvas, seconds, shown = 120) {
  const scale = globalThis.devicePixelRatio || 1;
  const width = Math.max(200, Math.round(canvas.clientWidth * scale)), height = Math.max(40, Math.round(canvas.clientHeight * scale));
  const context = contextOf(canvas, width, height), colour = colours();
  const last = seconds.at(-1)?.at ?? 0, span = Math.max(shown, last + 1), column = width / span;
  for (const { at, counts } of seconds) {
    const sum = all(counts);
    if (!sum) continue;
    let y = height;
    for (const state of STATES) {
      const part = (counts[state] / sum) * height;
      if (!part) continue;
      context.fillStyle = colour[state];
      context.fillRect(Math.floor(at * column), y - part, Math.ceil(column) + 0.5, part);
      y -= part;
    }
  }
}
