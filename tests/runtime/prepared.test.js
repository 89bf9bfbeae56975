// A model kept as it lay in the kernels' memory: restored it is the same to the bit, and a file that is not whole is none.
import assert from 'node:assert/strict';
import { readFile as read } from 'node:fs/promises';
import test from 'node:test';
import { restoreEngine } from '../../static/runtime/engine.js';
import { loadLocal } from '../../static/runtime/local.js';
import { restored } from '../../static/runtime/prepared.js';
import { readFile, writeFile } from '../../static/runtime/prepared_file.js';
import { sha256 } from '../../static/runtime/sha256.js';
import { BUILDS, kernels, random } from './cases.js';

/** @typedef {import('../../static/runtime/wasm_engine.js').Ready} Ready */
/** @typedef {import('../../static/runtime/prepared_file.js').SyncFile & {bytes: Uint8Array}} MemoryFile */

const MODEL = new URL('../../static/models/upper_body/', import.meta.url);

/** @param {Uint8Array} [bytes] @returns {MemoryFile} */
function memoryFile(bytes = new Uint8Array(0)) {
  return {
    bytes,
    read(into, { at }) { const part = this.bytes.subarray(at, at + into.length); into.set(part); return part.length; },
    write(from, { at }) {
      if (at + from.length > this.bytes.length) this.truncate(at + from.length);
      this.bytes.set(from, at);
      return from.length;
    },
    getSize() { return this.bytes.length; },
    truncate(size) { const old = this.bytes; this.bytes = new Uint8Array(size); this.bytes.set(old.subarray(0, size)); },
    flush() {}, close() {},
  };
}

/** As prepared.js names what a file is made of. @param {Uint8Array<ArrayBuffer>} text @param {WebAssembly.Module} wasm */
const sourcesOf = async (text, wasm) => `${await sha256(text)} ${WebAssembly.Module.customSections(wasm, 'inpage.sources').map((mark) => new Uint8Array(mark))}`;

/** @param {WebAssembly.Module} wasm */
async function kept(wasm) {
  const { createEngine, openEngine, unsupported } = await import('../../static/runtime/engine.js');
  const model = await loadLocal(MODEL, {}, { createEngine, openEngine, unsupported, kernels: async () => wasm });
  const text = Uint8Array.from(await read(new URL('model.json', MODEL))), file = memoryFile();
  await writeFile(file, await sourcesOf(text, wasm), /** @type {Ready} */ (model.engine.snapshot?.()));
  return { model, text, file };
}

for (const build of BUILDS) {
  test(`a model that was kept answers as before, for other sizes, too, ${build}`, async () => {
    const wasm = await kernels(build), { model, text, file } = await kept(wasm);
    const again = await restored(memoryFile(file.bytes), text, wasm);
    assert.ok(again);
    const [{ name, shape }] = model.inputs, sizes = shape.map((size) => (typeof size === 'number' && size > 0 ? size : 1));
    const feed = (/** @type {number} */ n) => {
      const mine = [n, ...sizes.slice(1)], data = Float32Array.from({ length: mine.reduce((p, q) => p * q, 1) }, random(n));
      return { [name]: { data, shape: mine } };
    };
    const batches = typeof shape[0] === 'number' && shape[0] > 0 ? [shape[0]] : [1, 2, 1];
    for (const n of batches) assert.deepEqual(await again.engine.run(feed(n)), await model.run(feed(n)));
    const first = model.engine.snapshot?.(), second = again.engine.snapshot();
    assert.deepEqual(second?.plan, first?.plan);
    assert.deepEqual(second?.packed, first?.packed);
    assert.deepEqual(second?.loose, first?.loose);
  });
}

test('a file that is damaged, not written to its end, or of something else is none', async () => {
  const wasm = await kernels(), { text, file } = await kept(wasm), { bytes } = file;
  const flipped = (/** @type {number} */ at) => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
  const [, , headBytes] = new Int32Array(bytes.buffer, 0, 3);
  const spoiled = { numbers: flipped(1), size: flipped(9), json: flipped(80), loose: flipped(64 + headBytes - 64), packed: flipped(bytes.length - 4000) };
  for (const [what, bad] of Object.entries({ ...spoiled, short: bytes.subarray(0, -64), longer: new Uint8Array([...bytes, 0]), begun: bytes.map((byte, i) => (i < 64 ? 0 : byte)), nothing: new Uint8Array(0) })) {
    assert.equal(await restored(memoryFile(bad), text, wasm).catch(() => null), null, what);
  }
  const other = text.map((byte, i) => (i === text.length - 1 ? 32 : byte));
  assert.equal(await restored(memoryFile(bytes), other, wasm), null);
  assert.equal(await restored(memoryFile(bytes), text, await kernels('relaxed')), null);
  assert.ok(await restored(memoryFile(bytes), text, wasm));
});

test('every number of a plan, and every kind of weight, comes back', async () => {
  const args = [7, { f32: Infinity }, { f32: -Infinity }, { f32: -0 }, { f32: 0.1 }, { i64: 3 }, { arena: 64 }, { data: 0 }, { weight: 'w', offset: 4 }];
  const plan = { inputs: [], outputs: [], steps: [{ kernel: 'k', args, where: 'é', work: 1 }], arenaBytes: 64, data: Uint8Array.of(1, 2, 3), weights: [] };
  const loose = new Map(/** @type {[string, any][]} */ ([['f', Float32Array.of(1, 2)], ['i', BigInt64Array.of(5n)], ['b', Int8Array.of(-1, 2, 3)], ['none', new Int32Array(0)]]));
  const file = memoryFile(), ready = { key: 'k', plan, moved: new Map([['w', 9]]), loose, packed: new Uint8Array(128), sum: -5 };
  await writeFile(file, 'sources', ready);
  const found = readFile(file), { packed, ...rest } = ready;
  assert.equal(found?.sources, 'sources');
  assert.deepEqual(found?.ready, rest);
  assert.throws(() => found?.fill(new Uint8Array(64)), RangeError);
  found?.fill(packed);
});

test('packed weights that are not those of the plan are refused', async () => {
  const wasm = await kernels(), { model } = await kept(wasm), { packed, ...ready } = /** @type {Ready} */ (model.engine.snapshot?.());
  const fill = (/** @type {Uint8Array} */ into) => { into.set(packed); into.copyWithin(0, 64, 128); };
  const { parseModel } = await import('../../static/runtime/manifest.js');
  const graph = parseModel(JSON.parse(await read(new URL('model.json', MODEL), 'utf8')));
  await assert.rejects(restoreEngine(graph, { wasm }, ready, fill), RangeError);
  await assert.doesNotReject(restoreEngine(graph, { wasm }, ready, (into) => into.set(packed)));
});

test('what was kept is let go where it is not wanted', async () => {
  const { createEngine, openEngine, unsupported } = await import('../../static/runtime/engine.js');
  const wasm = await kernels(), { text, file } = await kept(wasm), found = await restored(memoryFile(file.bytes), text, wasm);
  assert.ok(found);
  const model = await loadLocal(MODEL, { cache: false, begun: Promise.resolve(found) }, { createEngine, openEngine, unsupported, kernels: async () => wasm });
  assert.notEqual(model.engine, found.engine);
  assert.equal(found.engine.snapshot(), null); // it is disposed
});
