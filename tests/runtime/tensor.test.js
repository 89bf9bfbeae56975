// What run() accepts and what it says otherwise.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InPageError, asInPageError, unlessAborted } from '../../static/runtime/errors.js';
import { checkFeeds } from '../../static/runtime/tensor.js';

const INPUTS = [
  { name: 'x', shape: ['n', 3, 'h', '?'], dtype: 'float32' },
  { name: 'ids', shape: ['n', 2], dtype: 'int64' },
];

/** @param {Record<string, any>} changes */
const feeds = (changes = {}) => ({
  x: { data: new Float32Array(2 * 3 * 5 * 7), shape: [2, 3, 5, 7] },
  ids: { data: new BigInt64Array(4), shape: [2, 2] },
  ...changes,
});

test('feeds that fit', () => {
  checkFeeds(INPUTS, feeds());
  checkFeeds([{ name: 'm', shape: [-1, '?1', '?1'], dtype: 'bool' }], { m: { data: new Uint8Array(6), shape: [1, 2, 3] } });
  checkFeeds([{ name: 's', shape: [], dtype: 'float16' }], { s: { data: new Float32Array(1), shape: [] } });
  checkFeeds([{ name: 'p', shape: [2], dtype: 'uint8' }], { p: { data: /** @type {any} */ (new Uint8ClampedArray(2)), shape: [2] } });
});

/** @type {[string, any, RegExp][]} */
const REFUSED = [
  ['nothing', null, /an object of feeds.*"x": float32 \[n, 3, h, \?\]/],
  ['a missing and an unknown name', { x: feeds().x, idz: 1 }, /no feed for input "ids", no input is named "idz"/],
  ['something that is no tensor', feeds({ ids: [1, 2] }), /input "ids" is not a tensor/],
  ['another element type', feeds({ ids: { data: new Int32Array(4), shape: [2, 2] } }), /"ids" is int64: its data is a BigInt64Array, not a Int32Array/],
  ['a plain array', feeds({ x: { data: [1], shape: [1] } }), /"x" is float32.*not a Array/],
  ['another rank', feeds({ x: { data: new Float32Array(6), shape: [2, 3] } }), /"x" has rank 4 \[n, 3, h, \?\], not 2 \[2, 3\]/],
  ['a fixed dimension', feeds({ x: { data: new Float32Array(8), shape: [2, 4, 1, 1] } }), /dimension 1 of input "x" is 3, not 4/],
  ['one symbol with two sizes', feeds({ ids: { data: new BigInt64Array(6), shape: [3, 2] } }),
    /dimension 0 of input "ids" is 3 but must equal dimension 0 of input "x", which is 2/],
  ['a shape with a hole', feeds({ ids: { data: new BigInt64Array(4), shape: [2, 0] } }), /\[2,0\], which is not a list of positive/],
  ['fewer values than the shape needs', feeds({ ids: { data: new BigInt64Array(3), shape: [2, 2] } }), /3 values where its shape \[2, 2\] needs 4/],
  ['several faults at once', { x: { data: new Float32Array(1), shape: [1] }, ids: { data: new BigInt64Array(1), shape: [1] } },
    /"x" has rank.*"ids" has rank/],
];
for (const [name, given, message] of REFUSED) {
  test(`refused: ${name}`, () => {
    assert.throws(() => checkFeeds(INPUTS, given), (/** @type {any} */ error) => {
      assert.equal(error.code, 'invalid_input', error.stack);
      assert.match(error.message, message);
      return true;
    });
  });
}

test('an error survives JSON', () => {
  const error = new InPageError('damaged', 'What', { where: 'here', hint: 'do that', cause: new Error('inner') });
  const revived = InPageError.fromJSON(JSON.parse(JSON.stringify(error)));
  assert.equal(revived.message, 'What; at here; do that');
  assert.deepEqual({ ...revived }, { name: 'InPageError', code: 'damaged', what: 'What', where: 'here', hint: 'do that' });
});

test('any failure becomes ours, memory refused by the engine as such', () => {
  const ours = new InPageError('network', 'x');
  assert.equal(asInPageError(ours, 'damaged'), ours);
  assert.equal(asInPageError('text', 'damaged').code, 'damaged');
  assert.equal(asInPageError(new RangeError('Array buffer allocation failed'), 'damaged').code, 'out_of_memory');
  assert.equal(asInPageError(new RangeError('index out of range'), 'damaged').code, 'damaged');
});

test('waiting ends with the signal, or with the work', async () => {
  const signal = new AbortController();
  assert.equal(await unlessAborted(Promise.resolve(3), signal.signal), 3);
  await assert.rejects(unlessAborted(Promise.reject(new Error('broken')), signal.signal), /broken/);
  const waiting = unlessAborted(new Promise(() => {}), signal.signal, 'there');
  signal.abort();
  await assert.rejects(waiting, { code: 'aborted', where: 'there' });
});
