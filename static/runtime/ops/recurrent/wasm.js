// rnn → per layer and direction: fc for the input's share of all steps at once, then recurrent, step by step.
import { actArgs, NONE } from '../activation.js';
import { modeCode, rnnSizes, weightsOf } from './index.js';
import { lower as sequences } from './sequence.js';

/** @param {number} n */
const eights = (n) => Math.ceil(n / 8) * 8;

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = {
  rnn(node, to) {
    const { T, B, I, H, layers, directions, rows } = rnnSizes(node), [out, h, c] = node.outputs;
    const [h0, c0] = node.all('PreState'), weights = weightsOf(node), wide = eights(rows);
    const own = to.scratch(4 * wide), given = to.scratch(4 * T * B * rows);
    /** @type {import('../node.js').Value|import('../node.js').Block} */
    let x = node.x('Input');
    for (let layer = 0; layer < layers; layer++) {
      const y = layer === layers - 1 ? out : to.scratch(4 * T * B * directions * H), K = layer ? directions * H : I;
      for (let direction = 0; direction < directions; direction++) {
        const k = layer * directions + direction, { wIn, wOwn, bIn, bOwn } = weights[k], state = 4 * k * B * H;
        const columns = to.packed(wIn, 'pack_columns', 4 * wide * K, [K, rows, 1, K]);
        const bias = to.packed(bIn, 'pack_columns', 4 * wide, [1, rows, rows, 1]);
        to.emit('fc', [x, columns, bias, null, given, T * B, rows, K, ...actArgs(NONE)], T * B * rows * K);
        to.emit('recurrent', [
          given, to.packed(wOwn, 'pack_columns', 4 * wide * H, [H, rows, 1, H]),
          to.packed(bOwn, 'pack_columns', 4 * wide, [1, rows, rows, 1]), { of: h0, offset: state },
          c0 ? { of: c0, offset: state } : null, node.maybe('SequenceLength'), { of: y, offset: 4 * direction * H },
          { of: h, offset: state }, c ? { of: c, offset: state } : null, own, T, B, H, directions * H,
          modeCode(node.attrs.mode), direction,
        ]);
      }
      x = y;
    }
  },
  ...sequences,
};
