// Helper threads: the same results, bit for bit, at 1, 2 and 4 threads, whoever takes which part and in which order.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createBackend } from '../../static/runtime/backends/wasm.js';
import { Pace, pool, PRESENT } from '../../static/runtime/backends/wasm_threads.js';
import { loadBundle } from '../../static/runtime/bundle.js';
import { createEngine } from '../../static/runtime/engine.js';
import { InPageError } from '../../static/runtime/errors.js';
import { loadOperators } from '../../static/runtime/ops/index.js';
import { makePlan } from '../../static/runtime/plan.js';
import { BUILDS, checkCase, families, graphOf, kernels, random, readCases } from './cases.js';

/** @typedef {import('../../static/runtime/plan.js').Graph} Graph */

const wasm = await kernels('relaxed');

/** Keeps a pool of helpers alive for a whole test. @param {number} helpers */
async function crew(helpers) {
  const backend = await createBackend(wasm, new Map(), { threads: helpers + 1, stress: true });
  await backend.enlisted;
  while (Atomics.load(pool().words, PRESENT) < helpers) await sleep(5);
  return backend;
}

/** A net with every kind of step that is divided, 4-D and wide enough for many parts. @returns {{graph: Graph, weights: Map<string, Float32Array>}} */
function net() {
  const info = (/** @type {string} */ name, /** @type {(number|string)[]} */ shape) => ({ name, shape, dtype: 'float32' });
  /** @type {[string, number[]][]} */
  const shapes = [['w0', [20, 3, 3, 3]], ['w1', [20, 1, 3, 3]], ['w2', [33, 20, 1, 1]], ['w3', [20, 33, 3, 3]], ['w4', [20, 20, 2, 2]], ['b', [20]], ['m', [720, 40]]];
  const fuse = { fuse_activation: 'hard_swish', fuse_alpha: 0, fuse_beta: 0 };
  const conv = (/** @type {number} */ stride, /** @type {number} */ pad, /** @type {number} */ groups) => ({
    strides: [stride, stride], paddings: [pad, pad, pad, pad], padding_algorithm: 'EXPLICIT', dilations: [1, 1], groups, data_format: 'NCHW', ...fuse });
  const op = (/** @type {string} */ type, /** @type {Record<string, string[]>} */ inputs, /** @type {string} */ out, /** @type {object} */ attrs) => (
    { type, inputs, outputs: { Out: [out] }, attrs });
  const pool2d = { pooling_type: 'max', ksize: [2, 2], strides: [2, 2], paddings: [0, 0, 0, 0], ceil_mode: false, exclusive: true, adaptive: false, global_pooling: false, padding_algorithm: 'EXPLICIT', data_format: 'NCHW' };
  const resize = { out_h: 24, out_w: 24, scale: [], align_corners: false, align_mode: 0, data_layout: 'NCHW' };
  return {
    weights: new Map(shapes.map(([name, shape], i) => [name, Float32Array.from({ length: shape.reduce((p, q) => p * q, 1) }, random(i + 1)).map((v) => v * 0.2)])),
    graph: {
      vars: new Map(shapes.map(([name, shape]) => [name, { name, shape, dtype: 'float32', persistable: true }])),
      inputs: [info('x', [1, 3, 48, 48])], outputs: [info('y', [1, 20, 24, 24]), info('z', [20, 40])],
      ops: [
        op('conv2d', { Input: ['x'], Filter: ['w0'], Bias: ['b'] }, 'a', conv(2, 1, 1)),
        op('conv2d', { Input: ['a'], Filter: ['w1'] }, 'c', conv(1, 1, 20)),
        op('conv2d', { Input: ['c'], Filter: ['w2'] }, 'd', conv(1, 0, 1)),
        op('conv2d', { Input: ['d'], Filter: ['w3'], ResidualData: ['a'] }, 'e', conv(1, 1, 1)),
        op('pool2d', { X: ['e'] }, 'f', pool2d),
        op('conv2d_transpose', { Input: ['f'], Filter: ['w4'], Bias: ['b'] }, 'g', { ...conv(2, 0, 1), output_padding: [], output_size: [] }),
        op('bilinear_interp_v2', { X: ['f'] }, 'h', resize),
        op('elementwise_mul', { X: ['g'], Y: ['h'] }, 'i', { axis: -1, fuse_activation: '', fuse_alpha: 0, fuse_beta: 0 }),
        op('sigmoid', { X: ['i'] }, 'j', {}),
        op('elementwise_add', { X: ['j'], Y: ['e'] }, 'y', { axis: -1, fuse_activation: '', fuse_alpha: 0, fuse_beta: 0 }),
        op('reshape2', { X: ['y'] }, 'k', { shape: [16, 720] }),
        op('fc', { Input: ['k'], W: ['m'] }, 'z', { in_num_col_dims: 1, fuse_activation: '', fuse_alpha: 0, fuse_beta: 0 }),
      ],
    },
  };
}

