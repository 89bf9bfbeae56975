// The choice of a backend by measurement, and the move to another one, over models that only pretend to take time.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InPageError, load } from '../../static/runtime/index.js';
import { candidates } from '../../static/runtime/choose.js';
import { Memory, measure, quantile, sampleFeeds } from '../../static/runtime/measure.js';
import { loadWatched } from '../../static/runtime/watch.js';
import { FAST, makeBundle, serveBundle } from './bundle_helpers.js';

/** @typedef {import('../../static/runtime/watch.js').Tools} Tools */
/** @typedef {{ms: number, fails?: string, breaks?: string, software?: boolean}} Nature of a backend: its time, what it throws */

const FEEDS = { x: { data: new Float32Array(4), shape: [1, 4] } };

/**
 * Backends that take the time that their nature says, on a clock that only they move.
 * @param {Record<string, Nature>} natures changed by the tests while they run
 */
function world(natures) {
  const log = /** @type {string[]} */ ([]);
  let clock = 0, alive = 0;
  /** @param {string} code */
  const thrown = (code) => new InPageError(/** @type {any} */ (code), `${code} on purpose`);
  /** @type {any} */
  const tools = {
    candidates: () => Object.keys(natures),
    inHardware: async (/** @type {string} */ backend) => !natures[backend].software,
    memory: new Memory(null),
    now: () => clock,
    /** @param {any} model */
    measure: (model) => measure(model, { now: () => clock }),
    /** @param {string} address @param {any} options */
    load: async (address, { backend, onProgress }) => {
      log.push(`load ${backend}${onProgress ? ' with progress' : ''}`);
      if (natures[backend].fails) throw thrown(String(natures[backend].fails));
      alive++;
      let disposed = false;
      return {
        name: 'm', inputs: [{ name: 'x', shape: ['n', 4], dtype: 'float32' }], outputs: [], labels: null, preprocess: null,
        postprocess: null, precision: 'float32', backend, memory: () => ({ bytes: 1 }),
        run: async () => {
          const { ms, breaks } = natures[backend];
          clock += ms;
          await null;
          if (disposed) throw thrown('disposed');
          if (breaks) throw thrown(breaks);
          return { y: { data: Float32Array.of(ms), shape: [1] } };
        },
        dispose: async () => {
          if (!disposed) alive--;
          disposed = true;
          log.push(`dispose ${backend}`);
        },
      };
    },
  };
  return { tools: /** @type {Tools} */ (tools), log, natures, alive: () => alive };
}

/** @param {Tools} tools @param {import('../../static/runtime/index.js').LoadOptions} [options] */
const open = (tools, options = {}) => loadWatched('http://x/m/', { enough_ms: 0, ...options }, tools);

test('the fastest in this measurement is taken, whatever its name, and only it stays loaded', async () => {
  for (const [times, wanted] of /** @type {const} */ ([[[30, 10, 20], 'webgl'], [[5, 10, 20], 'wasm'], [[30, 10, 2], 'webgpu']])) {
    const { tools, alive } = world({ wasm: { ms: times[0] }, webgl: { ms: times[1] }, webgpu: { ms: times[2] } });
    const model = await open(tools);
    assert.equal(model.backend, wanted);
    assert.deepEqual(model.measured.map(({ ms }) => ms), [...times].sort((a, b) => a - b));
    assert.equal(alive(), 1);
    await model.dispose();
    assert.equal(alive(), 0);
  }
});

test('a backend that is fast enough needs no rival', async () => {
  const { tools, log } = world({ wasm: { ms: 12 }, webgpu: { ms: 1 } });
  assert.equal((await open(tools, { enough_ms: 33, onProgress: () => {} })).backend, 'wasm');
  assert.deepEqual(log, ['load wasm with progress']);
});

/** Runs until the model moves, and a few times more. @param {any} model @param {string} backend */
async function runUntil(model, backend) {
  for (let i = 0; i < 40; i++) await model.run(FEEDS);
  await model.seeking;
  assert.equal(model.backend, backend);
}

test('graphics in software are not even fetched, unless all are to be measured', async () => {
  const natures = { wasm: { ms: 90 }, webgl: { ms: 10, software: true }, webgpu: { ms: 50 } };
  const first = world(natures);
  await runUntil(await open(first.tools, { enough_ms: 33 }), 'webgpu');
  assert.ok(!first.log.includes('load webgl'));
  assert.equal((await open(world(natures).tools)).backend, 'webgl');
});

test('the first backend that works answers at once; a faster one takes over while it runs, and stays for the visit', async () => {
  const { tools, log, alive } = world({ wasm: { ms: 90 }, webgl: { ms: 120 }, webgpu: { ms: 10 } });
  const model = await open(tools, { enough_ms: 33, onProgress: () => {} });
  assert.deepEqual([model.backend, log, tools.now()], ['wasm', ['load wasm with progress'], 0]);
  await runUntil(model, 'webgpu');
  assert.deepEqual([alive(), log.filter((line) => line.includes('progress'))], [1, ['load wasm with progress']]);
  assert.deepEqual(model.measured.map(({ backend }) => backend), ['webgpu', 'wasm', 'webgl']);
  assert.equal((await open(tools, { enough_ms: 33 })).backend, 'webgpu');
});

