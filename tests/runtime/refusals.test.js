// What operators refuse: attribute values at load, sizes while planning, indices while running. Also shapes from values.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createEngine, unsupported } from '../../static/runtime/engine.js';
import { kernels } from './cases.js';

/** @typedef {import('../../static/runtime/plan.js').Graph} Graph */
/** @typedef {import('../../static/runtime/tensor.js').Tensor} Tensor */

const wasm = await kernels();

/** @param {Tensor} tensor */
const dtypeOf = ({ data }) => (data instanceof BigInt64Array ? 'int64' : data instanceof Int32Array ? 'int32' : 'float32');

/**
 * A graph of one operator over feeds, one tensor per slot.
 * @param {string} type @param {Record<string, Tensor>} inputs @param {Record<string, any>} attrs @param {number} [outputs]
 * @param {string[]} [constants] slots that are weights
 */
function one(type, inputs, attrs, outputs = 1, constants = []) {
  /** @type {Graph} */
  const graph = { vars: new Map(), ops: [], inputs: [], outputs: [] };
  /** @type {import('../../static/runtime/plan.js').Weights} */
  const weights = new Map();
  /** @type {Record<string, Tensor>} */
  const feeds = {};
  for (const [name, tensor] of Object.entries(inputs)) {
    const info = { name, shape: tensor.shape, dtype: dtypeOf(tensor) };
    if (constants.includes(name)) {
      graph.vars.set(name, { ...info, persistable: true });
      weights.set(name, /** @type {any} */ (tensor.data));
    } else {
      graph.inputs.push(info);
      feeds[name] = tensor;
    }
  }
  const names = Array.from({ length: outputs }, (_, i) => `out${i}`);
  graph.outputs = names.map((name) => ({ name, shape: ['?'], dtype: 'float32' }));
  graph.ops = [{ type, inputs: Object.fromEntries(Object.keys(inputs).map((name) => [name, [name]])), outputs: { Out: names }, attrs }];
  return { graph, weights, feeds };
}

/** @param {number[]} shape */
const floats = (...shape) => ({ data: new Float32Array(shape.reduce((p, q) => p * q, 1)).fill(1), shape });
/** @param {number[]} values */
const longs = (...values) => ({ data: BigInt64Array.from(values, BigInt), shape: [values.length] });

/** @param {ReturnType<typeof one>} made */
const run = async ({ graph, weights, feeds }) => (await createEngine(graph, weights, { wasm })).run(feeds);

test('attribute values that no kernel computes are named at load', async () => {
  const x = floats(1, 1, 2, 2), grid = floats(1, 2, 2, 2);
  const cases = /** @type {[ReturnType<typeof one>, RegExp][]} */ ([
    [one('grid_sampler', { X: x, Grid: grid }, { mode: 'bicubic', padding_mode: 'zeros', align_corners: true }), /mode "bicubic"/],
    [one('grid_sampler', { X: x, Grid: grid }, { mode: 'nearest', padding_mode: 'wrap', align_corners: true }), /padding_mode "wrap"/],
    [one('put_along_axis', { Input: x, Index: longs(0), Value: x }, { Axis: 0, Reduce: 'mean' }), /Reduce "mean"/],
    [one('rnn', { Input: x, PreState: x, WeightList: x }, { mode: 'SRU', hidden_size: 1, num_layers: 1, is_bidirec: false }, 2), /mode "SRU"/],
    [one('pad', { X: floats(3) }, { paddings: [-1, 0], pad_value: 0 }), /paddings \[-1,0\]/],
    [one('roll', { X: x }, { shifts: [1, 2], axis: [0] }), /2 shifts of 1 axes/],
    [one('one_hot_v2', { X: longs(1) }, { depth: 3, dtype: 'uint8' }), /dtype uint8/],
  ]);
  for (const [{ graph }, wanted] of cases) {
    const problems = await unsupported(graph);
    assert.match(problems.map(({ reason }) => reason).join('; '), wanted);
  }
});

test('sizes that do not fit are refused while planning', async () => {
  const cases = /** @type {[ReturnType<typeof one>, RegExp][]} */ ([
    [one('top_k_v2', { X: floats(2, 3) }, { k: 4, axis: -1, largest: true, sorted: true }, 2), /cannot take 4 of 3/],
    [one('gather_nd', { X: floats(2), Index: { data: new Int32Array(2), shape: [1, 2] } }, {}), /does not fit \[2\]/],
    [one('take_along_axis', { Input: floats(2, 2), Index: { data: new Int32Array(3), shape: [3, 1] } }, { Axis: 1 }), /does not fit/],
    [one('scatter', { X: floats(3, 2), Ids: longs(0), Updates: floats(1, 3) }, { overwrite: true }), /Updates is \[1,3\], not \[1,2\]/],
    [one('channel_shuffle', { X: floats(1, 5, 1, 1) }, { groups: 2, data_format: 'NCHW' }), /5 channels/],
    [one('pixel_unshuffle', { X: floats(1, 1, 3, 4) }, { downscale_factor: 2, data_format: 'NCHW' }), /blocks of 2/],
    [one('set_value', { Input: floats(4), ValueTensor: floats(3) },
      { axes: [0], starts: [0], ends: [2], steps: [1], decrease_axes: [] }), /\[3\] does not fit into \[2\]/],
    [one('rnn', { Input: floats(2, 1, 3), PreState: floats(1, 1, 4), WeightList: floats(4, 3) },
      { mode: 'RNN_TANH', hidden_size: 4, num_layers: 1, is_bidirec: false }, 2, ['WeightList']), /1 weights, not 4/],
  ]);
  for (const [made, wanted] of cases) await assert.rejects(run(made), wanted);
});

test('an index outside is an error that names the operator, not a read elsewhere', async () => {
  const x = floats(3, 2);
  const cases = [
    one('gather_nd', { X: x, Index: { data: BigInt64Array.of(3n), shape: [1, 1] } }, {}),
    one('take_along_axis', { Input: x, Index: { data: BigInt64Array.of(2n), shape: [1, 1] } }, { Axis: 1 }),
    one('scatter', { X: x, Ids: longs(-4), Updates: floats(1, 2) }, { overwrite: false }),
    one('one_hot_v2', { X: longs(5) }, { depth: 5, dtype: 'float32' }),
    one('lookup_table_v2', { W: x, Ids: longs(3) }, {}),
  ];
  for (const made of cases) {
    await assert.rejects(run(made), (/** @type {any} */ error) => error.code === 'invalid_input' && error.where.startsWith(made.graph.ops[0].type));
  }
});

test('range counts with numbers that are constants of the model', async () => {
  const { out0 } = await run(one('range', { Start: longs(2), End: longs(11), Step: longs(4) }, {}, 1, ['Start', 'End', 'Step']));
  assert.deepEqual([...out0.data], [2n, 6n, 10n]);
});

test('NaN is the largest when sorting', async () => {
  const x = { data: Float32Array.of(1, NaN, 3, NaN, 2), shape: [5] };
  const up = await run(one('argsort', { X: x }, { axis: 0, descending: false }, 2));
  assert.deepEqual([...up.out1.data], [0n, 4n, 2n, 1n, 3n]);
  const down = await run(one('argsort', { X: x }, { axis: 0, descending: true }, 2));
  assert.deepEqual([...down.out1.data], [1n, 3n, 2n, 4n, 0n]);
});
