// fluid's lstm (Out: hidden states, cells) and gru over one sequence: its rows are the steps, and hold the input's share
// of the gates.
import { FLOAT } from '../dtype.js';
import { ShapeError } from '../node.js';

/** @typedef {import('../node.js').OpNode} OpNode */
/** @typedef {import('../node.js').Rule} Rule */

const ACTIVATIONS = ['identity', 'sigmoid', 'tanh', 'relu']; // as in sequence.c

/** @param {string[]} names attributes @returns {NonNullable<Rule['check']>} */
const known = (names) => ({ attrs }) => {
  const wrong = names.find((name) => !ACTIVATIONS.includes(attrs[name]));
  return wrong ? `${wrong} ${JSON.stringify(attrs[wrong])}` : '';
};

/** Steps and hidden units. @param {OpNode} node @param {number} gates @param {number} biases @returns {number[]} */
function sizes(node, gates, biases) {
  const x = node.x('Input').shape, w = node.x('Weight').shape, [D] = w;
  if (x.length !== 2 || w.length !== 2 || x[1] !== gates * D || w[1] !== gates * D) throw new ShapeError(`rows [${x}] and weights [${w}] do not fit`);
  for (const [slot, size] of Object.entries({ Bias: biases * D, H0: D, C0: D })) {
    const shape = node.maybe(slot)?.shape ?? [1, size];
    if (shape.join() !== `1,${size}`) throw new ShapeError(`${slot} is [${shape}], not [1,${size}]`);
  }
  return [x[0], D];
}

/** @param {OpNode} node */
const lstmSizes = (node) => sizes(node, 4, node.attrs.use_peepholes ? 7 : 4);

/** @type {Record<string, Rule>} */
export const rules = {
  lstm: {
    attrs: ['use_peepholes', 'is_reverse', 'gate_activation', 'cell_activation', 'candidate_activation'],
    types: { Input: FLOAT, Weight: FLOAT, Bias: FLOAT, 'H0?': FLOAT, 'C0?': FLOAT },
    check: known(['gate_activation', 'cell_activation', 'candidate_activation']),
    shape: (node) => [0, 1].map(() => ({ shape: lstmSizes(node), dtype: 'float32' })),
  },
  gru: {
    attrs: ['is_reverse', 'origin_mode', 'activation', 'gate_activation'],
    types: { Input: FLOAT, Weight: FLOAT, 'Bias?': FLOAT, 'H0?': FLOAT },
    check: known(['activation', 'gate_activation']),
    shape: (node) => [{ shape: sizes(node, 3, 3), dtype: 'float32' }],
  },
};

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = {
  lstm(node, to) {
    const [T, D] = lstmSizes(node), { attrs } = node, [h, c] = node.outputs;
    to.emit('lstm_sequence', [
      node.x('Input'), node.x('Weight'), node.x('Bias'), node.maybe('H0'), node.maybe('C0'), h, c, to.scratch(16 * D), T, D,
      attrs.is_reverse ? 1 : 0, attrs.use_peepholes ? 1 : 0,
      ...['gate_activation', 'cell_activation', 'candidate_activation'].map((name) => ACTIVATIONS.indexOf(attrs[name])),
    ]);
  },
  gru(node, to) {
    const [T, D] = node.out.shape, { attrs } = node;
    to.emit('gru_sequence', [
      node.x('Input'), node.x('Weight'), node.maybe('Bias'), node.maybe('H0'), node.out, to.scratch(16 * D), T, D,
      attrs.is_reverse ? 1 : 0, attrs.origin_mode ? 1 : 0, ACTIVATIONS.indexOf(attrs.gate_activation), ACTIVATIONS.indexOf(attrs.activation),
    ]);
  },
};
