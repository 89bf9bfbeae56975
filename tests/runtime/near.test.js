// Files that the page fetched reach the worker part by part, and the worker does without them where they do not.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import test, { after, before } from 'node:test';
import { Deliveries, forward, namedInHead } from '../../static/runtime/near.js';

const PARTS = ['one ', 'two ', 'three'].map((text) => new TextEncoder().encode(text));
/** @type {import('node:http').Server} */
let server;
let site = '', asked = 0;

before(async () => {
  server = createServer((request, response) => {
    asked++;
    if (request.url === '/gone') response.writeHead(404).end();
    else if (request.url === '/cut') { response.writeHead(200, { 'content-length': '100' }); response.write('o', () => response.destroy()); }
    else response.end('from the network');
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', () => resolve(undefined)); });
  site = `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`;
});
after(() => { server.closeAllConnections(); server.close(); });

const textOf = async (/** @type {Promise<Response>} */ answer) => (await answer).text();

test('what is sent is the answer, in order, before its end is there', async () => {
  const near = new Deliveries([`${site}/a`]), answer = near.fetch(`${site}/a`, {});
  near.take({ url: `${site}/a`, part: PARTS[0] });
  const reader = /** @type {ReadableStream} */ ((await answer).body).getReader();
  assert.deepEqual((await reader.read()).value, PARTS[0]);
  for (const part of PARTS.slice(1)) near.take({ url: `${site}/a`, part });
  near.take({ url: `${site}/a`, ends: true });
  assert.deepEqual([(await reader.read()).value, (await reader.read()).value, (await reader.read()).done], [PARTS[1], PARTS[2], true]);
});

test('who asks twice, or for another file, is given the network', async () => {
  const near = new Deliveries([`${site}/a`]), before = asked;
  near.take({ url: `${site}/a`, part: PARTS[0] });
  near.take({ url: `${site}/a`, ends: true });
  near.take({ url: `${site}/none`, ends: true }); // nobody waits for it
  assert.equal(await textOf(near.fetch(`${site}/a`, {})), 'one ');
  assert.equal(asked, before);
  assert.equal(await textOf(near.fetch(`${site}/a`, {})), 'from the network');
  assert.equal(await textOf(near.fetch(`${site}/b`, {})), 'from the network');
  assert.deepEqual([near.has(`${site}/a`), near.has(`${site}/b`)], [true, false]);
});

test('a hash belongs to what was sent, not to what came from the network after it', async () => {
  const url = `${site}/a`, near = new Deliveries([url]);
  near.take({ url, part: PARTS[0] });
  near.take({ url, ends: true, hash: 'of one' });
  assert.equal(near.hashOf(url), undefined);
  await textOf(near.fetch(url, {}));
  assert.equal(near.hashOf(url), 'of one');
  await textOf(near.fetch(url, {}));
  assert.equal(near.hashOf(url), undefined);
});

test('what the page could not get is asked for; what breaks off is an error', async () => {
  const near = new Deliveries([`${site}/a`, `${site}/b`]), early = near.fetch(`${site}/a`, {});
  near.take({ url: `${site}/a`, failed: true });
  assert.equal(await textOf(early), 'from the network');
  near.take({ url: `${site}/b`, part: PARTS[0] });
  const text = textOf(near.fetch(`${site}/b`, {}));
  near.take({ url: `${site}/b`, failed: true });
  await assert.rejects(text, TypeError);
});

test('an abort ends a file that does not come', async () => {
  const near = new Deliveries([`${site}/a`]), stop = new AbortController();
  near.take({ url: `${site}/a`, part: PARTS[0] });
  const text = textOf(near.fetch(`${site}/a`, { signal: stop.signal }));
  stop.abort();
  await assert.rejects(text, { name: 'AbortError' });
  near.take({ url: `${site}/a`, part: PARTS[1] }); // late: nobody listens any more
});

test('the page sends a file on, and says when it cannot', async () => {
  /** @type {import('../../static/runtime/near.js').Delivery[]} */
  const sent = [];
  const send = (/** @type {any} */ delivery, /** @type {Transferable[]} */ transfer) => {
    assert.deepEqual(transfer, delivery.part ? [delivery.part.buffer] : []);
    sent.push(delivery);
  };
  await forward(`${site}/a`, new AbortController().signal, send);
  const hash = createHash('sha256').update('from the network').digest('hex');
  assert.deepEqual(sent.at(-1), { url: `${site}/a`, ends: true, hash });
  assert.equal(new TextDecoder().decode(/** @type {Uint8Array} */ (sent[0].part)), 'from the network');
  for (const name of ['gone', 'cut']) {
    await forward(`${site}/${name}`, new AbortController().signal, send);
    assert.deepEqual(sent.at(-1), { url: `${site}/${name}`, failed: true });
  }
  const count = sent.length;
  await forward(`${site}/a`, AbortSignal.abort(), send);
  assert.equal(sent.length, count);
});

test('only what lies below the folder counts, once', (t) => {
  const links = ['/m/1/model.json', '/m/1/chunk_1.dat', '/m/1/chunk_1.dat', '/m/12/model.json'].map((path) => ({ href: site + path }));
  Object.assign(globalThis, { document: { querySelectorAll: (/** @type {string} */ what) => (what.includes('preload') ? links : []) } });
  t.after(() => Reflect.deleteProperty(globalThis, 'document'));
  assert.deepEqual(namedInHead(`${site}/m/1/model.json?key`), [`${site}/m/1/model.json`, `${site}/m/1/chunk_1.dat`]);
});
