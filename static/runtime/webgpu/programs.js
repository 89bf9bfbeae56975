// Which shaders compute a step.
import { conv } from './kernels/conv.js';
import { map, move } from './kernels/elements.js';
import { pool, resize } from './kernels/planes.js';
import { matmul, norm, reduce, softmax } from './kernels/rows.js';

/** @typedef {import('../gpu/step.js').Step} Step */
/** @typedef {import('./kernels/conv.js').FormatOf} FormatOf */

/**
 * @param {Step} step @param {FormatOf} formatOf @param {import('./kernel.js').Format} weights
 * @returns {import('./kernel.js').Program[]} in order
 */
export function programsOf(step, formatOf, weights) {
  switch (step.kind) {
    case 'conv': case 'deconv': return conv(step, formatOf, weights);
    case 'pool': return pool(step, formatOf);
    case 'resize': return resize(step, formatOf);
    case 'map': return map(step, formatOf);
    case 'move': return move(step, formatOf);
    case 'matmul': return matmul(step, formatOf);
    case 'softmax': return softmax(step, formatOf);
    case 'norm': return norm(step, formatOf);
    case 'reduce': return reduce(step, formatOf);
  }
}
