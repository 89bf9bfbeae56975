// softmax and log_softmax → softmax kernel on [outer][n][inner].
import { axisOf, count } from '../node.js';

/** @param {number} log @returns {import('../node.js').Lower} */
const softmax = (log) => (node, to) => {
  const { shape } = node.x(), axis = axisOf(node.attrs.axis, shape.length);
  to.inPlace(node.x(), node.out);
  const sizes = [count(shape.slice(0, axis)), shape[axis] ?? 1, count(shape.slice(axis + 1))];
  to.emit('softmax', [node.x(), node.out, ...sizes, log], 32 * count(shape));
};

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = { softmax: softmax(0), log_softmax: softmax(1) };
