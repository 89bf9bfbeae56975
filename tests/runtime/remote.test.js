// The model on the server: what is sent and read, and what happens when the server is busy, away, or says no.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { parseModel } from '../../static/runtime/manifest.js';
import { loadServer, ServerModel } from '../../static/runtime/remote.js';
import { retryAfter_ms } from '../../static/runtime/remote_http.js';
import { sentSize } from '../../static/runtime/remote_picture.js';
import { readResponse, writeRequest } from '../../static/runtime/remote_tensors.js';
import { makeBundle } from './bundle_helpers.js';

/** @typedef {import('node:http').IncomingMessage & {body: Buffer}} Asked */
/** @typedef {(asked: Asked, response: import('node:http').ServerResponse) => void} Answer */

/** @param {number} value */
const feed = (value) => ({ x: { data: new Float32Array(4).fill(value), shape: [1, 4] } });

/** An answer with one float32 output. @param {import('node:http').ServerResponse} response @param {number[]} values */
function answer(response, values) {
  const data = Buffer.from(Float32Array.from(values).buffer);
  const json = Buffer.from(JSON.stringify({ outputs: [
    { name: 'y', datatype: 'FP32', shape: [1, values.length], parameters: { binary_data_size: data.length } }] }));
  response.setHeader('Inference-Header-Content-Length', json.length);
  response.end(Buffer.concat([json, data]));
}

/** Adds one to what it is sent. @type {Answer} */
const adder = ({ headers, body }, response) => {
  const { data } = readRequest(body, Number(headers['inference-header-content-length']));
  answer(response, [...data].map((value) => value + 1));
};

/** @param {Buffer} body @param {number} length */
function readRequest(body, length) {
  const json = JSON.parse(body.subarray(0, length).toString());
  const bytes = body.subarray(length);
  return { json, data: new Float32Array(new Uint8Array(bytes).buffer) };
}

/**
 * A model whose server answers as the test says, one answer after another, the last one for ever.
 * @param {import('node:test').TestContext} context @param {Answer[]} answers
 * @param {import('../../static/runtime/index.js').LoadOptions} [options]
 */
async function served(context, answers, options = {}) {
  /** @type {Asked[]} */
  const asked = [];
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const whole = Object.assign(request, { body: Buffer.concat(parts) });
    asked.push(whole);
    answers[Math.min(asked.length, answers.length) - 1](whole, response);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', () => resolve(undefined)); });
  context.after(() => { server.closeAllConnections(); server.close(); });
  const site = new URL(`http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}/`);
  const model = new ServerModel(parseModel(makeBundle().model), site, 'adder', { policy: { backoff_ms: 5 }, ...options });
  return { model, asked, site, server };
}

/** @param {number} status @param {object} [json] @param {Record<string, string>} [headers] @returns {Answer} */
const refusing = (status, json = {}, headers = {}) => (_, response) => response.writeHead(status, headers).end(JSON.stringify(json));

test('a tensor goes and comes in binary, and the model says what it is', async (context) => {
  const { model, asked } = await served(context, [adder]);
  assert.deepEqual([model.name, model.backend, model.inputs[0].name, model.memory()], ['adder', 'server', 'x', { bytes: 0 }]);
  assert.deepEqual(await model.run(feed(41)), { y: { data: new Float32Array(4).fill(42), shape: [1, 4] } });
  const [{ method, url, headers, body }] = asked;
  assert.deepEqual([method, url, headers['timeout-ms'], headers.accept], ['POST', '/v2/models/adder/infer', '10000', 'application/octet-stream']);
  assert.deepEqual(readRequest(body, Number(headers['inference-header-content-length'])).json.inputs,
    [{ name: 'x', datatype: 'FP32', shape: [1, 4], parameters: { binary_data_size: 16 } }]);
});

test('one request is in flight, and calls are answered in their order', async (context) => {
  let running = 0;
  const { model } = await served(context, [(request, response) => {
    assert.equal(++running, 1);
    setTimeout(() => { running--; adder(request, response); }, 10);
  }]);
  const mine = feed(1), all = [model.run(mine), model.run(feed(2)), model.run(feed(3))];
  mine.x.data.fill(9); // what was given counts as it was
  assert.deepEqual((await Promise.all(all)).map(({ y }) => y.data[0]), [2, 3, 4]);
});

