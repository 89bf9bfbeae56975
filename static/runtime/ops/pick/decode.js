// Labels from scores, on the host: ctc_align drops blanks and repeats, crf_decoding finds the best path.
import { FLOAT, INTEGER, elements } from '../dtype.js';
import { ShapeError, unplanned } from '../node.js';

/** @typedef {import('../node.js').HostNode} HostNode */
/** @typedef {import('../node.js').HostTensor} HostTensor */

/** Labels [T,1] → those that are left [K,1], or one -1. @param {HostNode} node @returns {HostTensor[]} */
function align(node) {
  const { data, dtype } = node.x('Input'), { blank, merge_repeated: merge } = node.attrs, labels = Array.from(data, Number);
  const kept = labels.filter((label, t) => label !== blank && !(merge && t > 0 && labels[t - 1] === label));
  const left = kept.length ? kept : [-1];
  return [{ data: elements(left, dtype), shape: [left.length, 1], dtype }];
}

/**
 * Emission [T,C], Transition [2+C,C] (start, end, from-to) → the best path [T,1]; of equals the first.
 * @param {HostNode} node @returns {HostTensor[]}
 */
function viterbi(node) {
  const emission = node.x('Emission'), { data: step, shape } = node.x('Transition'), [T, C] = emission.shape;
  if (emission.shape.length !== 2 || shape.join() !== `${C + 2},${C}`) throw new ShapeError(`scores [${emission.shape}] and transitions [${shape}] do not fit`);
  const given = /** @type {Float32Array} */ (emission.data), way = /** @type {Float32Array} */ (step), back = [];
  let score = Float32Array.from({ length: C }, (_, i) => way[i] + given[i]);
  for (let t = 1; t < T; t++) {
    const from = new Int32Array(C), next = new Float32Array(C);
    for (let j = 0; j < C; j++) {
      let best = -Infinity;
      for (let i = 0; i < C; i++) {
        const s = Math.fround(score[i] + way[(i + 2) * C + j]);
        if (s > best) [best, from[j]] = [s, i];
      }
      next[j] = best + given[t * C + j];
    }
    back.push(from);
    score = next;
  }
  const last = Array.from(score, (s, i) => Math.fround(s + way[C + i])), path = [last.indexOf(Math.max(...last))];
  for (const from of back.reverse()) path.push(from[path[path.length - 1]]);
  return [{ data: elements(path.reverse(), 'int64'), shape: [T, 1], dtype: 'int64' }];
}

/** @type {Record<string, import('../node.js').Rule>} */
export const rules = {
  ctc_align: { attrs: ['blank', 'merge_repeated'], types: { Input: INTEGER }, shape: unplanned, host: align },
  crf_decoding: { attrs: [], types: { Emission: FLOAT, Transition: FLOAT }, shape: unplanned, host: viterbi },
};
