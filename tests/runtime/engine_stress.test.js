// Random graphs: reusing memory, sharing it between views and working in place must not change any result.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createEngine } from '../../static/runtime/engine.js';
import { count } from '../../static/runtime/ops/node.js';
import { kernels, random } from './cases.js';

/** @typedef {import('../../static/runtime/plan.js').Graph} Graph */
/** @typedef {{name: string, shape: number[]}} Made */
/** @typedef {(x: Made, pick: (n: number) => number, all: Made[]) => {type: string, inputs: Record<string, string[]>,
 *   attrs: Record<string, any>, shapes: number[][]}|null} Maker */

const wasm = await kernels();
const NO_FUSE = { fuse_activation: '', fuse_alpha: 0, fuse_beta: 0 };

/** @param {string} type @param {Made} x @param {Record<string, any>} attrs @param {number[][]} shapes */
const unary = (type, x, attrs, shapes = [x.shape]) => ({ type, inputs: { X: [x.name] }, attrs, shapes });

/** @type {Maker[]} */
const MAKERS = [
  (x) => unary('relu', x, {}),
  (x) => unary('scale', x, { scale: 0.7, bias: 0.1, bias_after_scale: true }),
  (x) => unary('softmax', x, { axis: -1 }),
  (x, pick) => {
    const axis = pick(2) ? [0, 2, 1] : [1, 0, 2];
    return unary('transpose2', x, { axis }, [axis.map((a) => x.shape[a])]);
  },
  (x) => unary('reshape2', x, { shape: [x.shape[1], x.shape[0], x.shape[2]] }, [[x.shape[1], x.shape[0], x.shape[2]]]),
  (x, pick, all) => {
    const y = all.filter((other) => other.shape.join() === x.shape.join())[pick(2)] ?? x;
    return { type: 'elementwise_sub', inputs: { X: [x.name], Y: [y.name] }, attrs: { axis: -1, ...NO_FUSE }, shapes: [x.shape] };
  },
  (x) => (x.shape[0] < 2 ? null : {
    type: 'slice', inputs: { Input: [x.name] }, attrs: { axes: [0], starts: [1], ends: [x.shape[0]], decrease_axis: [] },
    shapes: [[x.shape[0] - 1, x.shape[1], x.shape[2]]],
  }),
  (x, pick, all) => { // x plus one row of something as wide: a view of x, when it is a slice of it
    const y = all.filter((other) => other.shape[0] === 1 && other.shape[1] === x.shape[1] && other.shape[2] === x.shape[2])[0];
    return y ? { type: 'elementwise_add', inputs: { X: [x.name], Y: [y.name] }, attrs: { axis: -1, ...NO_FUSE }, shapes: [x.shape] } : null;
  },
  (x) => (x.shape[0] % 2 ? null : unary('split', x, { axis: 0, num: 2, sections: [] }, [0, 1].map(() => [x.shape[0] / 2, x.shape[1], x.shape[2]]))),
  (x) => (count(x.shape) > 2000 ? null : {
    type: 'concat', inputs: { X: [x.name, x.name] }, attrs: { axis: 1 }, shapes: [[x.shape[0], 2 * x.shape[1], x.shape[2]]],
  }),
  (x) => unary('reduce_mean', x, { dim: [1], keep_dim: true, reduce_all: false }, [[x.shape[0], 1, x.shape[2]]]),
  (x) => ({ type: 'matmul_v2', inputs: { X: [x.name], Y: [x.name] }, attrs: { trans_x: false, trans_y: true }, shapes: [[x.shape[0], x.shape[1], x.shape[1]]] }),
];

/** @param {number} seed @returns {Graph & {made: Made[]}} */
function randomGraph(seed) {
  const next = random(seed), pick = (/** @type {number} */ n) => Math.min(n - 1, Math.floor((next() + 1) / 2 * n));
  /** @type {Made[]} */
  const made = [{ name: 'x', shape: [4, 3, 5] }];
  /** @type {Graph['ops']} */
  const ops = [];
  while (ops.length < 25) {
    const x = made[Math.max(0, made.length - 1 - pick(6))], op = MAKERS[pick(MAKERS.length)](x, pick, made);
    if (!op) continue;
    const names = op.shapes.map((_, i) => `v${ops.length}_${i}`);
    names.forEach((name, i) => made.push({ name, shape: op.shapes[i] }));
    ops.push({ type: op.type, inputs: op.inputs, outputs: { Out: names }, attrs: op.attrs });
  }
  return { vars: new Map(), ops, inputs: [info(made[0])], outputs: [], made };
}

/** @param {Made} made */
const info = ({ name, shape }) => ({ name, shape, dtype: 'float32' });

test('results do not depend on which memory is reused', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const graph = randomGraph(seed), last = graph.made.slice(-3), x = { data: Float32Array.from({ length: 60 }, random(seed)), shape: [4, 3, 5] };
    const tight = await createEngine({ ...graph, outputs: last.map(info) }, new Map(), { wasm, poison: true });
    const loose = await createEngine({ ...graph, outputs: graph.made.map(info) }, new Map(), { wasm, poison: true }); // every value lives for ever
    const [got, want] = [await tight.run({ x }), await loose.run({ x })];
    for (const { name, shape } of last) {
      assert.deepEqual(got[name].shape, shape);
      assert.deepEqual(got[name].data, want[name].data, `seed ${seed}, ${name}`);
      assert.ok(Array.from(got[name].data, Number).every((v) => !Number.isNaN(v)), `seed ${seed}: ${name} was read before it was written`);
    }
  }
});
