// The live quadrilateral over the video: glides towards the latest detection, follows the video's object-fit exactly.

import { placeFit, toBox } from './fit.js';
import { blend } from './steadiness.js';

/** @typedef {import('./quad.js').Quad} Quad */
/** @typedef {import('./fit.js').Place} Place */

/** Share of the way that is left after this many milliseconds of gliding. */
const GLIDE = { left: 0.1, ms: 110 };

/** @param {Quad} corners in box pixels @returns {string} an SVG path */
export function quadPath(corners) {
  const points = corners.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`);
  return `M${points.join('L')}Z`;
}

/** Everything but the quadrilateral, for an even-odd fill. @param {Quad} corners @param {number} width @param {number} height */
export function shadePath(corners, width, height) {
  return `M0 0H${width}V${height}H0Z${quadPath(corners)}`;
}

/** @param {Element} svg @param {string} selector @returns {SVGElement} */
export function svgPart(svg, selector) {
  const found = svg.querySelector(selector);
  if (!(found instanceof SVGElement)) throw new Error(`The overlay has no ${selector}`);
  return found;
}

export class Overlay {
  /** @type {Quad | null} in video pixels */
  #target = null;
  /** @type {Quad | null} */
  #shown = null;
  #frame = 0;
  #last = 0;

  /** @param {SVGElement} svg covers the video's box @param {HTMLVideoElement} video */
  constructor(svg, video) {
    this.svg = svg;
    this.video = video;
    this.shade = svgPart(svg, '.shade');
    this.outline = svgPart(svg, '.outline');
    this.dots = [...svg.querySelectorAll('circle')];
    this.calm = window.matchMedia('(prefers-reduced-motion: reduce)');
  }

  /** @param {Quad | null} corners in video pixels @param {boolean} steady */
  aim(corners, steady) {
    this.#target = corners;
    this.svg.dataset.state = corners ? (steady ? 'steady' : 'found') : 'none';
    if (!this.#shown || !corners) this.#shown = corners;
    this.#frame ||= requestAnimationFrame((now) => this.#draw(now));
  }

  stop() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#target = this.#shown = null;
    this.svg.dataset.state = 'none';
  }

  /** The video's place inside its box. @returns {Place & {box: {width: number, height: number}}} */
  place() {
    const { videoWidth, videoHeight, clientWidth, clientHeight } = this.video;
    const box = { width: clientWidth, height: clientHeight };
    const fit = getComputedStyle(this.video).objectFit;
    return { ...placeFit({ width: videoWidth, height: videoHeight }, box, fit), box };
  }

  /** @param {number} now */
  #draw(now) {
    this.#frame = 0;
    const target = this.#target;
    if (!target || !this.#shown || !this.video.videoWidth) return;
    const elapsed = Math.min(100, now - this.#last);
    this.#last = now;
    this.#shown = this.calm.matches ? target : blend(this.#shown, target, 1 - GLIDE.left ** (elapsed / GLIDE.ms));
    const place = this.place();
    const corners = /** @type {Quad} */ (this.#shown.map((corner) => toBox(place, corner)));
    this.outline.setAttribute('d', quadPath(corners));
    this.shade.setAttribute('d', shadePath(corners, place.box.width, place.box.height));
    corners.forEach(([x, y], i) => this.dots[i].setAttribute('transform', `translate(${x.toFixed(1)} ${y.toFixed(1)})`));
    this.#frame = requestAnimationFrame((next) => this.#draw(next));
  }
}
