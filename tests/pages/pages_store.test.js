import assert from 'node:assert/strict';
import { test } from 'node:test';

import { normalTurn, PagesStore } from '../../static/pages/scanner/pages_store.js';
import { Renderer } from '../../static/pages/scanner/renderer.js';
import { parseSettings, Settings } from '../../static/pages/scanner/settings.js';

/** @typedef {import('../../static/pages/scanner/pages_store.js').Look} Look */

/** A store that counts the URLs it holds. */
function makeStore() {
  const held = new Set();
  let made = 0;
  const store = new PagesStore({
    makeUrl: () => {
      held.add(`blob:${++made}`);
      return `blob:${made}`;
    },
    dropUrl: (url) => assert.ok(held.delete(url), `${url} is dropped once`),
  });
  return { store, held };
}

/** @param {PagesStore} store */
function add(store) {
  /** @type {Look} */
  const look = { corners: [[0, 0], [4, 0], [4, 3], [0, 3]], mode: 'colour', turn: 0 };
  return store.add({ source: new Blob(['x']), size: { width: 4, height: 3 }, detected: null, look });
}

const picture = (revision = 1) => ({ revision, width: 4, height: 3, blob: new Blob(['p']), bits: null });

test('pages keep their order through moves, removal and undo', () => {
  const { store } = makeStore();
  const ids = [add(store), add(store), add(store)].map(({ id }) => id);
  store.move(ids[2], 0);
  assert.deepEqual(store.pages.map(({ id }) => id), [ids[2], ids[0], ids[1]]);
  store.move(ids[2], 99);
  assert.deepEqual(store.pages.map(({ id }) => id), [ids[0], ids[1], ids[2]]);
  const removed = store.remove(ids[1]);
  assert.equal(store.length, 2);
  assert.equal(store.get(ids[1]), null);
  store.restore(/** @type {any} */ (removed));
  assert.deepEqual(store.pages.map(({ id }) => id), ids);
  assert.equal(store.remove('page-99'), null);
});

test('a finished picture of an older look is not taken', () => {
  const { store } = makeStore();
  const { id } = add(store);
  store.restyle(id, { mode: 'grey' });
  store.finish(id, picture(1));
  assert.equal(store.get(id)?.state, 'waiting');
  store.fail(id, 1, 'too late');
  assert.equal(store.get(id)?.state, 'waiting');
  store.finish(id, picture(2));
  assert.equal(store.get(id)?.state, 'ready');
  assert.equal(store.allReady, true);
});

test('every URL is given back', () => {
  const { store, held } = makeStore();
  const { id } = add(store);
  store.finish(id, picture());
  store.restyle(id, { turn: 90 });
  store.finish(id, picture(2));
  assert.equal(held.size, 1);
  const removed = store.remove(id);
  assert.equal(held.size, 1, 'an undo still needs it');
  store.discard(/** @type {any} */ (removed).page);
  assert.equal(held.size, 0);
});

test('unsaved: after any change of the pages, not after rendering, not when empty', () => {
  const { store } = makeStore();
  assert.equal(store.unsaved, false);
  const { id } = add(store);
  assert.equal(store.unsaved, true);
  store.markSaved();
  assert.equal(store.unsaved, false);
  store.finish(id, picture());
  assert.equal(store.unsaved, false);
  store.restyle(id, { mode: 'grey' });
  assert.equal(store.unsaved, true);
  store.remove(id);
  assert.equal(store.unsaved, false);
});

test('turns stay within a full circle', () => {
  assert.deepEqual([-90, 0, 360, 450].map(normalTurn), [270, 0, 0, 90]);
});

test('the renderer makes one page at a time, the one in view first, and reports failures', async () => {
  const { store } = makeStore();
  /** @type {string[]} */
  const order = [];
  let running = 0;
  const maker = {
    makePage: async (/** @type {{id: string}} */ { id }) => {
      assert.equal(++running, 1);
      order.push(id);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      if (id === 'page-2') throw new RangeError('no memory');
      return { width: 1, height: 1, blob: new Blob(), bits: null };
    },
  };
  const { error } = console;
  console.error = () => {};
  new Renderer(store, maker, () => store.get('page-3'));
  add(store);
  add(store);
  add(store);
  const deadline = Date.now() + 2000;
  while (store.pages.some(({ state }) => state === 'waiting') && Date.now() < deadline) await new Promise((resolve) => setImmediate(resolve));
  console.error = error;
  assert.deepEqual(order, ['page-1', 'page-3', 'page-2']);
  assert.deepEqual(store.pages.map(({ state }) => state), ['ready', 'failed', 'ready']);
  assert.equal(store.get('page-2')?.problem, 'no memory');
});

test('settings survive damage and a browser that stores nothing', (context) => {
  context.mock.method(console, 'warn', () => {});
  assert.equal(parseSettings('{"auto": true, "mode": "sepia", "evil": 1}').auto, true);
  assert.equal(parseSettings('{"mode": "sepia"}').mode, 'colour');
  assert.equal('evil' in parseSettings('{"evil": 1}'), false);
  assert.equal(parseSettings('{{').check, true);
  assert.equal(parseSettings('null').check, true);
  const full = { getItem: () => null, setItem: () => { throw new DOMException('full', 'QuotaExceededError'); } };
  const settings = new Settings(full);
  settings.set('auto', true);
  assert.equal(settings.get('auto'), true);
});
