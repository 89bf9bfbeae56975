// The two ends of the worker, joined by a channel instead of a thread.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InPageError } from '../../static/runtime/errors.js';
import { loadRemote, WorkerHost } from '../../static/runtime/worker_client.js';
import { serve } from '../../static/runtime/worker_server.js';

/** A model that doubles its input "x" after a moment; an input of 13 fails, of 99 never answers. */
class Doubler {
  constructor() {
    this.name = 'doubler';
    this.inputs = [{ name: 'x', shape: ['n'], dtype: 'float32' }];
    this.outputs = [{ name: 'y', shape: ['n'], dtype: 'float32' }];
    this.labels = ['a'];
    this.preprocess = null;
    this.postprocess = { margin: 1 };
    this.precision = 'float32';
    this.backend = 'wasm';
    this.runs = 0;
    this.disposed = false;
    this.aborted = 0;
  }

  memory() { return { bytes: 100 + this.runs }; }

  /** @param {any} feeds @param {{signal?: AbortSignal}} options */
  async run({ x }, { signal }) {
    this.runs++;
    signal?.addEventListener('abort', () => { this.aborted++; });
    await new Promise((resolve) => { setTimeout(resolve, 2); });
    if (x.data[0] === 13) throw new InPageError('invalid_input', 'unlucky', { where: 'x', hint: 'choose another' });
    if (x.data[0] === 99) await new Promise(() => {});
    return { y: { data: x.data.map((/** @type {number} */ v) => 2 * v), shape: x.shape } };
  }

  async dispose() { this.disposed = true; }
}

/**
 * A host whose worker is the other end of a channel.
 * @param {(address: string, options: any) => Promise<any>} load
 */
function joined(load) {
  const { port1, port2 } = new MessageChannel();
  serve(/** @type {any} */ (port2), load);
  port2.start?.();
  /** @type {Map<string, (event: any) => void>} */
  const listeners = new Map();
  const worker = {
    terminated: false,
    /** @param {any} message @param {any} transfer */
    postMessage: (message, transfer) => port1.postMessage(message, transfer),
    /** @param {string} type @param {(event: any) => void} listener */
    addEventListener(type, listener) {
      listeners.set(type, listener);
      if (type === 'message') port1.onmessage = listener;
    },
    terminate() {
      worker.terminated = true;
      port1.close();
      port2.close();
    },
    /** @param {string} type @param {any} event */
    fire: (type, event) => listeners.get(type)?.(event),
  };
  /** @type {WorkerHost|undefined} */
  let host;
  return { worker, makeHost: () => (host ??= new WorkerHost(() => worker, 2000)) };
}

/** @param {number[]} data */
const feed = (...data) => ({ x: { data: Float32Array.from(data), shape: [data.length] } });

test('load, run and dispose through the channel; the last model ends the worker', async () => {
  const doubler = new Doubler();
  /** @type {any[]} */
  const steps = [];
  const { worker, makeHost } = joined(async (address, { onProgress, retries }) => {
    onProgress({ stage: 'weights', loaded: 1, total: 2 });
    assert.equal(address, 'https://example.org/b/');
    assert.equal(retries, 7);
    return doubler;
  });
  const model = await loadRemote('https://example.org/b/', { retries: 7, onProgress: (step) => steps.push(step) }, makeHost);
  const second = await loadRemote('https://example.org/b/', { retries: 7 }, makeHost);
  assert.deepEqual(steps, [{ stage: 'weights', loaded: 1, total: 2 }]);
  assert.deepEqual([model.name, model.labels, model.postprocess, model.inputs, model.backend],
    ['doubler', ['a'], { margin: 1 }, doubler.inputs, 'wasm']);
  const given = feed(1, 2);
  assert.deepEqual(await model.run(given), { y: { data: Float32Array.of(2, 4), shape: [2] } });
  assert.equal(given.x.data.length, 2, 'the caller lost its own buffer');
  assert.deepEqual(model.memory(), { bytes: 101 });
  await model.dispose();
  await model.dispose();
  assert.equal(doubler.disposed, true);
  assert.equal(worker.terminated, false);
  await assert.rejects(model.run(given), { code: 'disposed' });
  assert.equal((await second.run(feed(4))).y.data[0], 8);
  await second.dispose();
  assert.equal(worker.terminated, true);
});

test('a part of a buffer is sent without the rest of it', async () => {
  /** @type {number[]} */
  const sizes = [];
  const doubler = new Doubler();
  const run = doubler.run.bind(doubler);
  doubler.run = (feeds, options) => { sizes.push(feeds.x.data.buffer.byteLength); return run(feeds, options); };
  const { makeHost } = joined(async () => doubler);
  const model = await loadRemote('x:', {}, makeHost);
  await model.run({ x: { data: new Float32Array(1000).subarray(5, 7), shape: [2] } });
  assert.deepEqual(sizes, [8]);
  await model.dispose();
});

test('what a run was fed comes back for the next of its size, and no result is taken for it', async () => {
  const doubler = new Doubler(), { makeHost } = joined(async () => doubler);
  const model = await loadRemote('x:', {}, makeHost);
  const spare = () => model.spare.buffers.map(({ byteLength }) => byteLength);
  const answers = await Promise.all([1, 2].map((x) => model.run(feed(x))));
  assert.deepEqual(answers.map(({ y }) => y.data[0]), [2, 4]);
  assert.deepEqual(spare(), [4, 4]);
  for (const x of [3, 4, 5]) assert.equal((await model.run(feed(x))).y.data[0], 2 * x);
  assert.deepEqual(spare(), [4, 4]);
  await model.run(feed(1, 2, 3));
  assert.deepEqual(spare(), [12], 'buffers of a size that is no longer fed are let go');
  doubler.run = async ({ x }) => ({ y: { data: x.data.subarray(1), shape: [2] } });
  const { y } = await model.run(feed(6, 7, 8));
  assert.deepEqual(spare(), []);
  await model.run(feed(9, 9, 9));
  assert.deepEqual([...y.data], [7, 8]);
  await model.dispose();
});

