// The engine: plans by shape, fresh outputs, memory that does not grow, typed errors.
import assert from 'node:assert/strict';
import test from 'node:test';
import { compile } from '../../static/runtime/kernels.js';
import { createEngine, openEngine, unsupported } from '../../static/runtime/engine.js';
import { loadOperators } from '../../static/runtime/ops/index.js';
import { makePlan } from '../../static/runtime/plan.js';
import { kernels, random } from './cases.js';

/** @typedef {import('../../static/runtime/plan.js').Graph} Graph */

const wasm = await kernels();
const FUSE = { fuse_activation: '', fuse_alpha: 0, fuse_beta: 0 };
const CONV = {
  strides: [1, 1], paddings: [1, 1, 1, 1], padding_algorithm: 'EXPLICIT', dilations: [1, 1], groups: 1, data_format: 'NCHW', ...FUSE,
  fuse_activation: 'relu',
};

/** A small net with a residual, a squeeze, a concat and a free height and width. @returns {Graph} */
function net() {
  const info = (/** @type {string} */ name, /** @type {(number|string)[]} */ shape) => ({ name, shape, dtype: 'float32' });
  const op = (/** @type {string} */ type, /** @type {Record<string, string[]>} */ inputs, /** @type {string} */ out, /** @type {object} */ attrs) => (
    { type, inputs, outputs: { Out: [out] }, attrs });
  return {
    vars: new Map([['w', { name: 'w', shape: [3, 3, 3, 3], dtype: 'float32', persistable: true }]]),
    inputs: [info('x', ['n', 3, 'h', 'w'])], outputs: [info('y', ['n', 6, 'h', 'w']), info('z', ['n', 3])],
    ops: [
      op('conv2d', { Input: ['x'], Filter: ['w'] }, 'a', CONV),
      op('elementwise_add', { X: ['x'], Y: ['a'] }, 'b', { axis: -1, ...FUSE }),
      op('reduce_mean', { X: ['b'] }, 'z', { dim: [2, 3], keep_dim: false, reduce_all: false }),
      op('sigmoid', { X: ['b'] }, 'c', {}),
      op('concat', { X: ['c', 'a'] }, 'y', { axis: 1 }),
    ],
  };
}

const weights = () => new Map([['w', Float32Array.from({ length: 81 }, random(5))]]);

/** @param {number[]} shape @param {number} seed */
const picture = (shape, seed) => ({ data: Float32Array.from({ length: shape.reduce((p, q) => p * q, 1) }, random(seed)), shape });

/** The net on plain loops. @param {{data: Float32Array, shape: number[]}} x */
function expected({ data, shape: [N, C, H, W] }) {
  const w = weights().get('w') ?? new Float32Array(0), P = H * W, y = new Float32Array(N * 2 * C * P), z = new Float32Array(N * C);
  for (let n = 0; n < N; n++) for (let o = 0; o < C; o++) for (let p = 0; p < P; p++) {
    let a = 0;
    for (let k = 0; k < 27; k++) {
      const i = Math.floor(k / 9), r = Math.floor(p / W) + Math.floor(k / 3) % 3 - 1, s = p % W + k % 3 - 1;
      if (r >= 0 && r < H && s >= 0 && s < W) a += w[o * 27 + k] * data[(n * C + i) * P + r * W + s];
    }
    a = Math.max(a, 0);
    const b = data[(n * C + o) * P + p] + a;
    z[n * C + o] += b / P;
    y[(n * 2 * C + o) * P + p] = 1 / (1 + Math.exp(-b));
    y[(n * 2 * C + C + o) * P + p] = a;
  }
  return { y, z };
}

/** @param {ArrayLike<number|bigint>} got @param {Float32Array} want */
function close(got, want) {
  assert.equal(got.length, want.length);
  want.forEach((v, i) => assert.ok(Math.abs(Number(got[i]) - v) < 1e-5, `${i}: ${got[i]}, not ${v}`));
}