test('a busy server is asked again when it says, and the page hears of it', async (context) => {
  /** @type {any[]} */
  const states = [];
  /** @type {number[]} */
  const sent = [];
  const times = [performance.now()];
  const busy = (/** @type {number} */ status, /** @type {Record<string, string>} */ headers) => (/** @type {Asked} */ a, /** @type {any} */ r) => {
    times.push(performance.now());
    refusing(status, {}, headers)(a, r);
  };
  const { model } = await served(context, [busy(429, { 'Retry-After': '1' }), busy(503, {}), adder], {
    onServer: (state) => states.push(state), onSend: (bytes) => sent.push(bytes),
  });
  assert.equal((await model.run(feed(1))).y.data[0], 2);
  assert.deepEqual(states.map(({ state }) => state), ['busy', 'busy', 'ok']);
  assert.ok(sent.length === 3 && sent[0] > 0 && sent.every((bytes) => bytes === sent[0]), `every attempt counts: ${sent}`);
  assert.equal(states[0].retry_ms, 1000);
  assert.ok(times[2] - times[1] >= 990, `asked again after ${times[2] - times[1]} ms`);
});

test('a server that stays busy, or is away, is a typed error after the last attempt', async (context) => {
  const late = await served(context, [refusing(504)], { retries: 1 });
  await assert.rejects(late.model.run(feed(1)), { code: 'server_busy', message: /in time/ });
  assert.equal(late.asked.length, 2);
  /** @type {string[]} */
  const states = [];
  const gone = await served(context, [adder], { retries: 1, onServer: ({ state }) => states.push(state) });
  gone.server.close();
  await assert.rejects(gone.model.run(feed(1)), { code: 'network', message: /cannot be reached/ });
  assert.deepEqual(states, ['away', 'away']);
  const proxy = await served(context, [refusing(502), adder]);
  assert.equal((await proxy.model.run(feed(1))).y.data[0], 2, 'a proxy whose server comes back');
});

test('what no retry mends is told at once, in the server\'s words', async (context) => {
  for (const [status, code] of /** @type {const} */ ([[400, 'invalid_input'], [401, 'server_failed'], [404, 'not_found'], [413, 'invalid_input'], [500, 'server_failed']])) {
    const { model, asked } = await served(context, [refusing(status, { error: 'x', message: 'So it is', hint: 'do this' })]);
    await assert.rejects(model.run(feed(1)), { code, what: 'So it is', hint: 'do this' });
    assert.equal(asked.length, 1);
  }
  const { model } = await served(context, [(_, response) => response.writeHead(403).end('<html>')]);
  await assert.rejects(model.run(feed(1)), { code: 'server_failed', what: 'The server answered 403' });
});

test('an abort ends a call, whether it waits its turn, for the answer, or for the next attempt', async (context) => {
  const { model, asked } = await served(context, [() => {}, refusing(503, {}, { 'Retry-After': '20' }), adder]);
  const first = new AbortController(), second = new AbortController();
  const hanging = model.run(feed(1), { signal: first.signal });
  const waiting = model.run(feed(2), { signal: second.signal });
  second.abort();
  await assert.rejects(waiting, { code: 'aborted' });
  while (!asked.length) await new Promise((resolve) => { setTimeout(resolve, 2); });
  first.abort();
  await assert.rejects(hanging, { code: 'aborted' });
  const third = new AbortController();
  const retrying = model.run(feed(3), { signal: third.signal });
  while (asked.length < 2) await new Promise((resolve) => { setTimeout(resolve, 2); });
  third.abort();
  await assert.rejects(retrying, { code: 'aborted' });
  assert.equal((await model.run(feed(4))).y.data[0], 5);
});

test('dispose ends the request in flight and refuses the rest', async (context) => {
  const { model } = await served(context, [() => {}]);
  const hanging = model.run(feed(1));
  setTimeout(() => model.dispose(), 20);
  await assert.rejects(hanging, { code: 'disposed' });
  await assert.rejects(model.run(feed(2)), { code: 'disposed' });
  await model.dispose();
});

test('a feed that does not fit never leaves the device', async (context) => {
  const { model, asked } = await served(context, [adder]);
  await assert.rejects(model.run({ x: { data: new Float32Array(3), shape: [1, 3] } }), { code: 'invalid_input' });
  await assert.rejects(model.run(/** @type {any} */ ({})), { code: 'invalid_input' });
  await assert.rejects(model.run({ x: { data: new Uint8ClampedArray(4), width: 1, height: 1 } }), { code: 'invalid_input', message: /picture/ });
  assert.equal(asked.length, 0);
});

