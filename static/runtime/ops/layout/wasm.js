// Operators that move elements → one copy step per move.
import { BYTES } from '../dtype.js';
import { count, fixed } from '../node.js';
import { rules } from './index.js';
import { merge, ordered } from './move.js';

const MAX_RANK = 12; // as in simd.h

/**
 * Whether whole channels move, four by four: then the same elements lie side by side in both layouts.
 * @type {import('../node.js').LayoutRule}
 */
function byFours(node) {
  const all = [...Object.values(node.inputs).flat(), ...node.outputs].filter(({ shape }) => shape.length !== 1);
  const [N, , H, W] = all[0]?.shape ?? [];
  const like = all.length > 0 && all.every(({ shape, weight, host }) => (
    !weight && !host && shape.length === 4 && shape[0] === N && shape[1] % 4 === 0 && shape[2] === H && shape[3] === W));
  if (!like) return 'plain';
  const fours = rules[node.type].moves(node).every((move) => [move.fromAt, move.toAt].every((at) => at % (4 * H * W) === 0));
  return fours ? 'either' : 'plain';
}

/** @type {Record<string, import('../node.js').LayoutRule>} */
export const layouts = Object.fromEntries(['assign', 'concat', 'split', 'slice'].map((type) => [type, byFours]));

/** @type {import('../node.js').Lower} */
function copy(node, to) {
  for (const move of rules[node.type].moves(node)) {
    if (!count(move.dims)) continue;
    const size = BYTES[move.from.dtype], { dims, ss, ds } = ordered(merge(move));
    to.emit('copy', [
      { of: move.from, offset: move.fromAt * size }, { of: move.to, offset: move.toAt * size }, size, dims.length,
      ...[dims, ss, ds].flatMap((list) => fixed(list, MAX_RANK)),
    ]);
  }
}

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = Object.fromEntries(Object.keys(rules).map((type) => [type, copy]));
