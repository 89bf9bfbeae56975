// Finds faces and says where they look: the detector on the whole picture, the face head on a crop of each face, the
// upper body where posture is asked for. Everything runs on this device; nothing of a picture is kept between calls.

import { PixelReader, drawableSize, isPixels } from '../../media/image.js';
import { InPageError, load as loadBundle } from '../../runtime/index.js';
import { Models, checkSignal } from './models.js';
import { decodeCells, sigmoid } from './vision/cells.js';
import { decodeHead } from './vision/head.js';
import { judgedScore, worthALook } from './vision/judge.js';
import { decodeJoints, squareOfBody } from './vision/joints.js';
import { cropInto, fitTo, squareAround } from './vision/sample.js';

/** @typedef {import('./vision/cells.js').Found} Found */
/** @typedef {import('./vision/cells.js').Point} Point */
/** @typedef {import('./vision/head.js').Pose} Pose */
/** @typedef {import('./vision/joints.js').Joints} Joints */
/** @typedef {import('./vision/judge.js').Judgement} Judgement */
/** @typedef {import('./vision/sample.js').Pixels} Pixels */
/** @typedef {import('../../media/image.js').ImageSource} ImageSource */
/** @typedef {import('../../media/image.js').Drawable} Drawable */
/** @typedef {import('../../runtime/index.js').Model} Model */
/** @typedef {NonNullable<import('../../runtime/index.js').LoadOptions['onProgress']>} OnProgress */
/** @typedef {[number, number, number, number]} Box x, y, width, height in source pixels */
/**
 * @typedef {object} Face everything in source pixels
 * @property {Box} box
 * @property {Point[]} landmarks the person's right eye (left in the picture), left eye, nose, right and left corner of
 *   the mouth
 * @property {number} score 0..1
 * @property {Pose} pose degrees; yaw > 0 towards the right side of the picture, pitch > 0 up, roll > 0 clockwise
 * @property {{left: number, right: number}} eyes openness 0..1 of the person's own left and right eye
 * @property {{left: number, right: number}} eyeWidth pixels; below 20 the openness says little
 * @property {Point[]} points 68 points in iBUG's order
 * @property {number} spread expected mean error of the angles, in degrees: above 12 or so, take the pose as unknown
 */
/** @typedef {{read: number, detect: number, crop: number, head: number}} Times milliseconds of each stage of a call */
/**
 * @typedef {object} FacesOptions
 * @property {number} [side] longer side of what the detector sees: 640 (default; a room) or 320 (one person close by)
 * @property {number} [score] lowest score 0..1 of a face; default: the bundle's. A face's score is the probability that
 *   it is one, by the detector's and the head's judgement together
 * @property {number} [most] that many faces at most, the largest first; default 40
 * @property {AbortSignal} [signal]
 * @property {(times: Times) => void} [onTimes]
 */
/**
 * @typedef {object} Detector
 * @property {(image: ImageSource, options?: FacesOptions) => Promise<Face[]>} detectFaces best score first
 * @property {(image: ImageSource, options?: FacesOptions) => Promise<Found[]>} findFaces the detector alone; its scores are its own
 * @property {(image: ImageSource, boxes: readonly (readonly number[])[], options?: FacesOptions) => Promise<(Face | null)[]>} readFaces
 *   the heads alone, for boxes known from an earlier frame; one answer a box, null where there is no face any more
 * @property {(image: ImageSource, box: readonly number[], options?: {signal?: AbortSignal}) => Promise<Joints>} readUpperBody
 *   nose, shoulders and ears of the person whose face is in the box
 * @property {(options?: {onProgress?: OnProgress, upperBody?: boolean}) => Promise<void>} prepare loads the models;
 *   progress counts all of them together. The upper body's is loaded when it is first needed, or here
 * @property {() => Promise<void>} release frees the models; the next call loads them again
 */

/** Longer side of what is read from a video or canvas: finer than any crop can use. */
const READ_SIDE = 1280;
/** Heads are computed in batches of these sizes only: the runtime keeps a plan for each. */
const BATCHES = [8, 4, 2, 1];
/** Of the detector's scores: what is below is noise, and would only cost time. */
const LOWEST = 0.02;
/** So many places more than faces wanted get a second look, in case that the head refuses some. */
const SPARE = 20;

/**
 * @param {(url: URL, options: {onProgress: OnProgress}) => Promise<Model>} [load]
 * @returns {Detector}
 */
