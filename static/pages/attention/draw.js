// What the page draws: one's own face in a frame, a room as dots, and the timeline.
import { all, duration, endOf, percent, STATES, STATES_OF, summarise, WORDS } from './summary.js';

/** @typedef {import('./session.js').Seen} Seen */
/** @typedef {import('./summary.js').Mode} Mode */
/** @typedef {import('./summary.js').Second} Second */
/** @typedef {import('./signal/rules.js').State} State */
/** @typedef {{picture: boolean, coloured: boolean}} RoomOptions picture: the whole view, too coarse to know anybody;
 *   coloured: dots say what is seen of each face, else they are all alike */
/** @typedef {{x: number, y: number, width: number, height: number}} Area */

/** Wide enough to see where people sit, too coarse to know anybody. */
const COARSE = 32;
/** Of a live timeline, seconds that fit before it is squeezed. */
export const SHOWN_S = 120;
/** Posture, from nothing known to slumped: shares of the ink. */
const SHADES = Object.freeze({ unknown: 0, upright: 0.16, leaning: 0.45, slumped: 0.85 });

/** Colours from the style sheet, read once: they change with the theme, hence with each session at most. */
class Ink {
  constructor() {
    this.style = getComputedStyle(document.documentElement);
    /** @type {Map<string, string>} */
    this.known = new Map();
  }

  /** @param {string} name of a custom property @returns {string} */
  of(name) {
    const known = this.known.get(name) ?? this.style.getPropertyValue(`--${name}`).trim();
    this.known.set(name, known);
    return known;
  }
}

/** @param {HTMLCanvasElement} canvas @param {number} width @param {number} height @returns {CanvasRenderingContext2D} */
function contextOf(canvas, width, height) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext('2d');
  if (!context) throw new RangeError('The browser refused a canvas to draw on');
  context.resetTransform();
  context.clearRect(0, 0, width, height);
  return context;
}

export class Stage {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.small = document.createElement('canvas');
    this.ink = new Ink();
  }

  /** @param {HTMLVideoElement} video @returns {CanvasRenderingContext2D} as large as it is shown, in pixels of the video */
  context({ videoWidth: width, videoHeight: height }) {
    const shown = Math.min(1, (this.canvas.clientWidth * (globalThis.devicePixelRatio || 1)) / width || 1);
    const context = contextOf(this.canvas, Math.max(1, Math.round(width * shown)), Math.max(1, Math.round(height * shown)));
    context.setTransform(shown, 0, 0, shown, 0, 0);
    return context;
  }

  /** @param {HTMLVideoElement} video @param {readonly Seen[]} seen @param {RoomOptions} options */
  room(video, seen, { picture, coloured }) {
    const { videoWidth: width, videoHeight: height } = video;
    if (!width) return;
    const context = this.context(video);
    if (picture) {
      const low = contextOf(this.small, COARSE, Math.max(1, Math.round((COARSE * height) / width)));
      low.drawImage(video, 0, 0, this.small.width, this.small.height);
      context.imageSmoothingQuality = 'high';
      context.drawImage(this.small, 0, 0, width, height);
    }
    for (const { face: { box: [x, y, w, h] }, state, seen: now } of seen) {
      context.globalAlpha = now ? 1 : 0.35;
      context.fillStyle = coloured ? this.ink.of(`state-${state}`) : '#8fb3a8';
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
    if (!video.videoWidth) return;
    const context = this.context(video);
    for (const { face: { box: [x, y, w, h] }, state, seen: now } of seen) {
      if (!now) continue;
      context.strokeStyle = this.ink.of(`state-${state}`);
      context.lineWidth = Math.max(3, video.videoWidth / 240);
      context.beginPath();
      if ('roundRect' in context) context.roundRect(x, y, w, h, w / 6);
      else /** @type {CanvasRenderingContext2D} */ (context).rect(x, y, w, h); // the server helps browsers that are too old for corners
      context.stroke();
    }
  }

  clear() {
    contextOf(this.canvas, this.canvas.width, this.canvas.height);
    contextOf(this.small, 1, 1);
    this.ink = new Ink();
  }
}

/** @param {HTMLCanvasElement} canvas @returns {{context: CanvasRenderingContext2D, area: Area}} as large as it is shown */
function fitted(canvas) {
  const scale = globalThis.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(canvas.clientWidth * scale)), height = Math.max(1, Math.round(canvas.clientHeight * scale));
  return { context: contextOf(canvas, width, height), area: { x: 0, y: 0, width, height } };
}