test('a net gives the same bits at 1, 2 and 4 threads, in any order of parts', async () => {
  const { graph, weights } = net(), x = { data: Float32Array.from({ length: 6912 }, random(9)), shape: [1, 3, 48, 48] };
  const want = await (await createEngine(graph, weights, { wasm })).run({ x });
  for (const threads of [2, 4]) {
    const keeper = await crew(threads - 1), engine = await createEngine(graph, weights, { wasm, threads, stress: true, poison: true });
    for (let i = 0; i < 60; i++) {
      const got = await engine.run({ x });
      assert.deepEqual(got.y.data, want.y.data, `${threads} threads, run ${i}`);
      assert.deepEqual(got.z.data, want.z.data, `${threads} threads, run ${i}`);
      if (i % 8 === 0) await sleep(1);
    }
    engine.dispose();
    keeper.dispose();
  }
});

const MODELS = fileURLToPath(new URL('../../static/models/', import.meta.url));

/** A feed for each input: 96 where a size is open, 1 picture. @param {Graph} graph */
const feedsOf = ({ inputs }) => Object.fromEntries(inputs.map(({ name, shape }, i) => {
  const sizes = shape.map((size, axis) => (typeof size === 'number' && size > 0 ? size : axis ? 96 : 1));
  return [name, { data: Float32Array.from({ length: sizes.reduce((p, q) => p * q, 1) }, random(i + 1)), shape: sizes }];
}));

for (const build of BUILDS) {
  test(`embedded models give the same bits at 1, 2 and 4 threads, ${build}`, async () => {
    const module = await kernels(build);
    for (const folder of readdirSync(MODELS)) {
      const { graph, weights } = await loadBundle(join(MODELS, folder), { cache: false }), feeds = feedsOf(graph);
      const want = await (await createEngine(graph, weights, { wasm: module, threads: 1 })).run(feeds);
      for (const threads of [2, 4]) {
        const keeper = await crew(threads - 1), engine = await createEngine(graph, weights, { wasm: module, threads, stress: true, poison: true });
        for (let i = 0; i < 3; i++) {
          const got = await engine.run(feeds);
          for (const name of Object.keys(want)) assert.deepEqual(got[name].data, want[name].data, `${folder}, ${threads} threads: ${name}`);
          await sleep(1);
        }
        engine.dispose();
        keeper.dispose();
      }
    }
  });

  for (const threads of [2, 4]) {
    test(`operator cases hold at ${threads} threads, ${build}`, async () => {
      const keeper = await crew(threads - 1), module = await kernels(build);
      try {
        for (const family of families()) for (const one of readCases(family)) await checkCase(one, module, { threads, stress: true });
      } finally {
        keeper.dispose();
      }
    });
  }
}

test('helpers really help, and leave with the last model', async () => {
  const keeper = await crew(2), home = pool(), { graph, weights } = net();
  const plan = makePlan(graph, { x: [1, 3, 48, 48] }, await loadOperators(graph.ops.map(({ type }) => type)), weights);
  const backend = await createBackend(wasm, weights, { threads: 3, stress: true }), [prepared] = backend.prepare([plan]);
  await backend.enlisted;
  for (let i = 0; i < 500 && backend.kernels.helped() === 0; i++) {
    backend.run(prepared, [new Float32Array(6912)], []);
    await sleep(1);
  }
  assert.ok(backend.kernels.helped() > 0, 'no helper did anything');
  assert.equal(pool(), home, 'models share one pool');
  backend.dispose();
  assert.equal(pool(), home);
  keeper.dispose();
  assert.notEqual(pool(), home, 'the last model closes the pool');
});

test('a fault in a helper\'s part is the run\'s fault', async () => {
  /** @type {Graph} */
  const graph = {
    vars: new Map(), inputs: [{ name: 'x', shape: [5], dtype: 'float32' }, { name: 'i', shape: ['k'], dtype: 'int64' }],
    outputs: [{ name: 'y', shape: ['k'], dtype: 'float32' }],
    ops: [{ type: 'gather', inputs: { X: ['x'], Index: ['i'] }, outputs: { Out: ['y'] }, attrs: { axis: 0 } }],
  };
  const keeper = await crew(1), engine = await createEngine(graph, new Map(), { wasm, threads: 2, stress: true });
  const x = { data: Float32Array.of(1, 2, 3, 4, 5), shape: [5] };
  await assert.rejects(engine.run({ x, i: { data: BigInt64Array.of(7n), shape: [1] } }), { code: 'invalid_input' });
  assert.deepEqual([...(await engine.run({ x, i: { data: BigInt64Array.of(1n), shape: [1] } })).y.data], [2]);
  engine.dispose();
  keeper.dispose();
});

