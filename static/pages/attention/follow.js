// Follows a face between detections: the head's own points say where the face has moved. Pure.

/** @typedef {import('./detect.js').Face} Face */
/** @typedef {import('./detect.js').Box} Box */

/** @param {readonly (readonly number[])[]} points @returns {Box} */
function boundsOf(points) {
  const xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
  const x = Math.min(...xs), y = Math.min(...ys);
  return [x, y, Math.max(1, Math.max(...xs) - x), Math.max(1, Math.max(...ys) - y)];
}

/** How the detector's box lay about the points when both were made from one frame. */
export class Follower {
  /** @param {Face} face as detected */
  constructor(face) {
    const [x, y, w, h] = face.box, [px, py, pw, ph] = boundsOf(face.points);
    const size = Math.sqrt(pw * ph);
    this.dx = (x + w / 2 - px - pw / 2) / size;
    this.dy = (y + h / 2 - py - ph / 2) / size;
    this.w = w / size;
    this.h = h / size;
    this.box = face.box;
  }

  /** @param {Face} face read in the box of the frame before @returns {Box} where the face is now */
  move(face) {
    const [px, py, pw, ph] = boundsOf(face.points), size = Math.sqrt(pw * ph);
    const [w, h] = [this.w * size, this.h * size];
    /** @type {Box} */
    const next = [px + pw / 2 + this.dx * size - w / 2, py + ph / 2 + this.dy * size - h / 2, w, h];
    // a little of the old place, so that the noise of the points does not shake the crop that they are read from
    this.box = /** @type {Box} */ (next.map((value, k) => 0.75 * value + 0.25 * this.box[k]));
    return this.box;
  }
}
