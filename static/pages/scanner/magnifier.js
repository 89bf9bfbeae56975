// A round glass that shows the photo's own pixels around a corner while a finger or the keyboard moves it.

/** @typedef {import('./quad.js').Point} Point */
/** @typedef {import('./quad.js').Quad} Quad */
/** @typedef {import('./fit.js').Place} Place */

/** Times larger than on the stage, and never more photo pixels than fit the glass one to one. */
const ZOOM = 3;
const GAP = 12;

export class Magnifier {
  /** @param {HTMLCanvasElement} canvas square, shown at half its pixels */
  constructor(canvas) {
    this.canvas = canvas;
    const context = canvas.getContext('2d');
    if (!context) throw new RangeError('The browser refused a canvas for the magnifier');
    this.context = context;
  }

  hide() {
    this.canvas.hidden = true;
  }

  /**
   * @param {ImageBitmap} photo
   * @param {Point} at in photo pixels
   * @param {Quad} corners
   * @param {Place} place of the photo on the stage
   * @param {Point} onStage the same point in stage pixels
   * @param {HTMLElement} stage
   */
  show(photo, at, corners, place, onStage, stage) {
    const { canvas, context } = this;
    canvas.hidden = false;
    const side = canvas.width;
    const scale = place.scaleX * ZOOM * side / canvas.clientWidth;   // glass pixels per photo pixel
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = '#14201d';
    context.fillRect(0, 0, side, side);
    context.setTransform(scale, 0, 0, scale, side / 2 - at[0] * scale, side / 2 - at[1] * scale);
    context.imageSmoothingEnabled = scale < 3;
    this.#drawPart(photo, at, side / scale);
    this.#drawLines(corners, at, scale);
    this.#moveAside(onStage, stage);
  }

  /** Only the pixels under the glass: a whole large photo would be slow.
   * @param {ImageBitmap} photo @param {Point} at @param {number} span in photo pixels */
  #drawPart(photo, [x, y], span) {
    const left = Math.max(0, Math.floor(x - span / 2));
    const top = Math.max(0, Math.floor(y - span / 2));
    const width = Math.min(photo.width, Math.ceil(x + span / 2)) - left;
    const height = Math.min(photo.height, Math.ceil(y + span / 2)) - top;
    if (width > 0 && height > 0) this.context.drawImage(photo, left, top, width, height, left, top, width, height);
  }

  /** The outline, and a cross at the point. @param {Quad} corners @param {Point} at @param {number} scale */
  #drawLines(corners, [x, y], scale) {
    const { context } = this;
    context.beginPath();
    corners.forEach(([cornerX, cornerY], i) => (i ? context.lineTo(cornerX, cornerY) : context.moveTo(cornerX, cornerY)));
    context.closePath();
    context.lineWidth = 4 / scale;
    context.strokeStyle = '#2fe0b5';
    context.stroke();
    const arm = 16 / scale;
    context.beginPath();
    context.moveTo(x - arm, y);
    context.lineTo(x + arm, y);
    context.moveTo(x, y - arm);
    context.lineTo(x, y + arm);
    context.lineWidth = 2 / scale;
    context.strokeStyle = '#ffffff';
    context.stroke();
  }

  /** The glass sits in the upper corner that is away from the finger. @param {Point} point @param {HTMLElement} stage */
  #moveAside([x, y], stage) {
    const size = this.canvas.clientWidth;
    const inTheWay = x < stage.clientWidth / 2 && y < size + 4 * GAP;
    const left = inTheWay || (x < stage.clientWidth / 2 && x < size + 4 * GAP) ? stage.clientWidth - size - GAP : GAP;
    this.canvas.style.transform = `translate(${left}px, ${GAP}px)`;
  }
}
