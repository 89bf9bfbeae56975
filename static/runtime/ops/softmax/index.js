// softmax and log_softmax along any axis.
import { FLOAT } from '../dtype.js';
import { axisOf, like } from '../node.js';

/** @type {import('../node.js').Rule} */
const rule = {
  attrs: ['axis'],
  types: { X: FLOAT },
  shape: (node) => {
    axisOf(node.attrs.axis, node.x().shape.length);
    return [like(node.x())];
  },
};

/** @type {Record<string, import('../node.js').Rule>} */
export const rules = { softmax: rule, log_softmax: rule };
