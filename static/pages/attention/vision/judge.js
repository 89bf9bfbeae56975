// Whether a place is a face, by two opinions: the detector's, who saw the whole picture, and the face head's, who looked
// again at a crop. Fitted on the training split and on pictures without a face (training/faces/judge.py).
import { sigmoid } from './cells.js';

/**
 * @typedef {object} Judgement
 * @property {number} detector weight of the logarithm of the odds that the detector gives
 * @property {number} head the same of the head's
 * @property {number} bias
 * @property {number} sure the head's are taken as at most this far from 0
 * @property {number} look lowest score of the detector that the two were fitted for: with less, few are faces
 */

/** @param {number} score 0..1, ends excluded */
const odds = (score) => Math.log(score / (1 - score));

/**
 * @param {Judgement} judge @param {number} score 0..1 of the detector @param {number} head logarithm of the head's odds
 * @returns {number} 0..1
 */
export function judgedScore(judge, score, head) {
  const second = Math.max(-judge.sure, Math.min(judge.sure, head));
  return sigmoid(judge.detector * odds(score) + judge.head * second + judge.bias);
}

/**
 * The lowest score of the detector that is worth a look of the head: what even the surest head could not lift to the
 * limit is not; nor is what is below `look`, unless the limit itself is for the unsure (below a half).
 * @param {Judgement} judge @param {number} least 0..1
 * @returns {number}
 */
export function worthALook(judge, least) {
  const reachable = sigmoid((odds(least) - judge.bias - judge.head * judge.sure) / judge.detector);
  return Math.max(reachable, judge.look * Math.min(1, 2 * least));
}