export function createDetector(load = loadBundle) {
  const reader = new PixelReader();
  const models = new Models(load);

  /** @type {Detector['findFaces']} */
  async function findFaces(image, options = {}) {
    const clock = new Clock();
    const frame = await read(reader, image, options.signal);
    clock.stop('read');
    const { alone } = /** @type {{alone: number}} */ ((await models.get('face_detector')).postprocess);
    const found = await detect(models, frame.pixels, options.score ?? alone, options);
    clock.stop('detect');
    options.onTimes?.(clock.times);
    return found.map((face) => toSource(face, frame.scale));
  }

  /** @type {Detector['detectFaces']} */
  async function detectFaces(image, options = {}) {
    const clock = new Clock();
    const frame = await read(reader, image, options.signal);
    clock.stop('read');
    const [judge, least] = await Promise.all([judgement(models), options.score ?? usualScore(models)]);
    const found = await detect(models, frame.pixels, worthALook(judge, least), options);
    clock.stop('detect');
    const faces = await confirmed(models, frame.pixels, found, { judge, least }, clock, options);
    options.onTimes?.(clock.times);
    return faces.sort((a, b) => b.score - a.score).map((face) => toSource(face, frame.scale));
  }

  /** @type {Detector['readFaces']} */
  async function readFaces(image, boxes, options = {}) {
    const clock = new Clock();
    const { pixels, scale } = await read(reader, image, options.signal);
    clock.stop('read');
    const known = boxes.map(([x, y, w, h]) => ({
      box: /** @type {Box} */ ([x / scale[0], y / scale[1], w / scale[0], h / scale[1]]), landmarks: [], score: 1,
    }));
    const faces = await heads(models, pixels, known, clock, options.signal);
    const { face: least } = /** @type {{face: number}} */ ((await models.get('face_head')).postprocess);
    options.onTimes?.(clock.times);
    return faces.map(({ odds, ...face }) => (sigmoid(odds) < least ? null : toSource({ ...face, score: sigmoid(odds) }, scale)));
  }

  /** @type {Detector['readUpperBody']} */
  async function readUpperBody(image, [x, y, w, h], { signal } = {}) {
    const { pixels, scale } = await read(reader, image, signal);
    const { crop, below } = /** @type {{crop: number, below: number}} */ ((await models.get('upper_body')).postprocess);
    const square = squareOfBody([x / scale[0], y / scale[1], w / scale[0], h / scale[1]], crop, below);
    const side = sideOf(await models.get('upper_body'));
    const data = new Float32Array(3 * side * side);
    cropInto(pixels, square, side, data);
    const { joints } = await models.run('upper_body', { data, shape: [1, 3, side, side] }, signal);
    const found = decodeJoints(joints, square);
    for (const joint of Object.values(found)) joint.at = times(joint.at, scale);
    return found;
  }

  return {
    detectFaces, findFaces, readFaces, readUpperBody,
    prepare: ({ onProgress, upperBody = false } = {}) => models.prepare(upperBody, onProgress),
    release: () => models.release(),
  };
}

/** Stage by stage. */
class Clock {
  constructor() {
    this.last = performance.now();
    /** @type {Times} */
    this.times = { read: 0, detect: 0, crop: 0, head: 0 };
  }

  /** @param {keyof Times} stage that ends now */
  stop(stage) {
    const now = performance.now();
    this.times[stage] += now - this.last;
    this.last = now;
  }
}

/** The lowest score of a face, as the detector's bundle says. @param {Models} models @returns {Promise<number>} */
async function usualScore(models) {
  return /** @type {{score: number}} */ ((await models.get('face_detector')).postprocess).score;
}

/**
 * @param {Models} models @param {Pixels} pixels @param {number} least score @param {FacesOptions} options
 * @returns {Promise<Found[]>} in pixels of `pixels`
 */
async function detect(models, pixels, least, { side, signal }) {
  const { postprocess } = await models.get('face_detector');
  const { sides, overlap } = /** @type {{sides: number[], overlap: number}} */ (postprocess);
  const { pixels: small, scale } = fitTo(pixels, side ?? Math.max(...sides));
  const outputs = await models.run('face_detector', small, signal);
  checkSignal(signal);
  return decodeCells(outputs, { score: Math.max(LOWEST, least), overlap }).map((face) => toSource(face, [1 / scale, 1 / scale]));
}

/** @param {Models} models @returns {Promise<Judgement>} */
async function judgement(models) {
  return /** @type {{judge: Judgement}} */ (/** @type {unknown} */ ((await models.get('face_head')).postprocess)).judge;
}