/**
 * Columns of a session, newest at the right: how the words were shared at each time; below them, for one person, posture.
 * @param {HTMLCanvasElement} canvas @param {HTMLCanvasElement} strip @param {readonly Second[]} seconds
 * @param {number} [shown] seconds that fit at first
 */
export function drawTimeline(canvas, strip, seconds, shown = SHOWN_S) {
  const ink = new Ink(), last = endOf(seconds), span = Math.max(shown, last);
  const { context, area } = fitted(canvas);
  columns(context, area, seconds, span, ink);
  if (!strip.clientWidth) return; // a room has none
  const below = fitted(strip);
  shades(below.context, below.area, seconds, span, ink);
}

/** @param {CanvasRenderingContext2D} context @param {Area} area @param {readonly Second[]} seconds @param {number} span @param {Ink} ink */
function columns(context, { x, y, width, height }, seconds, span, ink) {
  for (const { at, counts } of seconds) {
    const sum = all(counts), left = x + Math.floor((at * width) / span), wide = Math.ceil(width / span) + 0.5;
    let top = y + height;
    for (const state of STATES) {
      const part = sum && (counts[state] / sum) * height;
      if (!part) continue;
      context.fillStyle = ink.of(`state-${state}`);
      context.fillRect(left, top - part, wide, part);
      top -= part;
    }
  }
}

/** @param {CanvasRenderingContext2D} context @param {Area} area @param {readonly Second[]} seconds @param {number} span @param {Ink} ink */
function shades(context, { x, y, width, height }, seconds, span, ink) {
  const edge = (/** @type {number} */ at) => x + Math.floor((at * width) / span); // seconds must not overlap: two would be darker
  context.fillStyle = ink.of('ink');
  for (const { at, postures } of seconds) {
    context.globalAlpha = postures.upright * SHADES.upright + postures.leaning * SHADES.leaning + postures.slumped * SHADES.slumped;
    context.fillRect(edge(at), y, edge(at + 1) - edge(at), height);
  }
  context.globalAlpha = 1;
}

/**
 * The timeline as a picture that explains itself.
 * @param {readonly Second[]} seconds @param {Mode} mode
 * @returns {Promise<Blob>} PNG
 */
export function timelinePicture(seconds, mode) {
  const canvas = document.createElement('canvas'), [width, height, margin] = [1200, 420, 40];
  const context = contextOf(canvas, width, height), ink = new Ink(), { shares, seconds: count } = summarise(seconds);
  context.fillStyle = ink.of('surface');
  context.fillRect(0, 0, width, height);
  const area = { x: margin, y: 100, width: width - 2 * margin, height: 150 }, bottom = area.y + area.height;
  context.fillStyle = ink.of('sunken');
  context.fillRect(area.x, area.y, area.width, area.height);
  const span = Math.max(1, endOf(seconds));
  columns(context, area, seconds, span, ink);
  if (mode === 'solo') shades(context, { ...area, y: bottom + 4, height: 12 }, seconds, span, ink);
  const write = (/** @type {string} */ text, /** @type {number} */ x, /** @type {number} */ y, /** @type {string} */ font, /** @type {CanvasTextAlign} */ align = 'left') => {
    Object.assign(context, { font: `${font} system-ui, sans-serif`, textAlign: align, fillStyle: ink.of('ink') });
    context.fillText(text, x, y);
  };
  write('Facing the screen', margin, 52, '600 28px');
  write(`${mode === 'room' ? 'A room together' : 'One person'}, ${duration(count)}. Where heads point; not attention, not a mark.`, margin, 82, '18px');
  write('Start', margin, bottom + 38, '16px');
  write(duration(span), width - margin, bottom + 38, '16px', 'right');
  STATES_OF[mode].forEach((state, k) => {
    const x = margin + (k % 3) * ((width - 2 * margin) / 3), y = bottom + 82 + Math.floor(k / 3) * 36;
    context.fillStyle = ink.of(`state-${state}`);
    context.fillRect(x, y - 15, 18, 18);
    write(`${WORDS[state]} ${percent(shares[state])}`, x + 28, y, '18px');
  });
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new RangeError('The browser could not make the picture'))));
  });
}
