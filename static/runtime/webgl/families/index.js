// Every kind of step and the family that draws it.
import { storageOfValue } from '../shader.js';
import { lacksAct, lacksBinary } from '../functions.js';
import * as conv from './conv.js';
import { matmul, refuses as refusesMatmul } from './matmul.js';
import { map, move, refuses as refusesMove } from './move.js';
import { pool, resize } from './planes.js';
import { norm, reduce, softmax } from './rows.js';

/** @typedef {import('../../gpu/step.js').Step} Step */
/** @typedef {import('../shader.js').Draw} Draw */
/** @typedef {{draws: (step: any) => Draw[], refuses?: (step: any) => string}} Family */

/** @type {Record<string, Family>} */
const FAMILIES = {
  conv,
  deconv: conv,
  pool: { draws: pool },
  resize: { draws: resize },
  map: { draws: map },
  move: { draws: move, refuses: refusesMove },
  matmul: { draws: matmul, refuses: refusesMatmul },
  softmax: { draws: softmax },
  reduce: { draws: reduce },
  norm: { draws: norm },
};

/** @param {Step} step @returns {Draw[]} */
export const drawsOf = (step) => FAMILIES[step.kind].draws(step);

/**
 * Why a step cannot be drawn, or ''.
 * @param {Step} step @param {number} maxCells that a texture may hold
 * @returns {string}
 */
export function refusal(step, maxCells) {
  const family = FAMILIES[step.kind];
  if (!family) return `no shader computes ${step.kind}`;
  for (const value of [...step.x, step.y]) if (storageOfValue(value).cells > maxCells) return `[${value.shape}] is larger than a texture`;
  for (const tail of step.tail) {
    const lacks = tail.fn === 'act' ? lacksAct(tail.act) : lacksBinary(tail.op);
    if (lacks) return lacks;
  }
  return family.refuses?.(step) ?? '';
}
