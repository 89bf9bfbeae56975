// rnn: LSTM, GRU or plain RNN over Input [T,B,I], stacked, in one or both directions.
// Out: [T,B,directions*H], then the last hidden state and, for LSTM, the last cell, both [layers*directions,B,H].
import { FLOAT } from '../dtype.js';
import { ShapeError } from '../node.js';
import { rules as sequences } from './sequence.js';

/** @typedef {import('../node.js').OpNode} OpNode */
/** @typedef {import('../node.js').Value} Value */
/** @typedef {{wIn: Value, wOwn: Value, bIn: Value, bOwn: Value}} Weights of one layer and direction */

/** Rows of a weight per hidden unit; the order is the enum of kernel.c. @type {Record<string, number>} */
const GATES = { LSTM: 4, GRU: 3, RNN_TANH: 1, RNN_RELU: 1 };

/** The code of a mode in kernel.c. @param {string} mode */
export const modeCode = (mode) => Object.keys(GATES).indexOf(mode);

/** @param {OpNode} node */
export function rnnSizes(node) {
  const { mode, hidden_size: H, num_layers: layers, is_bidirec: both } = node.attrs, { shape } = node.x('Input');
  const [T, B, I] = shape, directions = both ? 2 : 1;
  if (shape.length !== 3) throw new ShapeError(`it takes [time, batch, features], not [${shape}]`);
  return { T, B, I, H, layers, directions, rows: GATES[mode] * H, states: mode === 'LSTM' ? 2 : 1 };
}

/** @param {Value} value @param {number[]} wanted @param {string} what */
function need({ shape }, wanted, what) {
  if (shape.join() !== wanted.join()) throw new ShapeError(`${what} is [${shape}], not [${wanted}]`);
}

/**
 * The weights in order of layers and, within them, directions; WeightList holds all matrices before all biases.
 * @param {OpNode} node
 * @returns {Weights[]}
 */
export function weightsOf(node) {
  const { I, H, layers, directions, rows } = rnnSizes(node), all = node.all('WeightList'), half = all.length / 2;
  if (half !== 2 * layers * directions) throw new ShapeError(`it has ${all.length} weights, not ${4 * layers * directions}`);
  return Array.from({ length: layers * directions }, (_, k) => {
    const [wIn, wOwn, bIn, bOwn] = [all[2 * k], all[2 * k + 1], all[half + 2 * k], all[half + 2 * k + 1]];
    need(wIn, [rows, k < directions ? I : directions * H], `weight ${2 * k}`);
    need(wOwn, [rows, H], `weight ${2 * k + 1}`);
    need(bIn, [rows], `weight ${half + 2 * k}`);
    need(bOwn, [rows], `weight ${half + 2 * k + 1}`);
    return { wIn, wOwn, bIn, bOwn };
  });
}

/** @type {Record<string, import('../node.js').Rule>} */
export const rules = {
  rnn: {
    attrs: ['mode', 'hidden_size', 'num_layers', 'is_bidirec'],
    types: { Input: FLOAT, PreState: FLOAT, WeightList: FLOAT, 'SequenceLength?': ['int32'] },
    check: ({ attrs }) => (Object.hasOwn(GATES, attrs.mode) ? '' : `mode ${JSON.stringify(attrs.mode)}`),
    shape: (node) => {
      const { T, B, H, layers, directions, states } = rnnSizes(node), state = [layers * directions, B, H];
      const given = node.all('PreState'), lengths = node.maybe('SequenceLength');
      if (given.length !== states) throw new ShapeError(`it has ${given.length} initial states, not ${states}`);
      for (const value of given) need(value, state, 'an initial state');
      if (lengths) need(lengths, [B], 'SequenceLength');
      weightsOf(node);
      return [[T, B, directions * H], ...new Array(states).fill(state)].map((shape) => ({ shape, dtype: 'float32' }));
    },
  },
  ...sequences,
};