test('any size runs, planned again when it changes, on poisoned memory', async () => {
  const engine = await createEngine(net(), weights(), { wasm, poison: true });
  const sizes = [[1, 3, 8, 8], [1, 3, 5, 7], [2, 3, 9, 4], [1, 3, 1, 1], [1, 3, 33, 17], [1, 3, 8, 8], [1, 3, 6, 6], [1, 3, 5, 7]];
  for (const [i, shape] of sizes.entries()) {
    const x = picture(shape, i + 1), { y, z } = await engine.run({ x }), want = expected(x);
    assert.deepEqual([y.shape, z.shape], [[shape[0], 6, shape[2], shape[3]], [shape[0], 3]]);
    close(y.data, want.y);
    close(z.data, want.z);
  }
});

test('what is planned before the weights come is the plan, and other sizes run as well', async () => {
  const graph = { ...net(), usual: [1, 3, 8, 8] }, opened = openEngine(graph, { wasm, poison: true });
  const { engine: inner } = await opened, early = inner.early?.plan, operators = await loadOperators(graph.ops.map(({ type }) => type));
  const late = makePlan(graph, { x: [1, 3, 8, 8] }, operators, weights());
  assert.deepEqual([early?.steps, early?.weights, early?.arenaBytes], [late.steps, late.weights, late.arenaBytes]);
  const engine = await createEngine(graph, weights(), { wasm, opened });
  assert.deepEqual([inner.plans.size, inner.early], [1, null]);
  for (const shape of [[1, 3, 8, 8], [1, 3, 5, 7], [1, 3, 8, 8]]) {
    const x = picture(shape, 3), { y, z } = await engine.run({ x }), want = expected(x);
    close(y.data, want.y);
    close(z.data, want.z);
  }
});

test('a plan that needs elements of a weight waits for them', async () => {
  /** @type {Graph} */
  const graph = {
    vars: new Map([['s', { name: 's', shape: [2], dtype: 'int32', persistable: true }]]), usual: [1, 3, 8, 8],
    inputs: [{ name: 'x', shape: ['n', 3, 'h', 'w'], dtype: 'float32' }], outputs: [{ name: 'y', shape: ['n', 'k'], dtype: 'float32' }],
    ops: [{ type: 'reshape2', inputs: { X: ['x'], Shape: ['s'] }, outputs: { Out: ['y'] }, attrs: { shape: [] } }],
  };
  const opened = openEngine(graph, { wasm });
  assert.equal((await opened).engine.early, null);
  const engine = await createEngine(graph, new Map([['s', Int32Array.of(1, -1)]]), { wasm, opened }), x = picture([1, 3, 8, 8], 3);
  assert.deepEqual((await engine.run({ x })).y, { data: x.data, shape: [1, 192] });
});

test('outputs are the caller\'s: a later run does not change them', async () => {
  const engine = await createEngine(net(), weights(), { wasm }), first = await engine.run({ x: picture([1, 3, 6, 6], 1) });
  const copy = first.y.data.slice();
  await engine.run({ x: picture([1, 3, 6, 6], 2) });
  assert.deepEqual(first.y.data, copy);
});

test('memory does not grow with runs, and changing sizes settle', async () => {
  const engine = await createEngine(net(), weights(), { wasm }), sizes = [4, 8, 12, 16, 20, 24];
  for (const size of sizes) await engine.run({ x: picture([1, 3, size, size], 1) });
  const { bytes } = engine.memory();
  for (let i = 0; i < 300; i++) await engine.run({ x: picture([1, 3, sizes[i % 6], sizes[i % 6]], 1) });
  assert.equal(engine.memory().bytes, bytes);
});

