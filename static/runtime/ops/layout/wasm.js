// Operators that move elements → one copy step per move.
import { BYTES } from '../dtype.js';
import { count, fixed } from '../node.js';
import { rules } from './index.js';
import { merge, ordered } from './move.js';

const MAX_RANK = 12; // as in simd.h

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