test('nothing is sought that the first runs do not call for, nor kept that is hardly faster', async () => {
  const quick = world({ wasm: { ms: 20 }, webgpu: { ms: 1 } }), close = world({ wasm: { ms: 90 }, webgpu: { ms: 85 } });
  for (const { tools, log, alive } of [quick, close]) {
    const model = await open(tools, { enough_ms: 33 });
    for (let i = 0; i < 20; i++) await model.run(FEEDS);
    assert.deepEqual([model.backend, alive(), log.includes('load webgpu')], ['wasm', 1, tools === close.tools]);
  }
});

test('a search that ends after the model is gone, or meets a broken backend, leaves nothing behind', async () => {
  for (const runs of [5, 6, 8]) { // the other one loading, loaded, and at work
    const { tools, alive } = world({ wasm: { ms: 90 }, webgpu: { ms: 10 } });
    const model = await open(tools, { enough_ms: 33 });
    for (let i = 0; i < runs; i++) await model.run(FEEDS);
    assert.ok(model.seeking);
    await model.dispose();
    assert.equal(alive(), 0);
  }
  const { tools, natures, alive } = world({ wasm: { ms: 90 }, webgpu: { ms: 10, breaks: 'device_lost' } });
  const model = await open(tools, { enough_ms: 33 });
  await runUntil(model, 'wasm');
  assert.deepEqual([alive(), ...model.failed], [1, 'webgpu']);
  natures.wasm.breaks = 'worker_lost';
  await assert.rejects(model.run(FEEDS), { code: 'worker_lost' });
});

test('one backend alone is not measured', async () => {
  const { tools } = world({ wasm: { ms: 12 } });
  await open(tools);
  assert.equal(tools.now(), 0);
});

test('a visit measures once', async () => {
  const { tools, log, natures } = world({ wasm: { ms: 30 }, webgl: { ms: 10 } });
  await (await open(tools)).dispose();
  log.length = 0;
  const clock = tools.now();
  assert.equal((await open(tools)).backend, 'webgl');
  assert.deepEqual([log, tools.now()], [['load webgl'], clock]);
  natures.webgl.fails = 'no_backend';
  assert.equal((await open(tools)).backend, 'wasm', 'the next fastest, when the fastest cannot be had any more');
});

test('backends that fail are passed over; without any the first failure is told', async () => {
  const { tools, natures } = world({ wasm: { ms: 9, fails: 'out_of_memory' }, webgl: { ms: 1, breaks: 'device_lost' }, webgpu: { ms: 80 } });
  const model = await open(tools);
  assert.equal(model.backend, 'webgpu');
  assert.deepEqual(model.measured.map(({ backend, ms }) => [backend, ms]), [['webgpu', 80], ['wasm', Infinity], ['webgl', Infinity]]);
  natures.webgpu.fails = 'no_backend';
  const empty = world(natures);
  await assert.rejects(open(empty.tools), { code: 'out_of_memory' });
  assert.equal(empty.alive(), 0);
});

test('what concerns every backend ends the choice at once', async () => {
  const { tools, log } = world({ wasm: { ms: 9, fails: 'network' }, webgl: { ms: 1 } });
  await assert.rejects(open(tools), { code: 'network' });
  assert.deepEqual(log, ['load wasm']);
  const late = new AbortController();
  late.abort();
  await assert.rejects(open(tools, { signal: late.signal }), { code: 'aborted' });
});

test('a model that grows slow moves to a faster backend, then tells the page once', async () => {
  const { tools, natures, alive } = world({ wasm: { ms: 20 }, webgl: { ms: 40 } });
  /** @type {any[]} */
  const told = [];
  const model = await open(tools, { slow_ms: 100, onSlow: (slow) => told.push(slow) });
  assert.equal(model.backend, 'wasm');
  natures.wasm.ms = 400;
  for (let i = 0; i < 40 && model.backend === 'wasm'; i++) await model.run(FEEDS);
  assert.equal(model.backend, 'webgl', 'the other backend comes first');
  assert.deepEqual([told.length, alive()], [0, 1]);
  natures.webgl.ms = 380;
  for (let i = 0; i < 80; i++) await model.run(FEEDS);
  assert.equal(model.backend, 'webgl', 'not back to one that is no faster');
  assert.deepEqual(told, [{ backend: 'webgl', p95_ms: 380 }]);
});

test('a slow processor does not move to graphics that it would compute itself', async () => {
  const { tools, natures, log } = world({ wasm: { ms: 20 }, webgl: { ms: 1, software: true } });
  let told = 0;
  const model = await open(tools, { enough_ms: 33, slow_ms: 100, onSlow: () => { told++; } });
  natures.wasm.ms = 400;
  for (let i = 0; i < 60; i++) await model.run(FEEDS);
  assert.deepEqual([model.backend, told, log], ['wasm', 1, ['load wasm']]);
});