test('feeds that do not fit are refused', async () => {
  const engine = await createEngine(net(), weights(), { wasm }), x = picture([1, 3, 4, 4], 1);
  await assert.rejects(engine.run({}), { code: 'invalid_input' });
  await assert.rejects(engine.run({ x, extra: x }), { code: 'invalid_input' });
  await assert.rejects(engine.run({ x: { data: x.data, shape: [1, 2, 4, 4] } }), /dimension 1/);
  await assert.rejects(engine.run({ x: { data: x.data.slice(1), shape: [1, 3, 4, 4] } }), { code: 'invalid_input' });
});

test('working memory past the limit is a typed error, and the engine lives on', async () => {
  const engine = await createEngine(net(), weights(), { wasm, maxArenaBytes: 2 ** 16 });
  await assert.rejects(engine.run({ x: picture([1, 3, 128, 128], 1) }), { code: 'out_of_memory' });
  const x = picture([1, 3, 4, 4], 1);
  close((await engine.run({ x })).y.data, expected(x).y);
});

test('a position outside the gathered axis is refused at run time', async () => {
  /** @type {Graph} */
  const graph = {
    vars: new Map(), inputs: [{ name: 'x', shape: [5], dtype: 'float32' }, { name: 'i', shape: ['k'], dtype: 'int64' }],
    outputs: [{ name: 'y', shape: ['k'], dtype: 'float32' }],
    ops: [{ type: 'gather', inputs: { X: ['x'], Index: ['i'] }, outputs: { Out: ['y'] }, attrs: { axis: 0 } }],
  };
  const engine = await createEngine(graph, new Map(), { wasm }), x = { data: Float32Array.of(1, 2, 3, 4, 5), shape: [5] };
  const { y } = await engine.run({ x, i: { data: BigInt64Array.of(4n, -5n), shape: [2] } });
  assert.deepEqual([...y.data], [5, 1]);
  await assert.rejects(engine.run({ x, i: { data: BigInt64Array.of(5n), shape: [1] } }), (/** @type {any} */ error) => (
    error.code === 'invalid_input' && /gather \(y\)/.test(error.message)));
});

test('a tensor is not overwritten while a view of it is still read', async () => {
  /** @type {Graph} */
  const graph = {
    vars: new Map(), inputs: [{ name: 'x', shape: [3, 4], dtype: 'float32' }], outputs: [{ name: 'y', shape: [3, 4], dtype: 'float32' }],
    ops: [
      { type: 'slice', inputs: { Input: ['x'] }, outputs: { Out: ['s'] }, attrs: { axes: [0], starts: [0], ends: [1], decrease_axis: [] } },
      { type: 'elementwise_add', inputs: { X: ['x'], Y: ['s'] }, outputs: { Out: ['y'] }, attrs: { axis: -1, ...FUSE } },
    ],
  };
  const engine = await createEngine(graph, new Map(), { wasm }), x = { data: Float32Array.from({ length: 12 }, (_, i) => i), shape: [3, 4] };
  assert.deepEqual([...(await engine.run({ x })).y.data], [0, 2, 4, 6, 4, 6, 8, 10, 8, 10, 12, 14]);
});

test('after dispose every run is refused and nothing is held', async () => {
  const engine = await createEngine(net(), weights(), { wasm });
  engine.dispose();
  assert.equal(engine.memory().bytes, 0);
  await assert.rejects(engine.run({ x: picture([1, 3, 4, 4], 1) }), { code: 'disposed' });
});

test('an unknown operator stops the load and unsupported() lists it', async () => {
  const graph = net();
  graph.ops.push({ type: 'warp_drive', inputs: { X: ['y'] }, outputs: { Out: ['q'] }, attrs: {} });
  assert.deepEqual(await unsupported(graph), [{ type: 'warp_drive', reason: 'this operator is not supported', where: 'q' }]);
  await assert.rejects(createEngine(graph, weights(), { wasm }), { code: 'unsupported' });
});

test('bytes that are no kernels are no backend', async () => {
  await assert.rejects(compile(Uint8Array.of(1, 2, 3, 4)), { code: 'no_backend' });
});
