import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Finder } from '../../static/pages/scanner/finder.js';
import { cameraProblem, finderProblem } from '../../static/pages/scanner/problems.js';
import { VisionClient } from '../../static/pages/scanner/vision_client.js';

/** @typedef {import('../../static/pages/scanner/quad.js').Quad} Quad */

/** @type {Quad} */
const CORNERS = [[0, 0], [1, 0], [1, 1], [0, 1]];
const PICTURE = /** @type {any} */ ({});
const JOB = /** @type {any} */ ({ id: 'page-1' });
const lost = () => Object.assign(new Error('gone'), { code: 'worker_lost' });

/** @param {Partial<import('../../static/pages/scanner/finder.js').Detector>} detector @param {object} [environment] */
function makeFinder(detector, environment = {}) {
  const calls = { imports: 0, releases: 0 };
  const whole = {
    prepare: async () => {}, detectDocument: async () => ({ corners: CORNERS, score: 1 }),
    release: () => { calls.releases += 1; }, backend: () => 'wasm', ...detector,
  };
  const finder = new Finder(async () => {
    calls.imports += 1;
    return whole;
  }, { able: () => true, now: () => 0, ...environment });
  return { finder, calls };
}

/** A worker whose behaviour the test writes. */
class FakeWorker extends EventTarget {
  terminated = false;
  /** @param {(worker: FakeWorker, message: any) => void} react */
  constructor(react) {
    super();
    this.react = react;
  }
  /** @param {any} message */
  postMessage(message) {
    setImmediate(() => this.react(this, message));
  }
  terminate() {
    this.terminated = true;
  }
  /** @param {any} data */
  answer(data) {
    this.dispatchEvent(Object.assign(new Event('message'), { data }));
  }
}

test('the finder is prepared once, with progress, and finds', async () => {
  /** @type {number[]} */
  const seen = [];
  const { finder, calls } = makeFinder({
    prepare: async ({ onProgress }) => {
      onProgress?.({ loaded: 5, total: 10 });
      onProgress?.({ loaded: 0, total: 0 });
    },
  });
  finder.addEventListener('change', () => seen.push(finder.progress));
  assert.deepEqual(await Promise.all([finder.prepare(), finder.prepare()]), [true, true]);
  assert.equal((await finder.find(PICTURE))?.corners, CORNERS);
  assert.equal(calls.imports, 1);
  assert.ok(seen.includes(0.5));
  assert.equal(finder.state, 'ready');
});

test('without any backend nothing is fetched and nothing found', async () => {
  const { finder, calls } = makeFinder({}, { able: () => false });
  assert.equal(await finder.find(PICTURE), null);
  assert.equal(finder.problem, 'no_simd');
  assert.equal(calls.imports, 0);
});

test('a failed download says so and can be tried again', async (context) => {
  context.mock.method(console, 'error', () => {});
  let fails = true;
  const { finder } = makeFinder({
    prepare: async () => {
      if (fails) throw Object.assign(new Error('no network'), { code: 'network' });
    },
  });
  assert.equal(await finder.prepare(), false);
  assert.equal(finder.problem, 'download');
  fails = false;
  assert.equal(await finder.retry(), true);
  assert.equal(finder.problem, null);
});

test('a lost worker is started again once, then the person is asked', async (context) => {
  context.mock.method(console, 'error', () => {});
  let losses = 1;
  const { finder, calls } = makeFinder({
    detectDocument: async () => {
      if (losses-- > 0) throw lost();
      return { corners: CORNERS, score: 1 };
    },
  });
  assert.equal((await finder.find(PICTURE))?.corners, CORNERS);
  assert.equal(calls.releases, 1);
  assert.equal(finder.state, 'ready');
  losses = 2;
  assert.equal(await finder.find(PICTURE), null);
  assert.equal(finder.problem, 'lost');
  losses = 1;
  assert.equal(await finder.retry(), true);
  assert.equal((await finder.find(PICTURE))?.corners, CORNERS, 'a retry brings a fresh right to a restart');
});

test('a picture that cannot be read does not end the finder', async (context) => {
  context.mock.method(console, 'warn', () => {});
  const { finder, calls } = makeFinder({
    detectDocument: async () => { throw Object.assign(new Error('no frame yet'), { code: 'invalid_input' }); },
  });
  assert.equal(await finder.find(PICTURE), null);
  assert.equal(finder.state, 'ready');
  assert.equal(calls.releases, 0);
});

test('pictures wait for one another', async () => {
  let running = 0;
  const { finder } = makeFinder({
    detectDocument: async () => {
      assert.equal(++running, 1);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      return null;
    },
  });
  assert.deepEqual(await Promise.all([1, 2, 3].map(() => finder.find(PICTURE))), [null, null, null]);
});

test('errors of the camera and the finder become designed states', () => {
  const codes = ['NotAllowedError', 'NotFoundError', 'NotReadableError', 'OverconstrainedError', 'Odd'];
  assert.deepEqual(codes.map((name) => cameraProblem(new DOMException('x', name)).code), ['refused', 'missing', 'busy', 'missing', 'busy']);
  assert.equal(finderProblem(Object.assign(new Error('x'), { code: 'no_backend' })), 'no_simd');
  assert.equal(finderProblem(new TypeError('Failed to fetch dynamically imported module')), 'download');
  assert.equal(finderProblem(new Error('?')), 'broken');
});

test('calls to the pixel worker are answered by number, errors keep their words', async () => {
  const client = new VisionClient({
    start: () => new FakeWorker((worker, { id, op }) => {
      if (op === 'makePng') worker.answer({ id, error: { name: 'RangeError', message: 'too narrow' } });
      else setImmediate(() => worker.answer({ id, value: `page ${id}` }));
    }),
  });
  const [page, png] = await Promise.allSettled([client.makePage(JOB), client.makePng(JOB)]);
  assert.equal(/** @type {any} */ (page).value, 'page 1');
  assert.equal(/** @type {any} */ (png).reason.message, 'too narrow');
});

test('a pixel worker that dies is started again once per call', async (context) => {
  context.mock.method(console, 'error', () => {});
  /** @type {FakeWorker[]} */
  const workers = [];
  let deaths = 1;
  const client = new VisionClient({
    start: () => {
      const worker = new FakeWorker((self, { id }) => {
        if (deaths-- > 0) self.dispatchEvent(new Event('error'));
        else self.answer({ id, value: 'made' });
      });
      workers.push(worker);
      return worker;
    },
  });
  assert.equal(await client.makePage(JOB), 'made');
  assert.equal(workers.length, 2);
  assert.equal(workers[0].terminated, true);
  deaths = 2;
  await assert.rejects(client.makePage(JOB), { name: 'WorkerLost', code: 'worker_lost' });
  assert.equal(await client.makePage(JOB), 'made', 'the next call begins afresh');
});

test('a silent pixel worker is given up, and closing ends what waits', async (context) => {
  context.mock.method(console, 'error', () => {});
  const silent = new VisionClient({ start: () => new FakeWorker(() => {}), timeoutMs: 20 });
  await assert.rejects(silent.makePage(JOB), { code: 'worker_lost' });
  const closing = new VisionClient({ start: () => new FakeWorker(() => {}) });
  const waiting = closing.makePage(JOB);
  closing.close();
  await assert.rejects(waiting, { name: 'AbortError' });
});
