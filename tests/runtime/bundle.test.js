// Bundles over HTTP: what arrives, what is refused, and that nothing hangs.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadBundle } from '../../static/runtime/bundle.js';
import { Deliveries } from '../../static/runtime/near.js';
import { FAST, hashOf, makeBundle, serveBundle } from './bundle_helpers.js';

/** @typedef {import('./bundle_helpers.js').Fault} Fault */

const MiB = 1024 * 1024;

/**
 * Loads a bundle from a server with faults.
 * @param {Record<string, Fault>} faults
 * @param {import('../../static/runtime/bundle.js').BundleOptions & {bundle?: import('./bundle_helpers.js').MadeBundle}} [options]
 */
async function loadWith(faults, { bundle = makeBundle(), ...options } = {}) {
  const server = await serveBundle(bundle, faults);
  try {
    return { loaded: await loadBundle(server.url, { policy: FAST, ...options }), server };
  } finally {
    await server.close();
  }
}

/** @param {string} code @param {RegExp} [message] */
const failing = (code, message = /./) => (/** @type {any} */ error) => {
  assert.equal(error.name, 'InPageError', String(error?.stack));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, message);
  return true;
};

/** @type {(status: number, times?: number) => Fault} */
const answers = (status, times = Infinity) => (_, response, nth) => {
  if (nth > times) return false;
  response.writeHead(status).end();
  return true;
};

test('weights of several chunks arrive, with progress that only grows', async () => {
  /** @type {import('../../static/runtime/bundle.js').Progress[]} */
  const steps = [];
  const { loaded } = await loadWith({}, { bundle: makeBundle({ ballast: 9 * MiB + 1 }), onProgress: (step) => steps.push(step) });
  assert.deepEqual([.../** @type {any} */ (loaded.weights.get('w'))], [1, 2, 3, 4]); // starts at an odd byte
  assert.equal(loaded.weights.get('b')?.length, 9 * MiB + 1);
  assert.ok(loaded.weights.get('b')?.every((/** @type {any} */ byte) => byte === 7));
  const bytes = steps.map((step) => step.loaded);
  assert.deepEqual(bytes, [...bytes].sort((a, b) => a - b));
  assert.equal(bytes.at(-1), 9 * MiB + 17);
  assert.ok(steps.length > 6, `only ${steps.length} reports`);
  assert.ok(steps.some(({ stage }) => stage === 'weights'));
});

test('the folder, the folder with a slash and model.json are the same address; a query goes to every file', async () => {
  /** @type {string[]} */
  const asked = [];
  const fault = (/** @type {any} */ request) => { asked.push(request.url); };
  const server = await serveBundle(makeBundle(), { 'model.json': fault, 'chunk_1.dat': fault });
  try {
    for (const end of ['', '/', '/model.json', '?v=3']) await loadBundle(server.url + end, { policy: FAST });
  } finally {
    await server.close();
  }
  assert.deepEqual(asked.slice(0, 6), [1, 2, 3].flatMap(() => ['/bundle/model.json', '/bundle/chunk_1.dat']));
  assert.deepEqual(asked.slice(6), ['/bundle/model.json?v=3', '/bundle/chunk_1.dat?v=3']);
});

test('a missing bundle or chunk is not_found at once', async () => {
  const gone = await serveBundle(makeBundle(), { 'chunk_1.dat': answers(404), 'model.json': () => false });
  await assert.rejects(loadBundle(gone.url, { policy: FAST }), failing('not_found', /chunk_1\.dat/));
  assert.equal(gone.count('chunk_1.dat'), 1);
  await assert.rejects(loadBundle(`${gone.url}/nowhere`, { policy: FAST }), failing('not_found', /nowhere\/model\.json/));
  await gone.close();
});

test('a server that fails for a while is asked again; one that keeps failing is a network error', async () => {
  const { server } = await loadWith({ 'chunk_1.dat': answers(503, 2) });
  assert.equal(server.count('chunk_1.dat'), 3);
  await assert.rejects(loadWith({ 'chunk_1.dat': answers(500) }), failing('network', /500/));
  await assert.rejects(loadWith({ 'chunk_1.dat': answers(403) }), failing('network', /403/));
});

