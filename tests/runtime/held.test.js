// Weights that moved into the kernels' memory: made again exactly, whenever someone asks.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createBackend } from '../../static/runtime/backends/wasm.js';
import { createEngine } from '../../static/runtime/engine.js';
import { HeldWeights, NotHereError } from '../../static/runtime/held.js';
import { BUILDS, kernels, random } from './cases.js';

/** @typedef {import('../../static/runtime/plan.js').Resident} Resident */

/** @param {number} n @param {number} seed */
const numbers = (n, seed) => Float32Array.from({ length: n }, random(seed));

/** @type {[string, number, number, number[]][]} kernel, elements, bytes of what it makes, its sizes */
const PACKED = [
  ['pack_blocks', 20 * 37 * 9, 4 * 24 * 37 * 9, [20, 37, 9, 8]],
  ['pack_blocks', 33 * 70, 4 * 40 * 70, [33, 70, 1, 8]],
  ['pack_blocks', 96 * 25, 4 * 96 * 25, [96, 1, 25, 4]],
  ['pack_rows', 2 * 23 * 59, 4 * 2 * 23 * 59, [2, 23, 59, 59, 1, 23 * 59]],
  ['pack_columns', 61 * 37, 4 * 40 * 61, [61, 37, 37, 1]],
  ['pack_columns', 61 * 37, 4 * 40 * 61, [61, 37, 1, 61]],
  ['pack_transposed', 19 * 31 * 4, 4 * 128 * 19, [19, 31, 4, 1]],
];

for (const build of BUILDS) {
  test(`what was packed is found again, ${build}`, async () => {
    const wasm = await kernels(build);
    for (const [kernel, n, bytes, args] of PACKED) {
      const raw = numbers(n, n), held = new HeldWeights([['w', raw]]), backend = await createBackend(wasm, held);
      backend.residents.reside({ key: 'packed', name: 'w', bytes, pack: { kernel, args } });
      assert.equal(held.moved.size, 1, `${kernel} keeps nothing`);
      assert.equal(held.lengthOf('w'), n);
      assert.deepEqual(held.get('w'), raw, `${kernel} ${args}`);
      backend.residents.reside({ key: 'w', name: 'w', bytes: 4 * n, pack: null });
      assert.deepEqual(new Float32Array(backend.memory.buffer, backend.residents.address('w'), n), raw);
    }
  });
}

test('small weights, whole numbers and what no plan needs stay; a buffer of moved ones is let go', async () => {
  const wasm = await kernels(), joined = numbers(10_000, 1), bytes = Int8Array.from({ length: 9000 }, (_, i) => i);
  const held = new HeldWeights([['large', joined.subarray(0, 9000)], ['small', joined.subarray(9000, 9010)], ['spare', joined.subarray(9010)], ['bytes', bytes]]);
  const backend = await createBackend(wasm, held), want = joined.slice();
  for (const name of ['large', 'small', 'bytes']) {
    const data = /** @type {Float32Array} */ (held.get(name));
    backend.residents.reside({ key: name, name, bytes: data.byteLength, pack: null });
  }
  backend.residents.settle();
  assert.deepEqual([...held.moved.keys()], ['large']);
  for (const [name, data] of held.entries()) assert.notEqual(data.buffer, joined.buffer, name);
  assert.deepEqual(held.get('large'), want.subarray(0, 9000));
  assert.deepEqual(held.get('small'), want.subarray(9000, 9010));
  assert.deepEqual(held.get('spare'), want.subarray(9010));
  assert.equal(held.get('bytes'), bytes);
});

/** A convolution on pictures of any size, whose weights are an output, too. @returns {import('../../static/runtime/plan.js').Graph} */
function net() {
  const attrs = {
    strides: [1, 1], paddings: [1, 1, 1, 1], padding_algorithm: 'EXPLICIT', dilations: [1, 1], groups: 1, data_format: 'NCHW',
    fuse_activation: 'relu', fuse_alpha: 0, fuse_beta: 0,
  };
  const info = (/** @type {string} */ name, /** @type {(number|string)[]} */ shape) => ({ name, shape, dtype: 'float32' });
  return {
    vars: new Map([['w', { name: 'w', shape: [40, 8, 3, 3], dtype: 'float32', persistable: true }]]),
    inputs: [info('x', ['n', 8, 'h', 'w'])], outputs: [info('y', ['n', 40, 'h', 'w']), info('w', [40, 8, 3, 3])],
    ops: [{ type: 'conv2d', inputs: { Input: ['x'], Filter: ['w'] }, outputs: { Out: ['y'] }, attrs }],
  };
}

test('runs that were called at once are answered in order, whatever their sizes, before and after the weights moved', async () => {
  const wasm = await kernels(), weights = new Map([['w', numbers(2880, 3)]]);
  const feed = (/** @type {number} */ h, /** @type {number} */ w) => ({ x: { data: numbers(8 * h * w, h), shape: [1, 8, h, w] } });
  const sizes = [[9, 7], [4, 30], [1, 1], [9, 7], [30, 2]], engine = await createEngine(net(), weights, { wasm, poison: true });
  const all = await Promise.all(sizes.map(([h, w]) => engine.run(feed(h, w))));
  for (const [i, [h, w]] of sizes.entries()) {
    const fresh = await createEngine(net(), weights, { wasm, poison: true }), want = await fresh.run(feed(h, w));
    assert.deepEqual(all[i], want, `${h} x ${w}`);
    assert.deepEqual(all[i].w.data, weights.get('w'));
  }
  assert.equal(new Set(all.map(({ w }) => w.data.buffer)).size, sizes.length, 'every result is the caller\'s own');
});

test('a model of one size is packed when it is made', async () => {
  const wasm = await kernels(), { vars, inputs, ops } = net();
  /** @type {import('../../static/runtime/plan.js').Graph} */
  const graph = {
    vars: new Map([...vars, ['v', { name: 'v', shape: [600, 40, 3, 3], dtype: 'float32', persistable: true }]]),
    inputs: [{ ...inputs[0], shape: [1, 8, 9, 9] }], outputs: [{ name: 'z', shape: [1, 600, 9, 9], dtype: 'float32' }],
    ops: [...ops, { ...ops[0], inputs: { Input: ['y'], Filter: ['v'] }, outputs: { Out: ['z'] } }],
  };
  const weights = new Map([['w', numbers(2880, 3)], ['v', numbers(216_000, 4)]]);
  const engine = await createEngine(graph, weights, { wasm }), ready = engine.memory().bytes;
  const open = await createEngine({ ...graph, inputs }, weights, { wasm });
  assert.ok(ready >= open.memory().bytes + 700_000, `${ready} bytes`); // most of the larger weight: some room is there from the start
  await engine.run({ x: { data: numbers(648, 5), shape: [1, 8, 9, 9] } });
  assert.equal(engine.memory().bytes, ready);
  await assert.rejects(createEngine(graph, weights, { wasm, maxArenaBytes: 1000 }), { code: 'out_of_memory' });
});

test('of weights on their way nothing but their sizes is known', () => {
  const vars = new Map(['w', 'x'].map((name) => [name, { name, shape: [2, 3], dtype: 'float32', persistable: name === 'w' }]));
  const held = HeldWeights.awaiting(vars);
  assert.deepEqual([held.lengthOf('w'), held.lengthOf('x'), held.has('w')], [6, undefined, false]);
  assert.throws(() => held.get('w'), NotHereError);
  held.fill([['w', numbers(6, 1)]]);
  assert.deepEqual([held.lengthOf('w'), held.get('w')], [6, numbers(6, 1)]);
});
