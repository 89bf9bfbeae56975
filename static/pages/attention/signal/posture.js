// A hint about posture, for one or two people close to the camera: shoulders against the nose, compared with the person's
// own start. It is geometry of three points in a picture, not a medical statement. Pure.

/** @typedef {import('../vision/joints.js').Joints} Joints */
/** @typedef {'upright' | 'leaning' | 'slumped' | 'unknown'} Posture */
/** @typedef {{height: number, tilt: number, offset: number}} Shape height: of the nose above the shoulder line; offset: of
 *   the nose beside its middle; both in shoulder widths. tilt: of the line, degrees */

const SURE = 0.35;
const LEAN_TILT = 11, LEAN_OFFSET = 0.24, SLUMP = 0.8;
const NEEDED = 5;

/** @param {Joints} joints @returns {Shape | null} null where nose or shoulders are not seen well enough */
export function shapeOf({ nose, left, right }) {
  if (Math.min(nose.sure, left.sure, right.sure) < SURE) return null;
  const [dx, dy] = [left.at[0] - right.at[0], left.at[1] - right.at[1]], width = Math.hypot(dx, dy);
  if (width < 20) return null;
  const [mx, my] = [(left.at[0] + right.at[0]) / 2, (left.at[1] + right.at[1]) / 2];
  // along and across the shoulder line, so that a tilted camera does not count
  const [nx, ny] = [nose.at[0] - mx, nose.at[1] - my];
  const along = (nx * dx + ny * dy) / width, across = (nx * dy - ny * dx) / width;
  const line = (Math.atan2(dy, dx) * 180) / Math.PI;
  return { height: Math.abs(across) / width, tilt: Math.abs(line) > 90 ? line - Math.sign(line) * 180 : line, offset: along / width };
}

/** Learns a person's upright shape from the first shapes, then compares. */
export class PostureWatch {
  constructor() {
    /** @type {Shape[]} */
    this.first = [];
    /** @type {Shape | null} */
    this.upright = null;
  }

  /** Learns anew, with the person's next calibration. */
  forget() {
    this.first = [];
    this.upright = null;
  }

  /** @param {Shape | null} shape @returns {Posture} */
  add(shape) {
    if (!shape) return 'unknown';
    if (!this.upright) {
      this.first.push(shape);
      if (this.first.length < NEEDED) return 'unknown';
      this.upright = { height: median(this.first.map((s) => s.height)), tilt: median(this.first.map((s) => s.tilt)), offset: median(this.first.map((s) => s.offset)) };
    }
    if (shape.height < SLUMP * this.upright.height) return 'slumped';
    const leans = Math.abs(shape.tilt - this.upright.tilt) > LEAN_TILT || Math.abs(shape.offset - this.upright.offset) > LEAN_OFFSET;
    return leans ? 'leaning' : 'upright';
  }
}

/** @param {number[]} numbers */
function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}