test('a few slow runs among many are no reason to move', async () => {
  const { tools, natures, log } = world({ wasm: { ms: 20 }, webgl: { ms: 40 } });
  const model = await open(tools, { slow_ms: 100 });
  for (let i = 0; i < 200; i++) {
    natures.wasm.ms = i % 40 === 0 ? 400 : 20;
    await model.run(FEEDS);
  }
  assert.deepEqual([model.backend, log.length], ['wasm', 3], 'two loads and one dispose, from the choice itself');
});

test('a backend that dies is replaced under the call, and not tried again', async () => {
  const { tools, natures, log } = world({ wasm: { ms: 20 }, webgl: { ms: 10 } });
  const model = await open(tools);
  natures.webgl.breaks = 'device_lost';
  assert.equal((await model.run(FEEDS)).y.data[0], 20);
  assert.equal(model.backend, 'wasm');
  natures.wasm.breaks = 'worker_lost';
  log.length = 0;
  await assert.rejects(model.run(FEEDS), { code: 'worker_lost' });
  assert.deepEqual(log, []);
});

test('calls in flight survive the move; a bad feed is the caller\'s own', async () => {
  const { tools, natures } = world({ wasm: { ms: 20 }, webgl: { ms: 10 } });
  const model = await open(tools);
  natures.webgl.breaks = 'device_lost';
  const all = await Promise.all([1, 2, 3].map(() => model.run(FEEDS)));
  assert.deepEqual(all.map(({ y }) => y.data[0]), [20, 20, 20]);
  natures.wasm.breaks = 'invalid_input';
  await assert.rejects(model.run(FEEDS), { code: 'invalid_input' });
  assert.equal(model.backend, 'wasm');
});

test('the sample fits the inputs: symbols agree, pictures have the size of the preprocessing', () => {
  const preprocess = /** @type {any} */ ({ input: 'image', layout: 'nchw', size: [256, 192], crop: null, limit: null });
  const feeds = sampleFeeds({ preprocess, inputs: [
    { name: 'image', shape: ['n', 3, 'h', '?1'], dtype: 'float32' }, { name: 'scale', shape: ['n', 2], dtype: 'float16' },
    { name: 'ids', shape: ['n', -1], dtype: 'int64' },
  ] });
  assert.deepEqual(Object.values(feeds).map(({ shape }) => shape), [[1, 3, 256, 192], [1, 2], [1, 1]]);
  assert.deepEqual([feeds.image.data.length, feeds.scale.data.constructor, feeds.ids.data.constructor],
    [3 * 256 * 192, Float32Array, BigInt64Array]);
  const limit = { ...preprocess, size: null, limit: { side: 960, type: 'max', multiple: 32 } };
  const [{ shape }] = Object.values(sampleFeeds({ preprocess: limit, inputs: [{ name: 'image', shape: [1, 3, 'h', 'w'], dtype: 'float32' }] }));
  assert.deepEqual(shape, [1, 3, 448, 448]);
});

test('the benchmark keeps to its budget, and drops the first run', async () => {
  let clock = 0, runs = 0;
  const model = /** @type {any} */ ({ inputs: [], preprocess: null, run: async () => { clock += runs++ === 0 ? 900 : 60; } });
  assert.equal(await measure(model, { now: () => clock }), 60);
  assert.equal(runs, 1 + 4, 'four runs of 60 ms are the first to pass 200 ms');
  assert.deepEqual([quantile([3, 1, 2], 0.5), quantile([1, 2, 3, 4], 0.95), quantile([7], 0.95)], [2, 4, 7]);
});

test('the memory of a visit survives the page, and strangers in its place', () => {
  const stored = new Map();
  const storage = /** @type {any} */ ({ getItem: (/** @type {string} */ key) => stored.get(key) ?? null,
    setItem: (/** @type {string} */ key, /** @type {string} */ value) => stored.set(key, value) });
  /** @type {any} */
  const measured = [{ backend: 'wasm', ms: 3 }, { backend: 'webgl', ms: Infinity }];
  new Memory(storage).keep('a', measured);
  assert.deepEqual(new Memory(storage).recall('a'), measured);
  stored.set([...stored.keys()][0], 'what?');
  assert.equal(new Memory(storage).recall('a'), null);
  const full = new Memory(/** @type {any} */ ({ ...storage, setItem: () => { throw new Error('full'); } }));
  full.keep('b', measured);
  assert.deepEqual(full.recall('b'), measured);
});

test('load() with "auto" runs a real model on what this device has', async () => {
  assert.ok(candidates().includes('wasm'));
  const server = await serveBundle(makeBundle());
  const model = await load(server.url, { backend: 'auto', policy: FAST });
  assert.deepEqual((await model.run({ x: { data: new Float32Array(4), shape: [1, 4] } })).y.data, Float32Array.of(1, 2, 3, 4));
  assert.ok(candidates().includes(/** @type {any} */ (model.backend)));
  await model.dispose();
  await server.close();
});
