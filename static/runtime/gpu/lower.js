// Operators → steps of the GPU's vocabulary, or the reason why they stay on the host.
import { count, ShapeError, UnsupportedError } from '../ops/node.js';
import { elementwise } from './lower/elementwise.js';
import { moves } from './lower/moves.js';
import { rows } from './lower/rows.js';
import { windows } from './lower/windows.js';
import { Draft, StaysError } from './values.js';

/** @typedef {import('../ops/node.js').OpNode} OpNode */
/** @typedef {import('./step.js').Step} Step */
/** @typedef {{steps: Step[], reason: string}} Lowered */

const LOWER = { ...elementwise, ...windows, ...rows, ...moves };

/** Operator types of which at least some are steps on a GPU. @returns {string[]} */
export const gpuTypes = () => Object.keys(LOWER);

/**
 * @param {OpNode} node @param {Draft} draft keeps the values @param {(step: Step) => string} supports
 * @returns {Lowered} no steps where there is a reason
 */
export function lowerNode(node, draft, supports) {
  const lower = Object.hasOwn(LOWER, node.type) ? LOWER[/** @type {keyof typeof LOWER} */ (node.type)] : null;
  if (!lower) return { steps: [], reason: 'the GPU has no such operator' };
  if ([...Object.values(node.inputs).flat(), ...node.outputs].some(({ shape }) => count(shape) === 0)) {
    return { steps: [], reason: 'a GPU holds nothing without elements' };
  }
  draft.where = node.where;
  draft.steps = [];
  try {
    lower(node, draft);
  } catch (error) {
    if (error instanceof StaysError || error instanceof UnsupportedError || error instanceof ShapeError) {
      return { steps: [], reason: error.message };
    }
    throw error;
  }
  const { steps } = draft, reason = steps.map(supports).find(Boolean) ?? '';
  return { steps: reason ? [] : steps, reason };
}