/**
 * What the head, too, takes for faces: the largest first, until there are enough.
 * @param {Models} models @param {Pixels} pixels @param {Found[]} found
 * @param {{judge: Judgement, least: number}} limit lowest score of a face
 * @param {Clock} clock @param {FacesOptions} options
 * @returns {Promise<Face[]>}
 */
async function confirmed(models, pixels, found, { judge, least }, clock, { most = 40, signal }) {
  const waiting = [...found].sort((a, b) => b.box[2] * b.box[3] - a.box[2] * a.box[3]).slice(0, most + SPARE);
  /** @type {Face[]} */
  const faces = [];
  while (faces.length < most && waiting.length) {
    const read = await heads(models, pixels, waiting.splice(0, most - faces.length), clock, signal);
    const judged = read.map(({ odds, ...face }) => ({ ...face, score: judgedScore(judge, face.score, odds) }));
    faces.push(...judged.filter((face) => face.score >= least));
  }
  return faces;
}

/**
 * @param {Models} models @param {Pixels} pixels @param {Found[]} found @param {Clock} clock @param {AbortSignal} [signal]
 * @returns {Promise<(Face & {odds: number})[]>} odds: the logarithm of the head's own that there is a face
 */
async function heads(models, pixels, found, clock, signal) {
  const model = await models.get('face_head');
  const { crop } = /** @type {{crop: number}} */ (model.postprocess);
  const side = sideOf(model), size = 3 * side * side;
  /** @type {(Face & {odds: number})[]} */
  const faces = [];
  for (let first = 0; first < found.length;) {
    const left = found.length - first, count = BATCHES.find((n) => n <= left) ?? 1;
    const squares = found.slice(first, first + count).map(({ box }) => squareAround(box, crop));
    const data = new Float32Array(count * size);
    squares.forEach((square, row) => cropInto(pixels, square, side, data, row * size));
    clock.stop('crop');
    const { pose, points, eyes, trust } = await models.run('face_head', { data, shape: [count, 3, side, side] }, signal);
    checkSignal(signal);
    for (const [row, square] of squares.entries()) {
      const { five, ...reading } = decodeHead({ pose, points, eyes, trust }, row, square);
      const { box, score } = found[first + row];
      faces.push({ box, landmarks: five, score, ...reading });
    }
    first += count;
    clock.stop('head');
  }
  return faces;
}

/** The side of a network's square input. @param {Model} model */
function sideOf({ preprocess, name }) {
  if (!preprocess?.size) throw new InPageError('invalid_model', `The model ${name} does not say how large a crop it takes`);
  return preprocess.size[0];
}

/**
 * The picture's pixels, read once; of a video or canvas no more than READ_SIDE. `scale` leads back to the source's.
 * @param {PixelReader} reader @param {ImageSource} image @param {AbortSignal} [signal]
 * @returns {Promise<{pixels: Pixels, scale: [number, number]}>}
 */
async function read(reader, image, signal) {
  checkSignal(signal);
  if (isPixels(image) || image instanceof Blob) return { pixels: await reader.read(image), scale: [1, 1] };
  const drawable = /** @type {Drawable} */ (image);
  const { width, height } = drawableSize(drawable);
  const shrink = Math.min(1, READ_SIDE / Math.max(width, height));
  const size = { width: Math.max(1, Math.round(width * shrink)), height: Math.max(1, Math.round(height * shrink)) };
  const pixels = reader.draw(drawable, size, 'the picture');
  return { pixels, scale: [width / size.width, height / size.height] };
}

/** @param {Point} at @param {[number, number]} scale @returns {Point} */
const times = ([x, y], [sx, sy]) => [x * sx, y * sy];

/**
 * @template {{box: Box, landmarks: Point[], points?: Point[], eyeWidth?: {left: number, right: number}}} T
 * @param {T} face @param {[number, number]} scale
 * @returns {T} the same in pixels of the source
 */
function toSource(face, scale) {
  if (scale[0] === 1 && scale[1] === 1) return face;
  const [x, y, w, h] = face.box;
  const moved = { ...face, box: [x * scale[0], y * scale[1], w * scale[0], h * scale[1]], landmarks: face.landmarks.map((p) => times(p, scale)) };
  if (face.points) moved.points = face.points.map((p) => times(p, scale));
  if (face.eyeWidth) moved.eyeWidth = { left: face.eyeWidth.left * scale[0], right: face.eyeWidth.right * scale[0] };
  return /** @type {T} */ (moved);
}

/** The page's own detector: the networks in static/models. */
export const { detectFaces, findFaces, readFaces, readUpperBody, prepare, release } = createDetector();