test('a helper that breaks off fails the run that waits for it, and the model goes on alone', async () => {
  const n = 64, exp = [12, { f32: 0 }, { f32: 0 }, { f32: 0 }], far = 2 ** 31 - 65536;
  const port = { dtype: 'float32', shape: [n], known: false };
  /** @param {number} from @returns {import('../../static/runtime/plan.js').Plan} */
  const plan = (from) => ({
    inputs: [{ ...port, name: 'x', at: { arena: 0 } }], outputs: [{ ...port, name: 'y', at: { arena: 4 * n } }],
    steps: [{ kernel: 'unary', args: [from ? from : { arena: 0 }, { arena: 4 * n }, n, ...exp], where: 'exp (y)', work: 8 * n }],
    arenaBytes: 8 * n, data: new Uint8Array(0), weights: [],
  });
  const backend = await createBackend(wasm, new Map(), { threads: 2, stress: true }), [good, bad] = backend.prepare([plan(0), plan(far)]);
  await backend.enlisted;
  while (Atomics.load(pool().words, PRESENT) < 1) await sleep(5);
  const x = new Float32Array(n).fill(1), y = new Float32Array(n);
  for (let i = 0; i < 20 && backend.crew; i++) {
    // the input is out of reach for whoever takes a part: the leader traps, a helper reports
    assert.throws(() => backend.run(bad, [x], [y]), (/** @type {any} */ error) => error.code === 'worker_lost' || error instanceof WebAssembly.RuntimeError);
    await sleep(2);
  }
  for (let i = 0; i < 3; i++) backend.run(good, [x], [y]);
  assert.ok(y.every((v) => Math.abs(v - Math.E) < 1e-6));
  backend.dispose();
});

test('every kernel whose work is to be divided divides it', async () => {
  const folder = fileURLToPath(new URL('../../static/runtime/ops/', import.meta.url));
  const sources = readdirSync(folder, { recursive: true }).map(String).filter((name) => name.endsWith('.c')).map((name) => readFileSync(join(folder, name), 'utf8'));
  const divides = new Set(sources.flatMap((source) => source.split(/\nKERNEL\(/).slice(1)).filter((body) => /\bparts\b/.test(body)).map((body) => /\w+/.exec(body)?.[0]));
  const seen = new Set();
  for (const family of families()) {
    for (const one of readCases(family)) {
      const { graph, weights } = graphOf(one), operators = await loadOperators([one.op]);
      if (operators.get(one.op)?.rule.host) continue;
      const shapes = Object.fromEntries(graph.inputs.map(({ name, shape }) => [name, shape.map(Number)]));
      /** @type {import('../../static/runtime/plan.js').Plan} */
      let plan;
      try {
        plan = makePlan(graph, shapes, operators, weights);
      } catch (error) {
        assert.ok(error instanceof InPageError, String(error)); // its shapes depend on elements that only a run knows
        continue;
      }
      for (const { kernel, work } of plan.steps) if (work) seen.add(kernel);
    }
  }
  assert.ok(seen.size > 15, 'too few kernels were seen');
  assert.deepEqual([...seen].filter((kernel) => !divides.has(kernel)), []);
});

test('the pace settles on the faster way, and looks again', () => {
  const pace = new Pace();
  /** @param {(helped: boolean, i: number) => number} cost_ms @param {number} turns @returns {number} how often helpers were called */
  const live = (cost_ms, turns) => {
    let helped = 0;
    for (let i = 0; i < turns; i++) {
      const now = pace.withHelpers();
      helped += now ? 1 : 0;
      pace.note(now, cost_ms(now, i));
    }
    return helped;
  };
  assert.ok(live((helped) => (helped ? 6 : 10), 600) > 590);
  assert.ok(live((helped) => (helped ? 25 : 10), 600) < 30, 'a busy core');
  assert.ok(live((helped) => (helped ? 6 : 10), 1000) > 500, 'quiet again');
  assert.ok(live((helped, i) => (helped ? (i % 100 ? 6 : 60) : 10), 1000) > 990, 'single runs that something else held up');
  assert.ok(live((helped, i) => (helped ? (i < 20 ? 25 : 6) : 10), 300) > 200, 'a while in which helpers had no core');
  assert.ok(live((helped, i) => (helped ? (i % 2 ? 35 : 6) : 10), 2000) < 300, 'a core for every other run');
});
