// load() and the model on the calling thread, over an engine that only adds.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { InPageError, load } from '../../static/runtime/index.js';
import { loadLocal } from '../../static/runtime/local.js';
import { FAST, makeBundle, serveBundle } from './bundle_helpers.js';

/** @typedef {import('../../static/runtime/local.js').Parts} Parts */
/** @typedef {import('../../static/runtime/index.js').LoadOptions} LoadOptions */

/** An engine for y = x + w whose run takes a moment. @param {{log?: string[], fail?: Error}} [options] */
function fakeParts({ log = [], fail } = {}) {
  /** @type {Parts} */
  const parts = {
    kernels: async () => new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)),
    unsupported: () => [],
    createEngine: async (graph, weights, { backend }) => {
      log.push('created');
      const w = /** @type {Float32Array} */ (weights.get('w'));
      return {
        backend,
        memory: () => ({ bytes: 4096 }),
        dispose: () => { log.push('disposed'); },
        async run({ x }) {
          log.push(`run ${x.data[0]}`);
          const { shape } = x;
          const data = Float32Array.from(/** @type {Float32Array} */ (x.data), (value, i) => value + w[i % 4]);
          await new Promise((resolve) => { setTimeout(resolve, 5); });
          if (fail) throw fail;
          log.push(`done ${x.data[0]}`);
          return { y: { data, shape } };
        },
      };
    },
  };
  return parts;
}

/** @param {number} value @param {number} [rows] */
const feed = (value, rows = 1) => ({ x: { data: new Float32Array(4 * rows).fill(value), shape: [rows, 4] } });

/**
 * @param {{parts?: Parts, bundle?: ReturnType<typeof makeBundle>, options?: LoadOptions}} [with_]
 */
async function adder({ parts = fakeParts(), bundle = makeBundle(), options = {} } = {}) {
  const server = await serveBundle(bundle);
  try {
    return await loadLocal(server.url, { policy: FAST, ...options }, parts);
  } finally {
    await server.close();
  }
}

test('a model keeps no result that its caller let go', async () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc'), model = await adder();
  /** @type {WeakRef<object>[]} */
  const results = [];
  for (let i = 0; i < 4; i++) results.push(new WeakRef((await model.run(feed(i))).y.data));
  for (let i = 0; i < 50 && results[0].deref(); i++) {
    await sleep(1); // what a WeakRef was asked for lives until the turn ends
    gc();
  }
  assert.deepEqual(results.slice(0, 3).map((ref) => Boolean(ref.deref())), [false, false, false]);
  await model.dispose();
});

const PREPROCESS = {
  input: 'x', size: [1, 4], resize: 'stretch', interpolation: 'linear', crop: null, limit: null, padValue: 0, channels: 'gray',
  layout: 'nhwc', scale: 1, mean: [0], std: [1],
};

/** The adder over pictures: x is [1, 1, 4, 1]. */
function pictureBundle() {
  const bundle = makeBundle();
  bundle.model.preprocess = PREPROCESS;
  bundle.model.inputs[0].shape = [1, 'h', 4, 1];
  return bundle;
}

test('a model says what it is, and runs', async () => {
  /** @type {any[]} */
  const stages = [];
  const model = await adder({ options: { onProgress: ({ stage }) => stages.push(stage) } });
  assert.equal(model.name, 'adder');
  assert.equal(model.backend, 'wasm');
  assert.deepEqual(model.inputs, [{ name: 'x', shape: ['x.0', 4], dtype: 'float32' }]);
  assert.deepEqual(model.memory(), { bytes: 4096 });
  assert.deepEqual(stages.filter((stage, i) => stage !== stages[i - 1]), ['model', 'weights', 'prepare', 'ready']);
  assert.deepEqual(await model.run(feed(10)), { y: { data: Float32Array.of(11, 12, 13, 14), shape: [1, 4] } });
  await model.dispose();
});

test('calls made at once are run one after another, in order', async () => {
  /** @type {string[]} */
  const log = [];
  const model = await adder({ parts: fakeParts({ log }) });
  const results = await Promise.all([1, 2, 3].map((value) => model.run(feed(value))));
  assert.deepEqual(results.map(({ y }) => y.data[0]), [2, 3, 4]);
  assert.deepEqual(log, ['created', 'run 1', 'done 1', 'run 2', 'done 2', 'run 3', 'done 3']);
  await model.dispose();
});

test('one failing call does not touch the others', async () => {
  const model = await adder();
  const [bad, good] = await Promise.allSettled([model.run({ x: { data: new Float32Array(3), shape: [1, 3] } }), model.run(feed(1))]);
  assert.equal(bad.status === 'rejected' && bad.reason.code, 'invalid_input');
  assert.match(bad.status === 'rejected' ? bad.reason.message : '', /dimension 1 of input "x" is 4, not 3/);
  assert.equal(good.status, 'fulfilled');
  await assert.rejects(model.run(/** @type {any} */ ({ z: 1 })), { code: 'invalid_input' });
  await model.dispose();
});