test('a connection cut in the middle is asked again, then a network error', async () => {
  /** @type {(times: number) => Fault} */
  const cut = (times) => (_, response, nth) => {
    if (nth > times) return false;
    response.writeHead(200, { 'content-length': 16 });
    response.write(Buffer.alloc(8), () => response.destroy());
    return true;
  };
  await loadWith({ 'chunk_1.dat': cut(2) });
  await assert.rejects(loadWith({ 'chunk_1.dat': cut(9) }), failing('network'));
});

test('a body that ends early without a word is asked again, then damaged', async () => {
  /** @type {(times: number) => Fault} */
  const short = (times) => (_, response, nth) => {
    if (nth > times) return false;
    response.writeHead(200).end(Buffer.alloc(8));
    return true;
  };
  await loadWith({ 'chunk_1.dat': short(1) });
  await assert.rejects(loadWith({ 'chunk_1.dat': short(9) }), failing('damaged', /8 bytes where the bundle says 16/));
});

test('a body that does not end is cut off', async () => {
  await assert.rejects(loadWith({ 'chunk_1.dat': (_, response) => {
    response.writeHead(200);
    response.write(Buffer.alloc(MiB));
    return true;
  } }), failing('damaged', /more than 16 bytes/));
});

test('a server that stalls, before or within the body, ends as a network error', async () => {
  await assert.rejects(loadWith({ 'chunk_1.dat': () => true }), failing('network', /sent nothing for 300 ms/));
  await assert.rejects(loadWith({ 'model.json': (_, response) => {
    response.writeHead(200);
    response.write('{');
    return true;
  } }), failing('network', /sent nothing/));
});

test('a stalled attempt is followed by one that works', async () => {
  const { server } = await loadWith({ 'chunk_1.dat': (_, __, nth) => nth === 1 });
  assert.equal(server.count('chunk_1.dat'), 2);
});

test('what the page sends is taken with the hash that it made, if that is the right one', async () => {
  const bundle = makeBundle(), server = await serveBundle(bundle), url = new URL('chunk_1.dat', `${server.url}/`).href;
  const good = new Uint8Array(bundle.files['chunk_1.dat']), bad = good.map((byte, i) => (i === 5 ? byte ^ 1 : byte));
  try {
    for (const [sent, requests] of /** @type {const} */ ([[good, 0], [bad, 1]])) { // a bad one: from the network after all
      const near = new Deliveries([url]);
      near.take({ url, part: sent.slice() });
      near.take({ url, ends: true, hash: hashOf(Buffer.from(sent)) });
      const { weights } = await loadBundle(server.url, { policy: FAST, near });
      assert.deepEqual([...weights.values()].map((data) => [...data]), [[1, 2, 3, 4]]);
      assert.equal(server.count('chunk_1.dat'), requests);
    }
  } finally {
    await server.close();
  }
});

test('a flipped byte: once more past the caches, model.json looked at again, then damaged', async () => {
  const bad = Buffer.from(makeBundle().files['chunk_1.dat']);
  bad[5] ^= 1;
  /** @type {string[]} */
  const cacheControl = [];
  /** @type {(times: number) => Fault} */
  const flipped = (times) => (request, response, nth) => {
    cacheControl.push(String(request.headers['cache-control']));
    if (nth > times) return false;
    response.writeHead(200, { 'content-length': bad.length }).end(bad);
    return true;
  };
  await loadWith({ 'chunk_1.dat': flipped(1) });
  assert.deepEqual(cacheControl, ['undefined', 'no-cache']);
  await assert.rejects(loadWith({ 'chunk_1.dat': flipped(99) }), failing('damaged', /SHA-256.*chunk_1\.dat/));
});

