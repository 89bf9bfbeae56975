// Shapes that depend on data: the plan is cut there, the rest is planned for the sizes found, empty ones included.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createEngine } from '../../static/runtime/engine.js';
import { loadOperators } from '../../static/runtime/ops/index.js';
import { stagesOf } from '../../static/runtime/plan_stages.js';
import { kernels } from './cases.js';

/** @typedef {import('../../static/runtime/plan.js').Graph} Graph */
/** @typedef {import('../../static/runtime/plan.js').Weights} Weights */

const wasm = await kernels();
const FUSE = { fuse_activation: '', fuse_alpha: 0, fuse_beta: 0 };

/** @param {string} type @param {Record<string, string[]>} inputs @param {string|string[]} out @param {Record<string, any>} [attrs] */
const op = (type, inputs, out, attrs = {}) => ({ type, inputs, outputs: { Out: [out].flat() }, attrs });

/** @param {Record<string, [(number|string)[], string]>} inputs @param {Graph['ops']} ops @param {string[]} outputs @returns {Graph} */
const graphOf = (inputs, ops, outputs) => ({
  vars: new Map(), ops, inputs: Object.entries(inputs).map(([name, [shape, dtype]]) => ({ name, shape, dtype })),
  outputs: outputs.map((name) => ({ name, shape: ['?'], dtype: 'float32' })),
});

/** Rows of x whose mask is set, through gather, arithmetic, layout and concat. @returns {Graph} */
const rows = () => graphOf({ x: [['n', 3], 'float32'], mask: [['n'], 'bool'] }, [
  op('relu', { X: ['x'] }, 'r'),
  op('where_index', { Condition: ['mask'] }, 'at'),
  op('squeeze2', { X: ['at'] }, 'flat', { axes: [1] }),
  op('gather', { X: ['r'], Index: ['flat'] }, 'g', { axis: 0 }),
  op('elementwise_add', { X: ['g'], Y: ['g'] }, 'd', { axis: -1, ...FUSE }),
  op('transpose2', { X: ['d'] }, 't', { axis: [1, 0] }),
  op('reshape2', { X: ['t'] }, 's', { shape: [-1, 3] }),
  op('concat', { X: ['s', 'r'] }, 'c', { axis: 0 }),
  op('shape', { Input: ['g'] }, 'size', { out_dtype: 'int32' }),
], ['c', 'size', 'at', 'x']);

/** @param {number[]} mask */
function feedsOf(mask) {
  return { x: { data: Float32Array.from({ length: mask.length * 3 }, (_, i) => i - 2), shape: [mask.length, 3] }, mask: { data: Uint8Array.from(mask), shape: [mask.length] } };
}

/** @param {number[]} mask */
function expected(mask) {
  const x = [...feedsOf(mask).x.data], relu = x.map((v) => Math.max(v, 0)), at = mask.flatMap((on, i) => (on ? [i] : []));
  const columns = [0, 1, 2].flatMap((c) => at.map((i) => 2 * relu[3 * i + c]));
  return { c: [...columns, ...relu], size: [at.length, 3], at: at.map(BigInt), x };
}

test('the graph is cut only where shapes depend on data', async () => {
  const graph = rows(), stages = stagesOf(graph, await loadOperators(graph.ops.map(({ type }) => type)));
  assert.deepEqual(stages.map(({ ops, hosts }) => [ops.map(({ type }) => type), hosts.map(({ type }) => type)]), [
    [['relu'], ['where_index']], [['squeeze2', 'gather', 'elementwise_add', 'transpose2', 'reshape2', 'concat', 'shape'], []]]);
  assert.deepEqual(stages.map(({ reads, writes }) => [reads, writes]), [[['x'], ['r']], [['at', 'r'], ['c', 'size']]]);
  assert.equal(stagesOf({ ...graph, ops: graph.ops.slice(0, 1), outputs: [{ name: 'r', shape: [], dtype: '' }] }, await loadOperators(['relu'])).length, 1);
});

test('sizes found on the way are planned for, none at all included', async () => {
  const engine = await createEngine(rows(), new Map(), { wasm, poison: true });
  for (const mask of [[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0], [0, 0], [1, 0, 1, 1]]) {
    const out = await engine.run(feedsOf(mask)), want = expected(mask), found = mask.filter(Boolean).length;
    assert.deepEqual([...out.c.data], want.c);
    assert.deepEqual([[...out.size.data], [...out.at.data], [...out.x.data]], [want.size, want.at, want.x]);
    assert.deepEqual([out.c.shape, out.at.shape], [[found + mask.length, 3], [found, 1]]);
  }
});

test('memory settles though the sizes found keep changing, and outputs are the caller\'s', async () => {
  const engine = await createEngine(rows(), new Map(), { wasm });
  const masks = Array.from({ length: 16 }, (_, i) => [i & 1, i & 2, i & 4, i & 8].map(Boolean).map(Number));
  for (const mask of masks) await engine.run(feedsOf(mask));
  const { bytes } = engine.memory(), feeds = feedsOf([1, 0, 0, 1]), first = await engine.run(feeds), copy = first.c.data.slice();
  for (let i = 0; i < 64; i++) await engine.run(feedsOf(masks[i % 16]));
  assert.equal(engine.memory().bytes, bytes);
  assert.deepEqual(first.c.data, copy);
  first.x.data[0] = 99;
  assert.equal(feeds.x.data[0], -2);
});

