// The choice of layouts: no fewer elements can be converted, and results do not depend on it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createBackend } from '../../static/runtime/backends/wasm.js';
import { count } from '../../static/runtime/ops/node.js';
import { loadOperators } from '../../static/runtime/ops/index.js';
import { makePlan } from '../../static/runtime/plan.js';
import { kernels, random } from './cases.js';

/** @typedef {import('../../static/runtime/plan.js').Graph} Graph */
/** @typedef {import('../../static/runtime/plan.js').Operators} Operators */
/** @typedef {{name: string, shape: number[]}} Made */

const wasm = await kernels();
const NO_FUSE = { fuse_activation: '', fuse_alpha: 0, fuse_beta: 0 };
const CONV = { strides: [1, 1], paddings: [0, 0, 0, 0], padding_algorithm: 'EXPLICIT', dilations: [1, 1], groups: 1, data_format: 'NCHW', ...NO_FUSE };
const POOL = {
  pooling_type: 'avg', ksize: [2, 2], strides: [2, 2], paddings: [0, 0, 0, 0], ceil_mode: true, exclusive: true, adaptive: false,
  padding_algorithm: 'EXPLICIT', data_format: 'NCHW',
};

/** @param {string} type @param {Record<string, string[]>} inputs @param {number[]} shape @param {object} attrs */
const op = (type, inputs, shape, attrs) => ({ type, inputs, shape, attrs });

/** @type {((x: Made, same: Made, weight: (shape: number[]) => string) => ReturnType<typeof op>|null)[]} */
const MAKERS = [
  (x, _, weight) => op('conv2d', { Input: [x.name], Filter: [weight([7, x.shape[1], 1, 1])] }, [x.shape[0], 7, ...x.shape.slice(2)], CONV),
  (x, _, weight) => op('conv2d', { Input: [x.name], Filter: [weight([8, x.shape[1], 3, 3])] }, [x.shape[0], 8, ...x.shape.slice(2)],
    { ...CONV, paddings: [1, 1, 1, 1], fuse_activation: 'sigmoid' }),
  (x, _, weight) => op('conv2d', { Input: [x.name], Filter: [weight([x.shape[1], 1, 3, 3])] }, x.shape,
    { ...CONV, paddings: [1, 1, 1, 1], groups: x.shape[1] }),
  (x) => op('relu', { X: [x.name] }, x.shape, {}),
  (x) => op('tanh', { X: [x.name] }, x.shape, {}),
  (x, same) => op('elementwise_add', { X: [x.name], Y: [same.name] }, x.shape, { axis: -1, ...NO_FUSE }),
  (x, _, weight) => op('elementwise_mul', { X: [x.name], Y: [weight([x.shape[1], 1, 1])] }, x.shape, { axis: 1, ...NO_FUSE }),
  (x) => op('softmax', { X: [x.name] }, x.shape, { axis: 1 }),
  (x) => op('transpose2', { X: [x.name] }, [x.shape[0], x.shape[1], x.shape[3], x.shape[2]], { axis: [0, 1, 3, 2] }),
  (x) => (x.shape[2] < 3 || x.shape[3] < 3 ? null
    : op('pool2d', { X: [x.name] }, [x.shape[0], x.shape[1], Math.ceil(x.shape[2] / 2), Math.ceil(x.shape[3] / 2)], { ...POOL, global_pooling: false })),
  (x) => op('pool2d', { X: [x.name] }, [x.shape[0], x.shape[1], 1, 1], { ...POOL, global_pooling: true }),
  (x, same) => (x.shape[1] > 20 ? null : op('concat', { X: [x.name, same.name] }, [x.shape[0], 2 * x.shape[1], ...x.shape.slice(2)], { axis: 1 })),
  (x) => (count(x.shape) > 4000 ? null : op('nearest_interp_v2', { X: [x.name] }, [x.shape[0], x.shape[1], 2 * x.shape[2], 2 * x.shape[3]],
    { out_h: 2 * x.shape[2], out_w: 2 * x.shape[3], scale: [], align_corners: false, align_mode: 1, data_layout: 'NCHW' })),
];

