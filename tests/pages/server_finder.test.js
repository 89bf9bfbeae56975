// The finder on the server: moved there and back, left alone while the server is away, and never blocking a photo.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Finder } from '../../static/pages/scanner/finder.js';

/** @typedef {import('../../static/pages/scanner/quad.js').Quad} Quad */

/** @type {Quad} */
const CORNERS = [[0, 0], [1, 0], [1, 1], [0, 1]];
class HTMLVideoElement {}
Object.assign(globalThis, { HTMLVideoElement });
const VIDEO = /** @type {any} */ (new HTMLVideoElement()), PHOTO = /** @type {any} */ ({});

/** @param {string} code */
const problem = (code) => Object.assign(new Error(code), { code });

/** A finder on a device that cannot, with a detector whose failures the test sets. */
function world() {
  /** @type {any} */
  const state = { clock: 0, failure: null, asked: 0, releases: 0, prepared: [], options: null };
  const finder = new Finder(async () => /** @type {any} */ ({
    prepare: async (/** @type {any} */ options) => {
      state.prepared.push(options.place);
      state.options = options;
      if (state.preparing) await state.preparing;
    },
    detectDocument: async () => {
      state.asked++;
      if (state.waiting) await state.waiting;
      if (state.failure) throw state.failure;
      return { corners: CORNERS, score: 1 };
    },
    release: () => { state.releases++; },
    backend: () => 'server',
  }), { able: () => false, now: () => state.clock });
  return { finder, state };
}

test('nothing goes to the server before it is the place', async (context) => {
  context.mock.method(console, 'warn', () => {});
  const { finder, state } = world();
  assert.equal(await finder.find(PHOTO), null);
  assert.deepEqual([finder.problem, state.prepared], ['no_simd', []]);
  assert.equal(await finder.lookOn('server'), true);
  assert.equal((await finder.find(PHOTO))?.corners, CORNERS);
  assert.deepEqual([state.prepared, finder.place, finder.state], [['server'], 'server', 'ready']);
  assert.equal(await finder.lookOn('device'), false);
  assert.deepEqual([finder.problem, finder.place, state.releases], ['no_simd', 'device', 1]);
});

test('a server that is away is left alone, longer each time; a photo is tried at once', async (context) => {
  context.mock.method(console, 'warn', () => {});
  const { finder, state } = world();
  await finder.lookOn('server');
  state.failure = problem('network');
  const pauses = [];
  for (let i = 0; i < 7; i++) {
    assert.equal(await finder.find(VIDEO), null);
    pauses.push(/** @type {any} */ (finder.away).until - state.clock);
    const { asked } = state;
    state.clock += pauses[i] - 1;
    await finder.find(VIDEO);
    assert.equal(state.asked, asked, 'asked during the pause');
    state.clock += 1;
  }
  assert.deepEqual(pauses, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  await finder.find(VIDEO);
  state.failure = null;
  assert.equal((await finder.find(PHOTO))?.corners, CORNERS);
  assert.deepEqual([finder.away, finder.state], [null, 'ready']);
});

test('a busy server\'s own wish counts', async (context) => {
  context.mock.method(console, 'warn', () => {});
  const { finder, state } = world();
  await finder.lookOn('server');
  state.failure = problem('server_busy');
  state.options.onServer({ state: 'busy', retry_ms: 5000 });
  await finder.find(VIDEO);
  assert.deepEqual(finder.away, { state: 'busy', until: 5000 });
});

test('a server that says no ends it, in its own words', async (context) => {
  context.mock.method(console, 'error', () => {});
  const { finder, state } = world();
  await finder.lookOn('server');
  state.failure = problem('server_failed');
  assert.equal(await finder.find(PHOTO), null);
  assert.deepEqual([finder.state, finder.problem, finder.place], ['failed', 'server', 'server']);
});

test('an answer that comes after the place changed is dropped', async () => {
  const { finder, state } = world();
  await finder.lookOn('server');
  /** @type {(value?: unknown) => void} */
  let arrive = () => {};
  state.waiting = new Promise((resolve) => { arrive = resolve; });
  const found = finder.find(VIDEO);
  while (!state.asked) await null;
  await finder.lookOn('device');
  arrive();
  assert.equal(await found, null);
  assert.deepEqual([finder.problem, finder.away], ['no_simd', null]);
});

test('a place that is left while it gets ready does not come back', async () => {
  const { finder, state } = world();
  /** @type {(value?: unknown) => void} */
  let arrive = () => {};
  state.preparing = new Promise((resolve) => { arrive = resolve; });
  const first = finder.lookOn('server');
  while (!state.prepared.length) await null;
  const back = finder.lookOn('device');
  arrive();
  assert.deepEqual([await first, await back, finder.state, finder.problem], [false, false, 'failed', 'no_simd']);
});