test('shapes known from shapes alone stay known behind the cut', async () => {
  const graph = graphOf({ x: [['n', 'k'], 'float32'] }, [
    op('shape', { Input: ['x'] }, 's', { out_dtype: 'int32' }),
    op('slice', { Input: ['s'] }, 'k', { axes: [0], starts: [1], ends: [2], decrease_axis: [] }),
    op('fill_constant', {}, 'all', { shape: [1], value: -1, dtype: 'int32' }),
    op('concat', { X: ['all', 'k'] }, 'want', { axis: 0 }),
    op('relu', { X: ['x'] }, 'r'), op('cast', { X: ['r'] }, 'b', { out_dtype: 'bool' }),
    op('masked_select', { X: ['x'], Mask: ['b'] }, 'm'),
    op('concat', { X: ['m', 'm', 'm'] }, 'm3', { axis: 0 }),
    op('reshape2', { X: ['m3'], Shape: ['want'] }, 'y', { shape: [] }),
  ], ['y']);
  const engine = await createEngine(graph, new Map(), { wasm });
  const run = async (/** @type {number[]} */ x) => (await engine.run({ x: { data: Float32Array.from(x), shape: [x.length / 3, 3] } })).y;
  const some = await run([1, -1, 2, -2, 3, -3]), none = await run([-1, -1, -1]);
  assert.deepEqual([some.shape, [...some.data]], [[3, 3], [1, 2, 3, 1, 2, 3, 1, 2, 3]]);
  assert.deepEqual([none.shape, [...none.data]], [[0, 3], []]);
});

test('what has no result on nothing is refused, naming the operator; the engine lives on', async () => {
  const graph = graphOf({ x: [['n'], 'float32'], mask: [['n'], 'bool'] }, [
    op('masked_select', { X: ['x'], Mask: ['mask'] }, 'm'), op('reduce_max', { X: ['m'] }, 'y', { dim: [0], keep_dim: true, reduce_all: false })], ['y']);
  const engine = await createEngine(graph, new Map(), { wasm }), x = { data: Float32Array.of(3, 5), shape: [2] };
  await assert.rejects(engine.run({ x, mask: { data: Uint8Array.of(0, 0), shape: [2] } }), { code: 'invalid_input', message: /reduce_max \(y\)/ });
  assert.deepEqual([...(await engine.run({ x, mask: { data: Uint8Array.of(1, 1), shape: [2] } })).y.data], [5]);
});

test('boxes that do not fit their scores are refused at run time', async () => {
  const attrs = { score_threshold: 0, nms_top_k: -1, keep_top_k: -1, nms_threshold: 0.5, nms_eta: 1, normalized: true, background_label: -1 };
  const graph = graphOf({ b: [[1, 'm', 4], 'float32'], s: [[1, 1, 'k'], 'float32'] }, [op('multiclass_nms', { BBoxes: ['b'], Scores: ['s'] }, 'y', attrs)], ['y']);
  const engine = await createEngine(graph, new Map(), { wasm });
  await assert.rejects(engine.run({ b: { data: new Float32Array(8), shape: [1, 2, 4] }, s: { data: new Float32Array(3), shape: [1, 1, 3] } }),
    { code: 'invalid_input', message: /multiclass_nms \(y\)/ });
});

test('a small tensor may decide on shapes, through arithmetic; one too large may not', async () => {
  const graph = graphOf({ x: [['n'], 'float32'], k: [['m'], 'int32'], noise: [[2], 'float32'] }, [
    op('scale', { X: ['k'] }, 'twice', { scale: 2, bias: 0, bias_after_scale: true }),
    op('slice', { Input: ['x'], EndsTensor: ['twice'] }, 's', { axes: [0], starts: [0], ends: [0], decrease_axis: [] }),
    op('reduce_sum', { X: ['noise'] }, 'total', { dim: [0], keep_dim: true, reduce_all: false }),
    op('elementwise_add', { X: ['s'], Y: ['total'] }, 'y', { axis: -1, ...FUSE }),
  ], ['y']);
  const engine = await createEngine(graph, new Map(), { wasm }), x = { data: Float32Array.of(1, 2, 3, 4, 5), shape: [5] };
  const run = async (/** @type {number[]} */ k, /** @type {number} */ noise) => (await engine.run({
    x, k: { data: Int32Array.from(k), shape: [k.length] }, noise: { data: Float32Array.of(noise, noise), shape: [2] } })).y;
  for (const [k, noise] of [[1, 0.5], [2, 0.5], [2, 1], [1, 2]]) {
    assert.deepEqual([...(await run([k], noise)).data], [...x.data.slice(0, 2 * k)].map((v) => v + 2 * noise));
  }
  await assert.rejects(run(new Array(65).fill(1), 0), { code: 'unsupported', message: /decides on shapes/ });
});
