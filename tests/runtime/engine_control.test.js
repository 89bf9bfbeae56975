// Control flow: blocks run as often as the data says, their plans kept by shape.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createEngine, unsupported } from '../../static/runtime/engine.js';
import { parseModel } from '../../static/runtime/manifest.js';
import { kernels } from './cases.js';

/** @typedef {import('../../static/runtime/plan.js').Graph} Graph */

const wasm = await kernels();
const FUSE = { fuse_activation: '', fuse_alpha: 0, fuse_beta: 0 };
const STEP = { scale: 1, bias: 1, bias_after_scale: true };

/** @param {string} type @param {Record<string, string[]>} inputs @param {string|string[]} out @param {Record<string, any>} [attrs] */
const op = (type, inputs, out, attrs = {}) => ({ type, inputs, outputs: { Out: [out].flat() }, attrs });

/** @param {string} name @param {(number|string)[]} shape @param {string} [dtype] */
const info = (name, shape, dtype = 'float32') => ({ name, shape, dtype });

/** While i < n: h = h + x where i < 1, else h * w; rows = rows with x behind; i = i + 1. @returns {Graph} */
const loop = () => ({
  vars: new Map([['w', { name: 'w', shape: [3], dtype: 'float32', persistable: true }], ['one', { name: 'one', shape: [1], dtype: 'int32', persistable: true }]]),
  inputs: [info('x', ['b', 3]), info('n', [1], 'int32'), info('zero', [1], 'int32')],
  outputs: [info('h', ['?', 3]), info('i', [1], 'int32'), info('rows', ['?', 3]), info('same', ['?', 3])],
  ops: [
    op('less_than', { X: ['zero'], Y: ['n'] }, 'go', { axis: -1 }),
    op('while', { Condition: ['go'], X: ['zero', 'x', 'x', 'x', 'n'] }, ['i', 'h', 'rows'], { body: 0 }),
    op('assign', { X: ['rows'] }, 'same'),
  ],
  blocks: [
    {
      inputs: ['i0', 'h0', 'r0', 'x0', 'n0'], outputs: ['more', 'i1', 'h1', 'r1'],
      ops: [
        op('less_than', { X: ['i0'], Y: ['one'] }, 'first', { axis: -1 }),
        op('if', { Condition: ['first'], X: ['h0', 'x0'] }, 'h1', { then: 1, otherwise: 2 }),
        op('concat', { X: ['r0', 'x0'] }, 'r1', { axis: 0 }),
        op('scale', { X: ['i0'] }, 'i1', STEP),
        op('less_than', { X: ['i1'], Y: ['n0'] }, 'more', { axis: -1 }),
      ],
    },
    { inputs: ['h2', 'x2'], outputs: ['a'], ops: [op('elementwise_add', { X: ['h2'], Y: ['x2'] }, 'a', { axis: -1, ...FUSE })] },
    { inputs: ['h3', 'x3'], outputs: ['m'], ops: [op('elementwise_mul', { X: ['h3'], Y: ['w'] }, 'm', { axis: -1, ...FUSE })] },
  ],
});

const weights = () => new Map(/** @type {[string, any][]} */ ([['w', Float32Array.of(2, 3, 4)], ['one', Int32Array.of(1)]]));

/** @param {number} rows @param {number} n */
function feedsOf(rows, n) {
  const x = { data: Float32Array.from({ length: 3 * rows }, (_, i) => i - 1), shape: [rows, 3] };
  return { x, n: { data: Int32Array.of(n), shape: [1] }, zero: { data: Int32Array.of(0), shape: [1] } };
}

/** @param {number} rows @param {number} n */
function expected(rows, n) {
  const x = [...feedsOf(rows, n).x.data];
  let h = x;
  for (let i = 0; i < n; i++) h = h.map((v, k) => (i < 1 ? v + x[k] : v * [2, 3, 4][k % 3]));
  return { h, rows: Array.from({ length: n + 1 }, () => x).flat() };
}