test('an abort ends a call at once, whether it waits or runs', async () => {
  /** @type {string[]} */
  const log = [];
  const model = await adder({ parts: fakeParts({ log }) });
  await assert.rejects(model.run(feed(0), { signal: AbortSignal.abort() }), { code: 'aborted' });
  const running = new AbortController(), waiting = new AbortController();
  const first = model.run(feed(1), { signal: running.signal });
  const second = model.run(feed(2), { signal: waiting.signal });
  const third = model.run(feed(3));
  waiting.abort();
  await assert.rejects(second, { code: 'aborted' });
  running.abort();
  await assert.rejects(first, { code: 'aborted' });
  assert.equal((await third).y.data[0], 4);
  assert.ok(!log.includes('run 2'), 'an aborted call was run');
  await model.dispose();
});

test('dispose waits for the call in progress and refuses the rest', async () => {
  /** @type {string[]} */
  const log = [];
  const model = await adder({ parts: fakeParts({ log }) });
  const first = model.run(feed(1));
  await new Promise((resolve) => { setTimeout(resolve, 1); });
  const second = assert.rejects(model.run(feed(2)), { code: 'disposed' });
  await Promise.all([model.dispose(), model.dispose(), second]);
  assert.equal((await first).y.data[0], 2);
  assert.deepEqual(log, ['created', 'run 1', 'done 1', 'disposed']);
  assert.deepEqual(model.memory(), { bytes: 0 });
  await assert.rejects(model.run(feed(3)), { code: 'disposed' });
});

test('a picture is preprocessed as the bundle says', async () => {
  const model = await adder({ bundle: pictureBundle() });
  const picture = { data: Uint8ClampedArray.from({ length: 16 }, (_, i) => Math.floor(i / 4) * 10), width: 4, height: 1 };
  const { y } = await model.run({ x: picture });
  assert.deepEqual(y.shape, [1, 1, 4, 1]);
  assert.deepEqual([...y.data].map((value) => Math.round(Number(value))), [1, 12, 23, 34]);
  await assert.rejects(model.run({ x: { ...picture, width: 5 } }), { code: 'invalid_input', message: /5×1 needs 20 bytes/ });
  await model.dispose();
});

test('a picture for an input without preprocessing', async () => {
  const model = await adder();
  await assert.rejects(model.run({ x: { data: new Uint8ClampedArray(4), width: 1, height: 1 } }), {
    code: 'invalid_input', where: 'input "x"', message: /how to make a tensor/,
  });
  await model.dispose();
});

test('a failing engine: its own kind of error', async () => {
  const memory = await adder({ parts: fakeParts({ fail: new RangeError('WebAssembly.Memory.grow(): could not allocate memory') }) });
  await assert.rejects(memory.run(feed(1)), { code: 'out_of_memory' });
  const typed = await adder({ parts: fakeParts({ fail: new InPageError('invalid_input', 'too wide') }) });
  await assert.rejects(typed.run(feed(1)), { code: 'invalid_input' });
  await assert.rejects(adder({ parts: { ...fakeParts(), createEngine: async () => { throw new Error('boom'); } } }),
    { code: 'invalid_model', message: /boom/ });
});

test('operators that the runtime lacks are all named, before any weight is fetched', async () => {
  const server = await serveBundle(makeBundle());
  const parts = { ...fakeParts(), unsupported: () => [
    { type: 'warp', reason: 'unknown operator', where: 'ops[3]' }, { type: 'fold', reason: 'groups', where: '' }] };
  await assert.rejects(loadLocal(server.url, {}, parts), { code: 'unsupported', message: /warp \(unknown operator, at ops\[3\]\), fold \(groups\)/ });
  assert.equal(server.count('chunk_1.dat'), 0);
  await server.close();
});

test('failing kernels end the load, and an abort during it disposes the engine', async () => {
  const noKernels = { ...fakeParts(), kernels: async () => { throw new InPageError('no_backend', 'kernels.wasm is missing'); } };
  await assert.rejects(adder({ parts: noKernels }), { code: 'no_backend' });
  /** @type {string[]} */
  const log = [];
  const controller = new AbortController();
  const parts = fakeParts({ log });
  const { createEngine } = parts;
  parts.createEngine = async (...args) => { controller.abort(); return createEngine(...args); };
  await assert.rejects(adder({ parts, options: { signal: controller.signal } }), { code: 'aborted' });
  assert.deepEqual(log, ['created', 'disposed']);
});

test('a progress callback that throws at the end disposes the engine', async () => {
  /** @type {string[]} */
  const log = [];
  await assert.rejects(adder({ parts: fakeParts({ log }), options: { onProgress({ stage }) { if (stage === 'ready') throw new Error('mine'); } } }),
    /^Error: mine$/);
  assert.deepEqual(log, ['created', 'disposed']);
});

test('load() refuses a backend that it does not have', async () => {
  await assert.rejects(load('http://127.0.0.1:9/', { backend: /** @type {any} */ ('cuda') }), { code: 'no_backend', message: /"cuda"/ });
});