test('only this site\'s own models can be asked for', async (context) => {
  Object.assign(globalThis, { location: new URL('https://own.test/scanner') });
  context.after(() => { Reflect.deleteProperty(globalThis, 'location'); });
  for (const address of ['https://other.test/models/m/model.json', 'https://own.test/m/model.json', 'https://own.test/models/..%2f/model.json']) {
    await assert.rejects(loadServer(new URL(address)), { code: 'invalid_input' });
  }
});

test('every datatype comes back as it went', () => {
  const arrays = [Float32Array.of(1.5, NaN), Int32Array.of(-1, 2), BigInt64Array.of(-5n, 6n), Uint8Array.of(1, 0), Uint8Array.of(255, 3), Int8Array.of(-9, 9)];
  const types = ['float32', 'int32', 'int64', 'bool', 'uint8', 'int8'];
  const inputs = types.map((dtype) => ({ name: dtype, shape: [2], dtype }));
  const { body, headers } = writeRequest(inputs, Object.fromEntries(types.map((name, i) => [name, { data: arrays[i], shape: [2] }])));
  return body.arrayBuffer().then((sent) => {
    const length = Number(headers['Inference-Header-Content-Length']);
    const json = JSON.parse(new TextDecoder().decode(sent.slice(0, length)));
    const back = new TextEncoder().encode(JSON.stringify({ outputs: json.inputs }));
    const outputs = readResponse(new Uint8Array(Buffer.concat([back, new Uint8Array(sent, length)])).buffer, String(back.length));
    types.forEach((name, i) => assert.deepEqual(outputs[name].data, arrays[i]));
  });
});

test('an answer that is not what it says is refused', () => {
  /** @param {any} json @param {number} [more] @param {string|null} [header] */
  const read = (json, more = 0, header) => {
    const text = new TextEncoder().encode(typeof json === 'string' ? json : JSON.stringify(json));
    const content = new Uint8Array(text.length + more);
    content.set(text);
    return () => readResponse(content.buffer, header === undefined ? String(text.length) : header);
  };
  const output = { name: 'y', datatype: 'FP32', shape: [2], parameters: { binary_data_size: 8 } };
  assert.equal(read({ outputs: [output] }, 8)().y.data.length, 2);
  for (const bad of [read('<html>'), read([]), read({ outputs: [output] }, 7), read({ outputs: [output] }, 9), read({ outputs: [output] }, 8, '9999'),
    read({ outputs: [{ ...output, datatype: 'BF16' }] }, 8), read({ outputs: [{ ...output, shape: [-2] }] }, 8),
    read({ outputs: [{ ...output, parameters: {} }] }, 8), read({ outputs: [{ ...output, shape: 'x' }] }, 8)]) assert.throws(bad, { code: 'damaged' });
});

test('Retry-After is seconds or a date', () => {
  const now = Date.parse('2030-01-01T00:00:00Z');
  assert.deepEqual(['3', 'Tue, 01 Jan 2030 00:00:05 GMT', 'Mon, 31 Dec 2029 00:00:00 GMT', 'soon', null].map((text) => retryAfter_ms(text, now)),
    [3000, 5000, 0, 0, 0]);
});

test('a picture is sent at the size the model looks at, where the rule allows it', () => {
  const base = /** @type {any} */ ({ crop: null, limit: null, size: [256, 256] });
  assert.deepEqual(sentSize({ ...base, resize: 'stretch' }, { width: 1280, height: 720 }), { width: 256, height: 256 });
  assert.deepEqual(sentSize({ ...base, resize: 'fit' }, { width: 1280, height: 720 }), { width: 256, height: 144 });
  assert.deepEqual(sentSize({ ...base, resize: 'short', crop: [224, 224] }, { width: 1280, height: 720 }), { width: 455, height: 256 });
  const limited = { ...base, size: null, resize: 'limit', limit: { side: 960, type: 'max', multiple: 32 } };
  assert.deepEqual(sentSize(limited, { width: 1920, height: 1080 }), { width: 960, height: 544 });
  assert.equal(sentSize({ ...limited, limit: { side: 108, type: 'min', multiple: 32 } }, { width: 90, height: 50 }), null, 'the rule would scale twice');
});