test('errors keep their kind across the channel', async () => {
  const { makeHost } = joined(async () => new Doubler());
  const model = await loadRemote('x:', {}, makeHost);
  await assert.rejects(model.run(feed(13)), (/** @type {any} */ error) => {
    assert.ok(error instanceof InPageError);
    assert.deepEqual([error.code, error.where, error.hint], ['invalid_input', 'x', 'choose another']);
    return true;
  });
  await assert.rejects(model.run(/** @type {any} */ ({ x: 5 })), { code: 'invalid_input', where: 'input "x"' });
  await assert.rejects(model.run(/** @type {any} */ ({ z: 5 })), { code: 'invalid_input' });
  await assert.rejects(model.run({ x: { data: Float32Array.of(1), shape: /** @type {any} */ ([() => 1]) } }), { code: 'invalid_input', where: 'run()' });
  assert.equal((await model.run(feed(3))).y.data[0], 6);
  await model.dispose();
  const failing = joined(async () => { throw new InPageError('not_found', 'gone'); });
  await assert.rejects(loadRemote('x:', {}, failing.makeHost), { code: 'not_found' });
  assert.equal(failing.worker.terminated, true);
});

test('an abort rejects at once and reaches the worker', async () => {
  const doubler = new Doubler();
  const { makeHost } = joined(async () => doubler);
  const model = await loadRemote('x:', {}, makeHost);
  const controller = new AbortController();
  const stuck = model.run(feed(99), { signal: controller.signal });
  setTimeout(() => controller.abort(), 10);
  await assert.rejects(stuck, { code: 'aborted' });
  assert.equal((await model.run(feed(1))).y.data[0], 2);
  assert.equal(doubler.aborted, 1);
  await model.dispose();
});

test('a model that arrives after its load was aborted is disposed', async () => {
  const late = new Doubler();
  /** @type {(model: any) => void} */
  let finish = () => {};
  let first = true;
  const { makeHost } = joined(() => {
    if (!first) return Promise.resolve(new Doubler());
    first = false;
    return new Promise((resolve) => { finish = resolve; });
  });
  const other = await loadRemote('x:', {}, () => { const host = makeHost(); first = false; return host; });
  first = true;
  const controller = new AbortController();
  const load = loadRemote('x:', { signal: controller.signal }, makeHost);
  await new Promise((resolve) => { setTimeout(resolve, 10); });
  controller.abort();
  await assert.rejects(load, { code: 'aborted' });
  finish(late);
  for (let i = 0; i < 100 && !late.disposed; i++) await new Promise((resolve) => { setTimeout(resolve, 5); });
  assert.equal(late.disposed, true);
  await other.dispose();
});

test('a callback that throws ends the load with what it threw', async () => {
  const { makeHost } = joined(async (_, { onProgress }) => { onProgress({ stage: 'weights', loaded: 0, total: 0 }); return new Doubler(); });
  await assert.rejects(loadRemote('x:', { onProgress() { throw new Error('mine'); } }, makeHost), /^Error: mine$/);
});

test('a worker that fails rejects every waiting call, and the model stays lost', async () => {
  const { worker, makeHost } = joined(async () => new Doubler());
  const model = await loadRemote('x:', {}, makeHost);
  const calls = [model.run(feed(99)), model.run(feed(99))].map((call) => assert.rejects(call, { code: 'worker_lost', message: /out of luck/ }));
  await new Promise((resolve) => { setTimeout(resolve, 10); });
  worker.fire('error', { message: 'out of luck' });
  await Promise.all(calls);
  await assert.rejects(model.run(feed(1)), { code: 'worker_lost' });
  assert.deepEqual(model.memory(), { bytes: 0 });
  await model.dispose();
});

test('a worker that never answers, cannot be made or sends what cannot be read is lost', async () => {
  const silent = { postMessage() {}, addEventListener() {}, terminate() {} };
  await assert.rejects(loadRemote('x:', {}, () => new WorkerHost(() => silent, 30)), { code: 'worker_lost', message: /within 30 ms/ });
  await assert.rejects(loadRemote('x:', {}, () => new WorkerHost(() => { throw new Error('policy'); })), { code: 'worker_lost', message: /refused/ });
  const { worker, makeHost } = joined(() => new Promise(() => {}));
  const load = assert.rejects(loadRemote('x:', {}, makeHost), { code: 'worker_lost' });
  worker.fire('messageerror', {});
  await load;
});

test('dispose rejects the calls in progress', async () => {
  const { makeHost } = joined(async () => new Doubler());
  const model = await loadRemote('x:', {}, makeHost);
  const call = assert.rejects(model.run(feed(99)), { code: 'disposed' });
  await new Promise((resolve) => { setTimeout(resolve, 10); });
  await model.dispose();
  await call;
});

test('kernels that the page compiled are the worker\'s; what it could not, the worker compiles itself', async () => {
  const lent = new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0));
  for (const module of [lent, null]) {
    const fresh = await import(`../../static/runtime/kernels.js?${module ? 'lent' : 'own'}`);
    assert.equal(await fresh.kernels(Promise.resolve(module)) === lent, module === lent);
    assert.equal(await fresh.kernels(), await fresh.kernels());
  }
});
