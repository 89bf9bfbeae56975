// Planning: shapes, host values, aliases, memory, and what is refused.
import assert from 'node:assert/strict';
import test from 'node:test';
import { loadOperators } from '../../static/runtime/ops/index.js';
import { merge, ordered } from '../../static/runtime/ops/layout/move.js';
import { merged } from '../../static/runtime/ops/binary/index.js';
import { makePlan, problemsOfGraph } from '../../static/runtime/plan.js';
import { layOut } from '../../static/runtime/plan_memory.js';
import { random } from './cases.js';

/** @typedef {import('../../static/runtime/plan.js').Graph} Graph */
/** @typedef {import('../../static/runtime/plan_memory.js').ArenaBlock} ArenaBlock */

const RELU = { type: 'relu', attrs: {} };
const ADD = { type: 'elementwise_add', attrs: { axis: -1, fuse_activation: '', fuse_alpha: 0, fuse_beta: 0 } };

/**
 * A graph from lines [type+attrs, inputs by slot, output names].
 * @param {Record<string, (number|string)[]>} inputs
 * @param {[{type: string, attrs: Record<string, any>}, Record<string, string[]>, string[]][]} ops
 * @param {string[]} outputs
 * @returns {Graph}
 */
function graphOf(inputs, ops, outputs) {
  return {
    vars: new Map(), inputs: Object.entries(inputs).map(([name, shape]) => ({ name, shape, dtype: 'float32' })),
    outputs: outputs.map((name) => ({ name, shape: ['?'], dtype: 'float32' })),
    ops: ops.map(([op, slots, out]) => ({ ...op, inputs: slots, outputs: { Out: out } })),
  };
}

/** @param {Graph} graph @param {Record<string, number[]>} shapes @param {object} [options] */
async function plan(graph, shapes, options) {
  return makePlan(graph, shapes, await loadOperators(graph.ops.map(({ type }) => type)), new Map(), options);
}

test('a chain of elementwise operators runs in place', async () => {
  const made = await plan(graphOf({ x: ['n', 16] }, [[RELU, { X: ['x'] }, ['a']], [RELU, { X: ['a'] }, ['b']]], ['b']), { x: [4, 16] });
  assert.equal(made.arenaBytes, 4 * 16 * 4);
  assert.deepEqual(made.inputs[0].at, made.outputs[0].at);
});

test('a value that is still needed is not overwritten', async () => {
  const graph = graphOf({ x: [64] }, [[RELU, { X: ['x'] }, ['a']], [ADD, { X: ['x'], Y: ['a'] }, ['b']]], ['b', 'x']);
  const made = await plan(graph, { x: [64] });
  assert.notDeepEqual(made.steps[0].args[0], made.steps[0].args[1]);
  assert.notDeepEqual(made.outputs[0].at, made.outputs[1].at);
});

test('reshapes and contiguous slices cost no step', async () => {
  const reshape = { type: 'reshape2', attrs: { shape: [0, -1] } };
  const slice = { type: 'slice', attrs: { axes: [0], starts: [1], ends: [3], decrease_axis: [] } };
  const made = await plan(graphOf({ x: [4, 2, 8] }, [[reshape, { X: ['x'] }, ['a']], [slice, { Input: ['a'] }, ['b']]], ['b']), { x: [4, 2, 8] });
  assert.equal(made.steps.length, 0);
  assert.deepEqual(made.outputs[0], { name: 'b', dtype: 'float32', shape: [2, 16], at: { arena: 64 }, known: false });
});

test('shape arithmetic is done by the plan', async () => {
  const shape = { type: 'shape', attrs: { out_dtype: 'int32' } };
  const slice = { type: 'slice', attrs: { axes: [0], starts: [2], ends: [4], decrease_axis: [] } };
  const half = { type: 'scale', attrs: { scale: 2, bias: 0, bias_after_scale: true } };
  const resize = { type: 'nearest_interp_v2', attrs: { out_h: 0, out_w: 0, scale: [], align_corners: false, align_mode: 1, data_layout: 'NCHW' } };
  const graph = graphOf({ x: [1, 1, 'h', 'w'] }, [
    [shape, { Input: ['x'] }, ['s']], [slice, { Input: ['s'] }, ['t']], [half, { X: ['t'] }, ['u']],
    [resize, { X: ['x'], OutSize: ['u'] }, ['y']]], ['y', 'u']);
  const made = await plan(graph, { x: [1, 1, 3, 5] });
  assert.deepEqual(made.steps.map(({ kernel }) => kernel), ['remap']);
  assert.deepEqual(made.outputs[0].shape, [1, 1, 6, 10]);
  assert.ok('data' in made.outputs[1].at);
  assert.deepEqual([...new Int32Array(made.data.slice(made.outputs[1].at.data, made.outputs[1].at.data + 8).buffer)], [6, 10]);
});

test('operators that no output needs are left out', async () => {
  const made = await plan(graphOf({ x: [8] }, [[RELU, { X: ['x'] }, ['a']], [RELU, { X: ['x'] }, ['b']]], ['b']), { x: [8] });
  assert.equal(made.steps.length, 1);
});

test('a plan is plain data', async () => {
  const made = await plan(graphOf({ x: [8] }, [[RELU, { X: ['x'] }, ['a']]], ['a']), { x: [8] });
  assert.deepEqual(structuredClone(made), made); // functions and classes would not survive
});

