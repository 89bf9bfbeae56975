// The corner editor: a photo, four corners and four edges to drag or to move by keyboard, and a magnifier.

import { button, part, setText } from './dom.js';
import { placeFit, toBox } from './fit.js';
import { Magnifier } from './magnifier.js';
import { quadPath, shadePath, svgPart } from './overlay.js';
import {
  copyQuad, CORNER_NAMES, EDGE_NAMES, edgeMiddle, farthestMove, limitsFor, moveCorner, moveEdge, wholePicture,
} from './quad.js';
import { isValidQuad } from './vision/geometry.js';

/** @typedef {import('./quad.js').Quad} Quad */
/** @typedef {import('./quad.js').Point} Point */
/** @typedef {import('./quad.js').Size} Size */
/** @typedef {import('./fit.js').Place} Place */
/** @typedef {{bitmap: ImageBitmap, size: Size, corners: Quad, detected: Quad | null, cancel: string}} Job cancel: the button's word */

/** Room around the photo for handles at its very corners, in CSS pixels. */
const MARGIN = 26;
const BIG_STEP = 10;
const SPEAK_AFTER_MS = 350;
/** @type {Record<string, Point>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const NOTES = {
  found: 'Page found. Adjust the corners if needed.',
  none: 'No page found: the whole picture is selected. Drag the corners to the page.',
  edit: 'Drag the corners to the page.',
  unusable: 'This shape cannot be straightened: the corners cross, or the page is too narrow.',
};

export class CornerEditor {
  /** @type {Job | null} */
  #job = null;
  /** @type {Quad} */
  #corners = wholePicture({ width: 1, height: 1 });
  /** @type {Place} */
  #place = { left: 0, top: 0, width: 1, height: 1, scaleX: 1, scaleY: 1 };
  /** @type {(corners: Quad | null) => void} */
  #resolve = () => {};
  /** @type {{handle: number, from: Point, corners: Quad} | null} the pointer's drag */
  #drag = null;
  /** @type {any} */
  #speaking = 0;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.stage = part(root, 'corners-stage', HTMLElement);
    this.photo = part(root, 'corners-photo', HTMLCanvasElement);
    this.svg = part(root, 'corners-overlay', SVGElement);
    this.shade = svgPart(this.svg, '.shade');
    this.outline = svgPart(this.svg, '.outline');
    this.note = part(root, 'corners-note', HTMLElement);
    this.spoken = part(root, 'corners-spoken', HTMLElement);
    this.title = part(root, 'corners-title', HTMLElement);
    this.cancel = button(root, 'corners-cancel');
    this.reset = button(root, 'corners-reset');
    this.done = button(root, 'corners-done');
    this.magnifier = new Magnifier(part(root, 'magnifier', HTMLCanvasElement));
    this.handles = this.#makeHandles(part(root, 'handles', HTMLElement));
    this.#bind(root);
  }

  /** @param {HTMLElement} group @returns {HTMLButtonElement[]} four corners, then four edges */
  #makeHandles(group) {
    const names = [...CORNER_NAMES.map((name) => `${name} corner`), ...EDGE_NAMES.map((name) => `${name} edge`)];
    return names.map((name, i) => {
      const handle = document.createElement('button');
      handle.type = 'button';
      handle.className = i < 4 ? 'handle' : 'handle edge';
      handle.setAttribute('aria-label', name);
      handle.setAttribute('aria-describedby', 'corners-help');
      handle.addEventListener('pointerdown', (event) => this.#grab(event, i));
      handle.addEventListener('pointermove', (event) => this.#pull(event));
      for (const type of ['pointerup', 'pointercancel', 'lostpointercapture']) handle.addEventListener(type, () => this.#drop());
      handle.addEventListener('keydown', (event) => this.#key(event, i));
      handle.addEventListener('focus', () => this.#showFocus(i));
      handle.addEventListener('blur', () => this.magnifier.hide());
      group.append(handle);
      return handle;
    });
  }

  /** @param {HTMLElement} root */
  #bind(root) {
    this.cancel.addEventListener('click', () => this.#close(null));
    this.done.addEventListener('click', () => this.#close(this.#corners));
    this.reset.addEventListener('click', () => this.#job?.detected && this.#set(copyQuad(this.#job.detected)));
    button(root, 'corners-whole').addEventListener('click', () => this.#job && this.#set(wholePicture(this.#job.size)));
    this.stage.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.#close(null);
      if (event.key === 'Enter' && event.target instanceof HTMLElement && event.target.classList.contains('handle')) {
        event.preventDefault();
        if (!this.done.disabled) this.#close(this.#corners);
      }
    });
    new ResizeObserver(() => this.#layOut()).observe(this.stage);
  }

  /**
   * @param {Job} job
   * @returns {Promise<Quad | null>} the corners, or null when the person cancels
   */
  edit(job) {
    this.#job = job;
    this.#corners = copyQuad(job.corners);
    this.cancel.textContent = job.cancel;
    this.reset.hidden = job.detected === null;
    this.spoken.textContent = '';
    this.#layOut();
    return new Promise((resolve) => { this.#resolve = resolve; });
  }

  /** @param {Quad | null} corners */
  #close(corners) {
    if (!this.#job) return;
    this.#job = null;
    this.#drag = null;
    this.magnifier.hide();
    this.photo.width = this.photo.height = 0;
    this.#resolve(corners);
  }

  get #limits() {
    const job = /** @type {Job} */ (this.#job);
    return limitsFor(job.size, job.detected ? [job.detected, job.corners] : [job.corners]);
  }

  /** Places photo and handles anew: for another photo, or when the stage changes its size. */
  #layOut() {
    const job = this.#job;
    const box = { width: this.stage.clientWidth, height: this.stage.clientHeight };
    if (!job || box.width <= 2 * MARGIN || box.height <= 2 * MARGIN) return;
    const { left, top, right, bottom } = this.#limits;
    const inner = { width: box.width - 2 * MARGIN, height: box.height - 2 * MARGIN };
    const place = placeFit({ width: right - left, height: bottom - top }, inner);
    const scale = place.scaleX;
    this.#place = {
      left: place.left + MARGIN - left * scale, top: place.top + MARGIN - top * scale,
      width: job.size.width * scale, height: job.size.height * scale, scaleX: scale, scaleY: scale,
    };
    this.#paint(job);
    this.#draw();
  }

  /** @param {Job} job */
  #paint({ bitmap }) {
    const { left, top, width, height } = this.#place;
    const ratio = window.devicePixelRatio || 1;
    Object.assign(this.photo, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    Object.assign(this.photo.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
    const context = this.photo.getContext('2d');
    if (!context) throw new RangeError('The browser refused a canvas for the photo');
    context.imageSmoothingQuality = 'high';
    context.drawImage(bitmap, 0, 0, this.photo.width, this.photo.height);
  }

  /** @param {Quad} corners */
  #set(corners) {
    this.#corners = corners;
    this.#draw();
  }

  /** @param {number} handle 0..3 corners, 4..7 edges @returns {Point} in photo pixels */
  #at(handle) {
    return handle < 4 ? this.#corners[handle] : edgeMiddle(this.#corners, handle - 4);
  }

  #draw() {
    const job = this.#job;
    if (!job) return;
    const corners = /** @type {Quad} */ (this.#corners.map((corner) => toBox(this.#place, corner)));
    const usable = isValidQuad(this.#corners, job.size);
    this.svg.dataset.state = usable ? 'found' : 'bad';
    this.outline.setAttribute('d', quadPath(corners));
    this.shade.setAttribute('d', shadePath(corners, this.stage.clientWidth, this.stage.clientHeight));
    this.handles.forEach((handle, i) => {
      const [x, y] = toBox(this.#place, this.#at(i));
      handle.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
    });
    this.done.disabled = !usable;
    const untouched = farthestMove(this.#corners, job.corners) === 0;
    setText(this.note, usable ? NOTES[job.detected ? (untouched ? 'found' : 'edit') : 'none'] : NOTES.unusable);
    this.note.dataset.state = usable ? '' : 'bad';
  }

  /** @param {PointerEvent} event @param {number} handle */
  #grab(event, handle) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.handles[handle].focus();
    this.handles[handle].setPointerCapture(event.pointerId);
    this.#drag = { handle, from: [event.clientX, event.clientY], corners: copyQuad(this.#corners) };
    this.#magnify(handle);
  }

  /** @param {PointerEvent} event */
  #pull(event) {
    if (!this.#drag || !this.#job) return;
    const { handle, from, corners } = this.#drag;
    const { scaleX, scaleY } = this.#place;
    this.#move(handle, corners, [(event.clientX - from[0]) / scaleX, (event.clientY - from[1]) / scaleY]);
  }

  #drop() {
    if (!this.#drag) return;
    this.#drag = null;
    this.magnifier.hide();
  }

  /** @param {KeyboardEvent} event @param {number} handle */
  #key(event, handle) {
    const arrow = ARROWS[event.key];
    if (!arrow || !this.#job) return;
    event.preventDefault();
    const step = event.shiftKey ? BIG_STEP : 1;
    this.#move(handle, this.#corners, [arrow[0] * step, arrow[1] * step]);
    this.#speak(handle);
  }

  /** @param {number} handle @param {Quad} corners before the move @param {Point} step in photo pixels */
  #move(handle, corners, [dx, dy]) {
    const limits = this.#limits;
    if (handle < 4) {
      const [x, y] = corners[handle];
      this.#set(moveCorner(corners, handle, [x + dx, y + dy], limits));
    } else {
      this.#set(moveEdge(corners, handle - 4, [dx, dy], limits));
    }
    this.#magnify(handle);
  }

  /** By keyboard the magnifier follows the focus; by pointer it comes with the drag. @param {number} handle */
  #showFocus(handle) {
    if (this.#job && this.handles[handle].matches(':focus-visible')) this.#magnify(handle);
  }

  /** @param {number} handle */
  #magnify(handle) {
    if (!this.#job) return;
    const at = this.#at(handle);
    this.magnifier.show(this.#job.bitmap, at, this.#corners, this.#place, toBox(this.#place, at), this.stage);
  }

  /** @param {number} handle */
  #speak(handle) {
    clearTimeout(this.#speaking);
    this.#speaking = setTimeout(() => {
      const [x, y] = this.#at(handle);
      const note = this.done.disabled ? `. ${NOTES.unusable}` : '';
      setText(this.spoken, `${Math.round(x)} across, ${Math.round(y)} down${note}`);
    }, SPEAK_AFTER_MS);
  }
}