/** @param {number} seed @param {number} length @returns {{graph: Graph, weights: Map<string, Float32Array>}} */
function randomNet(seed, length) {
  const next = random(seed), pick = (/** @type {number} */ n) => Math.min(n - 1, Math.floor((next() + 1) / 2 * n));
  const made = [{ name: 'x', shape: [1 + seed % 2, [3, 8, 5][seed % 3], 6, 5] }];
  const graph = /** @type {Graph} */ ({ vars: new Map(), ops: [], inputs: [info(made[0])], outputs: [] });
  /** @type {Map<string, Float32Array>} */
  const weights = new Map();
  const weight = (/** @type {number[]} */ shape) => {
    const name = `w${weights.size}`;
    graph.vars.set(name, { name, shape, dtype: 'float32', persistable: true });
    weights.set(name, Float32Array.from({ length: count(shape) }, () => next() * 0.5));
    return name;
  };
  while (graph.ops.length < length) {
    const x = made[Math.max(0, made.length - 1 - pick(3))], alike = made.filter(({ shape }) => shape.join() === x.shape.join());
    const one = MAKERS[pick(MAKERS.length)](x, alike[pick(alike.length)], weight);
    if (!one) continue;
    const name = `v${graph.ops.length}`;
    made.push({ name, shape: one.shape });
    graph.ops.push({ type: one.type, inputs: one.inputs, outputs: { Out: [name] }, attrs: one.attrs });
  }
  graph.outputs = [info(made[made.length - 1]), info(made[made.length - 3])];
  return { graph, weights };
}

/** @param {Made} made */
const info = ({ name, shape }) => ({ name, shape, dtype: 'float32' });

/** The same operators with other wishes. @param {Operators} operators @param {(wish: string, name: string) => string} change @returns {Operators} */
function withLayouts(operators, change) {
  return new Map([...operators].map(([type, def]) => [type, {
    ...def, layout: (node) => /** @type {any} */ (change(def.layout?.(node) ?? 'plain', node.names[0])),
  }]));
}

/** @param {import('../../static/runtime/plan.js').Plan} plan @returns {number} elements that conversions write or read, whichever are fewer */
const converted = (plan) => plan.steps.filter(({ kernel }) => kernel === 'to_plain' || kernel === 'to_blocked')
  .reduce((sum, { args }) => sum + Number(args[2]) * Number(args[3]) * Number(args[4]), 0);

test('no choice of layouts converts fewer elements', async () => {
  let choices = 0;
  for (let seed = 1; seed <= 40; seed++) {
    const { graph, weights } = randomNet(seed, 9), operators = await loadOperators(graph.ops.map(({ type }) => type));
    const plan = (/** @type {Operators} */ defs) => makePlan(graph, { x: /** @type {number[]} */ (graph.inputs[0].shape) }, defs, weights);
    /** @type {string[]} */
    const free = [];
    const best = converted(plan(withLayouts(operators, (wish, name) => {
      if (wish === 'either') free.push(name);
      return wish;
    })));
    for (let mask = 0; mask < 2 ** free.length; mask++, choices++) {
      const forced = withLayouts(operators, (wish, name) => (wish === 'either' ? (mask >> free.indexOf(name) & 1 ? 'blocked' : 'plain') : wish));
      assert.ok(converted(plan(forced)) >= best, `seed ${seed}: ${converted(plan(forced))} elements instead of ${best}`);
    }
  }
  assert.ok(choices > 200, 'too few choices to prove anything');
});

test('results do not depend on the layout', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const { graph, weights } = randomNet(seed, 14), operators = await loadOperators(graph.ops.map(({ type }) => type));
    const shape = /** @type {number[]} */ (graph.inputs[0].shape), x = Float32Array.from({ length: count(shape) }, random(seed + 99));
    /** @param {Operators} defs */
    const run = async (defs) => {
      const plan = makePlan(graph, { x: shape }, defs, weights), backend = await createBackend(wasm, weights), [prepared] = backend.prepare([plan]);
      const results = plan.outputs.map((out) => new Float32Array(count(out.shape)));
      backend.poison();
      backend.run(prepared, [x], results);
      return results;
    };
    const [got, want] = [await run(operators), await run(withLayouts(operators, () => 'plain'))];
    want.forEach((list, i) => list.forEach((v, k) => (
      assert.ok(Math.abs(got[i][k] - v) <= 1e-4 * Math.max(1, Math.abs(v)), `seed ${seed}, output ${i}, ${k}: ${got[i][k]}, not ${v}`))));
  }
});