/** Two ways down by two and up again, which meet only if the size is even. */
const MEETS = () => {
  const pool = { type: 'pool2d', attrs: {
    pooling_type: 'max', ksize: [2, 2], strides: [2, 2], paddings: [0, 0, 0, 0], ceil_mode: false, exclusive: true, adaptive: false,
    global_pooling: false, padding_algorithm: 'EXPLICIT', data_format: 'NCHW' } };
  const resize = { type: 'nearest_interp_v2', attrs: { out_h: -1, out_w: -1, scale: [2, 2], align_corners: false, align_mode: 1, data_layout: 'NCHW' } };
  return graphOf({ image: [1, 3, 'h', 'w'] }, [[pool, { X: ['image'] }, ['p']], [resize, { X: ['p'] }, ['q']], [ADD, { X: ['image'], Y: ['q'] }, ['y']]], ['y']);
};

test('a size that the graph forbids is refused by input and dimension, with one that fits', async () => {
  await assert.rejects(plan(MEETS(), { image: [1, 3, 8, 7] }), (/** @type {any} */ error) => {
    assert.equal(error.code, 'invalid_input');
    assert.match(error.message, /dimension 3 of input "image" \(7\)/);
    assert.match(error.message, /"image" \[1, 3, 8, 8\] would fit/);
    return true;
  });
  await assert.rejects(plan(MEETS(), { image: [1, 3, 9, 7] }), /dimension 2 of input "image" \(9\) and dimension 3 of input "image" \(7\)/);
  assert.deepEqual((await plan(MEETS(), { image: [1, 3, 8, 6] })).outputs[0].shape, [1, 3, 8, 6]);
});

test('wrong ranks and fixed dimensions are refused by name', async () => {
  await assert.rejects(plan(MEETS(), { image: [3, 8, 8] }), /Input "image" has rank 4, not 3/);
  await assert.rejects(plan(MEETS(), { image: [1, 4, 8, 8] }), /Dimension 1 of input "image" is 3, not 4/);
  await assert.rejects(plan(MEETS(), {}), /No shape is given for input "image"/);
});

test('working memory past the limit is refused before it is asked for', async () => {
  await assert.rejects(plan(MEETS(), { image: [1, 3, 256, 256] }, { maxArenaBytes: 2 ** 20 }), { code: 'out_of_memory' });
});

test('a shape that depends on data is refused', async () => {
  const reshape = { type: 'reshape2', attrs: { shape: [] } };
  const graph = graphOf({ x: [4], s: [1] }, [[reshape, { X: ['x'], Shape: ['s'] }, ['y']]], ['y']);
  graph.inputs[1].dtype = 'int32';
  await assert.rejects(plan(graph, { x: [4], s: [1] }), { code: 'unsupported' });
});

test('everything that a graph lacks is named at once', async () => {
  const graph = graphOf({ x: [4] }, [
    [{ type: 'warp_drive', attrs: {} }, { X: ['x'] }, ['a']], [{ type: 'relu', attrs: { speed: 9 } }, { X: ['a'] }, ['b']],
    [{ type: 'leaky_relu', attrs: {} }, { X: ['b'] }, ['c']], [{ type: 'softmax', attrs: { axis: 0 } }, { Y: ['c'] }, ['d']]], ['d']);
  graph.vars.set('b', { name: 'b', shape: [4], dtype: 'int8', persistable: false });
  const problems = problemsOfGraph(graph, await loadOperators(graph.ops.map(({ type }) => type)));
  assert.deepEqual(problems.map(({ type, reason, where }) => `${type} ${where}: ${reason}`), [
    'warp_drive a: this operator is not supported', 'relu b: attribute speed is unknown', 'leaky_relu c: attribute alpha is missing',
    'leaky_relu c: input X of type int8 is not supported', 'softmax d: input Y is unknown', 'softmax d: input X is missing',
  ]);
});

test('blocks that live at the same time never overlap, and memory is reused', () => {
  const next = random(3);
  for (let round = 0; round < 30; round++) {
    /** @type {ArenaBlock[]} */
    const blocks = Array.from({ length: 60 }, (_, i) => (
      { kind: 'arena', key: '', into: null, at: 0, bytes: 1 + Math.floor((next() + 1) * 500), first: i, last: i + Math.floor((next() + 1) * 3) }));
    const total = layOut(blocks);
    for (const p of blocks) {
      assert.equal(p.at % 64, 0);
      assert.ok(p.at + p.bytes <= total);
      for (const q of blocks) {
        if (p === q || p.last < q.first || q.last < p.first) continue;
        assert.ok(p.at + p.bytes <= q.at || q.at + q.bytes <= p.at, 'two living blocks overlap');
      }
    }
    assert.ok(total < blocks.reduce((sum, { bytes }) => sum + bytes, 0) / 3);
  }
});

test('loops are joined only where they run on', () => {
  assert.deepEqual(merge({ dims: [2, 3, 4], ss: [12, 4, 1], ds: [12, 4, 1] }), { dims: [24], ss: [1], ds: [1] });
  assert.deepEqual(merge({ dims: [2, 1, 4], ss: [8, 9, 1], ds: [4, 4, 1] }), { dims: [2, 4], ss: [8, 1], ds: [4, 1] });
  assert.deepEqual(ordered({ dims: [5, 6, 7], ss: [1, 35, 5], ds: [42, 7, 1] }), { dims: [6, 5, 7], ss: [35, 1, 5], ds: [7, 42, 1] });
  assert.deepEqual(merged({ dims: [2, 3, 4, 5], xs: [60, 20, 5, 1], ys: [0, 1, 0, 0] }), { dims: [2, 3, 20], xs: [60, 20, 1], ys: [0, 1, 0] });
});