test('loops and choices run, at any number of rounds and any size', async () => {
  const engine = await createEngine(loop(), weights(), { wasm, poison: true });
  for (const [rows, n] of [[2, 3], [1, 0], [4, 1], [2, 6], [2, 3]]) {
    const feeds = feedsOf(rows, n), out = await engine.run(feeds), want = expected(rows, n);
    assert.deepEqual([[...out.h.data], out.h.shape], [want.h, [rows, 3]]);
    assert.deepEqual([[...out.rows.data], out.rows.shape], [want.rows, [rows * (n + 1), 3]]);
    assert.deepEqual([...out.i.data], [n]);
    assert.deepEqual(out.same, out.rows);
    const buffers = [feeds.x, feeds.zero, out.h, out.i, out.rows, out.same].map(({ data }) => data.buffer);
    assert.equal(new Set(buffers).size, buffers.length, 'every result has memory of its own');
  }
});

test('memory settles over many rounds', async () => {
  const engine = await createEngine(loop(), weights(), { wasm });
  await engine.run(feedsOf(2, 60));
  const { bytes } = engine.memory();
  for (let i = 0; i < 5; i++) await engine.run(feedsOf(2, 60));
  assert.equal(engine.memory().bytes, bytes);
});

test('a condition of several elements is refused, naming the operator', async () => {
  const graph = loop();
  graph.inputs[1].shape = graph.inputs[2].shape = ['k'];
  const engine = await createEngine(graph, weights(), { wasm }), two = { data: Int32Array.of(1, 1), shape: [2] };
  await assert.rejects(engine.run({ ...feedsOf(1, 1), n: two, zero: two }), { code: 'invalid_input', message: /while \(i\).*one element/ });
});

test('what blocks lack is named with the rest', async () => {
  const graph = loop();
  graph.blocks?.[2].ops.push(op('warp_drive', { X: ['m'] }, 'z'));
  assert.deepEqual((await unsupported(graph)).map(({ type }) => type), ['warp_drive']);
});

/** The same as a model.json. @param {(json: Record<string, any>) => void} [change] */
function document(change = () => {}) {
  const { ops, blocks, inputs, outputs } = structuredClone(loop());
  const names = [...ops, ...(blocks ?? []).flatMap((block) => block.ops)].flatMap(({ outputs: out }) => out.Out);
  const variable = (/** @type {string} */ name, persistable = false) => [name, { name, shape: persistable ? [1] : [-1], dtype: 'float32', persistable }];
  const ends = (/** @type {string} */ type, /** @type {{name: string}[]} */ infos) => infos.map(({ name }) => (
    { type, attrs: {}, inputs: { X: [name] }, outputs: { Out: [name] } }));
  const json = {
    format: 'paddle-inpage', formatVersion: 1, name: 'm', chunkNum: 1, chunks: [{ file: 'chunk_1.dat', bytes: 8, sha256: '0'.repeat(64) }],
    vars: Object.fromEntries([...names.map((name) => variable(name)), variable('w', true), variable('one', true)]),
    ops: [...ends('feed', inputs), ...ops, ...ends('fetch', outputs)], inputs, outputs, blocks, precision: 'float32',
  };
  change(json);
  return json;
}

test('a bundle\'s blocks are checked before anything runs', () => {
  assert.equal(parseModel(document()).blocks?.length, 3);
  /** @type {[(json: Record<string, any>) => void, RegExp][]} */
  const wrong = [
    [(json) => { json.ops.find((/** @type {any} */ o) => o.type === 'while').attrs.body = 7; }, /while runs block 7, which does not exist/],
    [(json) => { json.blocks[0].ops[1].attrs.then = 0; }, /if runs block 0, which does not exist or lies around it/],
    [(json) => { json.blocks[0].outputs.pop(); }, /gives 5 values to block 0 and takes 4, which takes 5 and gives 3/],
    [(json) => { json.blocks[1].inputs.push('more'); }, /gives 2 values to block 1/],
    [(json) => { json.blocks[0].ops.pop(); }, /nothing writes the output "more"/],
    [(json) => { json.blocks[2].ops[0].inputs.X = ['a']; }, /reads "a", which nothing before it writes/],
    [(json) => { json.blocks[1] = []; }, /blocks\[1\]/],
    [(json) => { json.blocks = {}; }, /"blocks" is not a list/],
  ];
  for (const [change, message] of wrong) assert.throws(() => parseModel(document(change)), { code: 'invalid_model', message });
});
