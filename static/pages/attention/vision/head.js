// The face head's numbers -> angles, points, eyes.
import { sigmoid } from './cells.js';

/** @typedef {import('./cells.js').Point} Point */
/** @typedef {import('./cells.js').Tensor} Tensor */
/** @typedef {import('./sample.js').Square} Square */
/** @typedef {{yaw: number, pitch: number, roll: number}} Pose degrees; yaw > 0: towards the right side of the picture, pitch > 0: up, roll > 0: clockwise in the picture */
/**
 * @typedef {object} Reading
 * @property {Pose} pose
 * @property {Point[]} five as the detector's landmarks, but finer
 * @property {Point[]} points the 68 of iBUG; 36–41 are the right eye (the person's), 42–47 the left
 * @property {{left: number, right: number}} eyes openness 0..1 of the person's left and right eye
 * @property {{left: number, right: number}} eyeWidth in source pixels: below 20 the openness says little
 * @property {number} odds the logarithm of the odds that the crop shows a face at all
 * @property {number} spread expected mean error of the three angles, in degrees
 */

const FIVE = 5, POINTS = 73;
const DEGREES = 180 / Math.PI;

/**
 * Rotation from its first two columns (Zhou 2019), as Rz(roll) Ry(yaw) Rx(pitch).
 * @param {ArrayLike<number>} six @param {number} [offset]
 * @returns {Pose}
 */
export function poseOf(six, offset = 0) {
  const a = unit([six[offset], six[offset + 1], six[offset + 2]]);
  const raw = [six[offset + 3], six[offset + 4], six[offset + 5]];
  const along = a[0] * raw[0] + a[1] * raw[1] + a[2] * raw[2];
  const b = unit(raw.map((v, i) => v - along * a[i]));
  const cz = a[0] * b[1] - a[1] * b[0];
  return {
    yaw: DEGREES * Math.asin(Math.max(-1, Math.min(1, -a[2]))),
    pitch: DEGREES * Math.atan2(b[2], cz),
    roll: DEGREES * Math.atan2(a[1], a[0]),
  };
}

/** @param {number[]} v */
function unit(v) {
  const length = Math.hypot(...v) || 1;
  return v.map((x) => x / length);
}

/**
 * @param {{pose: Tensor, points: Tensor, eyes: Tensor, trust: Tensor}} outputs of a batch
 * @param {number} row which crop of the batch @param {Square} square where that crop was taken from
 * @returns {Reading} in pixels of the source
 */
export function decodeHead({ pose, points, eyes, trust }, row, square) {
  /** @type {Point[]} */
  const at = [];
  for (let k = 0, i = row * 2 * POINTS; k < POINTS; k++, i += 2) {
    at.push([square.x + (points.data[i] + 0.5) * square.side, square.y + (points.data[i + 1] + 0.5) * square.side]);
  }
  const all = at.slice(FIVE);
  return {
    pose: poseOf(pose.data, 6 * row),
    five: at.slice(0, FIVE),
    points: all,
    eyes: { right: sigmoid(eyes.data[2 * row]), left: sigmoid(eyes.data[2 * row + 1]) },
    eyeWidth: { right: distance(all[36], all[39]), left: distance(all[42], all[45]) },
    odds: trust.data[2 * row],
    spread: Math.exp(Math.min(5, Math.max(-2, trust.data[2 * row + 1]))),
  };
}

/** @param {Point} a @param {Point} b */
const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
