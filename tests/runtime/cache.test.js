// The shard cache over a Cache that keeps its entries in a Map and can be full.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openStore, ShardStore } from '../../static/runtime/cache.js';

Object.defineProperty(globalThis, 'location', { value: new URL('https://page.example/'), configurable: true });

/** A Cache of at most `quota` bytes. */
class FakeCache {
  /** @param {number} quota */
  constructor(quota = Infinity) {
    this.quota = quota;
    /** @type {Map<string, Uint8Array<ArrayBuffer>>} */
    this.entries = new Map();
  }

  /** @param {any} request */
  async match(request) {
    const bytes = this.entries.get(request.url ?? request);
    return bytes && new Response(bytes);
  }

  /** @param {any} request @param {Response} response */
  async put(request, response) {
    const bytes = new Uint8Array(await response.arrayBuffer());
    const others = [...this.entries].filter(([key]) => key !== request).reduce((sum, [, entry]) => sum + entry.length, 0);
    if (others + bytes.length > this.quota) throw new DOMException('full', 'QuotaExceededError');
    this.entries.set(request, bytes);
  }

  /** @param {any} request */
  async delete(request) { return this.entries.delete(request.url ?? request); }

  async keys() { return [...this.entries.keys()].map((url) => new Request(url)); }

  get hashes() {
    return [...this.entries.keys()].map((url) => url.split('/').pop()).filter((leaf) => leaf !== 'index.json').sort();
  }
}

/** @param {string} hash @param {number} bytes */
const shard = (hash, bytes) => ({ hash, bytes, data: new Uint8Array(bytes).fill(hash.charCodeAt(0)) });
const later = () => new Promise((resolve) => { setTimeout(resolve, 3); });

test('what is kept is found again, and no more', async () => {
  const cache = new FakeCache();
  const store = new ShardStore(cache, 1000);
  assert.equal(await store.keep([shard('aa', 10), shard('bb', 20)]), true);
  const again = new ShardStore(cache, 1000);
  assert.deepEqual(await again.get('aa'), new Uint8Array(10).fill(97));
  assert.equal(await again.get('cc'), null);
  await again.remove('aa');
  assert.equal(await again.get('aa'), null);
});

test('the least recently used go first when the budget is full', async () => {
  const cache = new FakeCache();
  const store = new ShardStore(cache, 250);
  for (const hash of ['aa', 'bb']) { await store.keep([shard(hash, 100)]); await later(); }
  await store.keep([{ ...shard('aa', 100), data: null }]); // used again
  await later();
  await store.keep([shard('cc', 100)]);
  assert.deepEqual(cache.hashes, ['aa', 'cc']);
});

test('a model larger than the budget is not stored', async () => {
  const cache = new FakeCache();
  assert.equal(await new ShardStore(cache, 150).keep([shard('aa', 100), shard('bb', 100)]), false);
  assert.deepEqual(cache.hashes, []);
});

test('a full quota makes room by giving up other models', async () => {
  const cache = new FakeCache(300);
  const store = new ShardStore(cache, 10_000);
  await store.keep([shard('aa', 150)]);
  await later();
  assert.equal(await store.keep([shard('bb', 150)]), true);
  assert.deepEqual(cache.hashes, ['bb']);
});

test('a quota too small for one model is no error', async () => {
  const cache = new FakeCache(150);
  assert.equal(await new ShardStore(cache, 10_000).keep([shard('aa', 500)]), false);
});

test('entries that no index lists are removed, and a broken index is started anew', async () => {
  const cache = new FakeCache();
  const store = new ShardStore(cache, 1000);
  await store.keep([shard('aa', 10)]);
  cache.entries.set('https://page.example/.paddle-inpage/index.json', new Uint8Array(Buffer.from('not json')));
  assert.equal(await store.keep([shard('bb', 10)]), true);
  assert.deepEqual(cache.hashes, ['bb']);
});

test('a cache that fails altogether is as none', async () => {
  const broken = /** @type {any} */ (new Proxy({}, { get: () => async () => { throw new Error('storage is gone'); } }));
  const store = new ShardStore(broken, 100);
  assert.equal(await store.get('aa'), null);
  await store.remove('aa');
  assert.equal(await store.keep([shard('aa', 1)]), false);
});

test('where there is no Cache API there is no store', async () => {
  assert.equal(await openStore(), null);
});