test('an outdated model.json is read anew when its chunks do not fit', async () => {
  const old = makeBundle({ weight: [9, 9, 9, 9] });
  const { loaded } = await loadWith({ 'model.json': (_, response, nth) => {
    if (nth > 1) return false;
    response.end(JSON.stringify(old.model));
    return true;
  } });
  assert.deepEqual([.../** @type {any} */ (loaded.weights.get('w'))], [1, 2, 3, 4]);
});

test('an abort ends the load at any stage', async () => {
  await assert.rejects(loadWith({}, { signal: AbortSignal.abort() }), failing('aborted'));
  for (const file of ['model.json', 'chunk_1.dat']) {
    const controller = new AbortController();
    const started = performance.now();
    await assert.rejects(loadWith({ [file]: () => {
      controller.abort();
      return true; // never answers
    } }, { signal: controller.signal, policy: { ...FAST, stall_ms: 60_000 } }), failing('aborted'));
    assert.ok(performance.now() - started < 5000);
  }
  const waiting = new AbortController(); // in the pause before a retry
  setTimeout(() => waiting.abort(), 50);
  await assert.rejects(loadWith({ 'chunk_1.dat': answers(503) }, { signal: waiting.signal, policy: { ...FAST, backoff_ms: 60_000 } }),
    failing('aborted'));
});

test('one failing chunk ends the requests for the others', async () => {
  const started = performance.now();
  await assert.rejects(loadWith({ 'chunk_2.dat': answers(404), 'chunk_1.dat': () => true }, {
    bundle: makeBundle({ ballast: 8 * MiB }), policy: { ...FAST, stall_ms: 60_000 },
  }), failing('not_found', /chunk_2/));
  assert.ok(performance.now() - started < 5000);
});

test('what a progress callback throws comes back to the caller', async () => {
  await assert.rejects(loadWith({}, { onProgress() { throw new Error('mine'); } }), /^Error: mine$/);
});

test('a check that takes its time runs beside the chunks; its refusal ends them and is the reason given', async () => {
  const check = () => new Promise((_, reject) => { setTimeout(() => reject(new Error('not this one')), 30); });
  const silent = { 'chunk_1.dat': () => true }; // never answered: only the refusal ends the wait
  await assert.rejects(loadWith(silent, { check, policy: { ...FAST, stall_ms: 60_000 } }), /not this one/);
});

test('a check of the graph comes before any chunk is fetched', async () => {
  const server = await serveBundle(makeBundle());
  await assert.rejects(loadBundle(server.url, { check() { throw new Error('not this one'); } }), /not this one/);
  assert.equal(server.count('chunk_1.dat'), 0);
  await server.close();
});

test('a web page instead of model.json', async () => {
  await assert.rejects(loadWith({ 'model.json': (_, response) => {
    response.end('<!doctype html>');
    return true;
  } }), failing('invalid_model', /not JSON/));
});

test('an address that is none', async () => {
  await assert.rejects(loadBundle('ftp://example.org/x'), failing('invalid_input', /ftp:/));
});

test('from a folder, by path and by file: URL', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bundle-'));
  try {
    const { model, files } = makeBundle();
    await assert.rejects(loadBundle(folder), failing('not_found', /model\.json/));
    await writeFile(join(folder, 'model.json'), JSON.stringify(model));
    await assert.rejects(loadBundle(folder), failing('not_found', /chunk_1\.dat/));
    await writeFile(join(folder, 'chunk_1.dat'), files['chunk_1.dat']);
    for (const address of [folder, join(folder, 'model.json'), `file://${folder}`]) {
      const { weights } = await loadBundle(address);
      assert.deepEqual([.../** @type {any} */ (weights.get('w'))], [1, 2, 3, 4]);
    }
    await writeFile(join(folder, 'chunk_1.dat'), Buffer.alloc(16));
    await assert.rejects(loadBundle(folder), failing('damaged', new RegExp(hashOf(Buffer.alloc(16)).slice(0, 12))));
    await writeFile(join(folder, 'chunk_1.dat'), Buffer.alloc(0));
    await assert.rejects(loadBundle(folder), failing('damaged', /0 bytes/));
  } finally {
    await rm(folder, { recursive: true });
  }
});
