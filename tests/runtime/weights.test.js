// Decoding of weights, and SHA-256 where the browser has none.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { parseModel } from '../../static/runtime/manifest.js';
import { digest, sha256 } from '../../static/runtime/sha256.js';
import { byCodePoint, decodeWeights, widen } from '../../static/runtime/weights.js';

/** The value of binary16 bits by the rules of IEEE 754, by way of binary32 bits. @param {number} half */
function float32BitsOf(half) {
  const sign = (half & 0x8000) << 16, exponent = (half >> 10) & 31;
  let fraction = half & 1023;
  if (exponent === 31) return (sign | 0x7f800000 | (fraction << 13)) >>> 0;
  if (exponent) return (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
  if (!fraction) return sign >>> 0;
  let shift = 0;
  while (!(fraction & 1024)) { fraction <<= 1; shift++; }
  return (sign | ((113 - shift) << 23) | ((fraction & 1023) << 13)) >>> 0;
}

test('all 65536 float16 values widen exactly', () => {
  const halves = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const wide = widen(halves);
  const bits = new Uint32Array(wide.buffer);
  for (let half = 0; half < 65536; half++) {
    const expected = float32BitsOf(half);
    const isNaNHalf = (half & 0x7c00) === 0x7c00 && (half & 1023) !== 0;
    if (isNaNHalf) assert.ok(Number.isNaN(wide[half]), `0x${half.toString(16)}`);
    else assert.equal(bits[half], expected, `0x${half.toString(16)}`);
  }
});

test('weights of every type, at offsets that are not aligned', () => {
  /** @type {[string, string, number[], Uint8Array][]} name, dtype, shape, bytes */
  const parts = [
    ['a', 'bool', [3], Uint8Array.of(1, 0, 1)],
    ['b', 'float32', [2], new Uint8Array(Float32Array.of(1.5, -2).buffer)],
    ['c', 'float16', [2, 1], new Uint8Array(Uint16Array.of(0x3c00, 0xc000).buffer)],
    ['d', 'int64', [2], new Uint8Array(BigInt64Array.of(-5n, 2n ** 62n).buffer)],
    ['e', 'int8', [1], Uint8Array.of(0x80)],
    ['f', 'uint8', [], Uint8Array.of(200)],
    ['g', 'int32', [2], new Uint8Array(Int32Array.of(-1, 7).buffer)],
    ['h', 'float32', [0], new Uint8Array(0)],
  ];
  const buffer = new Uint8Array(Buffer.concat(parts.map(([, , , bytes]) => bytes))).buffer;
  const vars = new Map([...parts].reverse().map(([name, dtype, shape]) => [name, { name, dtype, shape, persistable: true }]));
  vars.set('aa', { name: 'aa', dtype: 'float32', shape: [-1, 3], persistable: false });
  const weights = decodeWeights(vars, buffer);
  assert.deepEqual(Object.fromEntries(weights), {
    a: Uint8Array.of(1, 0, 1), b: Float32Array.of(1.5, -2), c: Float32Array.of(1, -2), d: BigInt64Array.of(-5n, 2n ** 62n),
    e: Int8Array.of(-128), f: Uint8Array.of(200), g: Int32Array.of(-1, 7), h: new Float32Array(0),
  });
});

test('names are ordered by code point, not by UTF-16 unit', () => {
  const names = ['\u{1F600}', '\uFF5E', 'b', 'ab', 'a', 'B', 'a_1', 'a.1'];
  assert.deepEqual(names.sort(byCodePoint), ['B', 'a', 'a.1', 'a_1', 'ab', 'b', '\uFF5E', '\u{1F600}']);
});

test('the own SHA-256 agrees with known vectors and with Node at every padding length', async () => {
  const hex = (/** @type {Uint8Array} */ bytes) => Buffer.from(bytes).toString('hex');
  assert.equal(hex(digest(new TextEncoder().encode('abc'))), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  assert.equal(hex(digest(new Uint8Array(0))), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  for (let length = 1; length < 130; length++) {
    const bytes = new Uint8Array(randomBytes(length + 3)).subarray(3);
    assert.equal(hex(digest(bytes)), createHash('sha256').update(bytes).digest('hex'), `${length} bytes`);
  }
  assert.equal(await sha256(new TextEncoder().encode('abc')), hex(digest(new TextEncoder().encode('abc'))));
});

test('int8 with scales is widened along its axis, anything else refused', () => {
  const vars = {
    w: { name: 'w', shape: [2, 3], dtype: 'int8', persistable: true, scale: 'w@scale', axis: 1 },
    'w@scale': { name: 'w@scale', shape: [3], dtype: 'float32', persistable: true },
  };
  const json = {
    format: 'paddle-inpage', formatVersion: 1, name: 'm', chunkNum: 1, vars, ops: [], inputs: [], outputs: [],
    chunks: [{ file: 'chunk_1.dat', bytes: 18, sha256: '0'.repeat(64) }], precision: 'int8-weights',
  };
  const graph = parseModel(json);
  assert.equal(graph.vars.get('w')?.dtype, 'float32');
  const bytes = new Uint8Array(18);
  new Int8Array(bytes.buffer).set([1, -2, 3, 127, -127, 0]);
  bytes.set(new Uint8Array(Float32Array.of(0.5, 2, 0.1).buffer), 6);
  const weights = decodeWeights(graph.vars, bytes.buffer);
  assert.deepEqual([...weights.get('w') ?? []], [0.5, -4, Math.fround(3 * Math.fround(0.1)), 63.5, -254, 0]);
  for (const change of [{ axis: 0 }, { axis: 2 }, { scale: 'x' }, { dtype: 'float32' }, { persistable: false }]) {
    assert.throws(() => parseModel({ ...json, vars: { ...vars, w: { ...vars.w, ...change } } }), { code: 'invalid_model' });
  }
});
