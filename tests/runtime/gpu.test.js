// The seam of the GPU backends without a GPU: every operator case through plan, layouts and fusion, computed by loops.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createEngine } from '../../static/runtime/engine.js';
import { createGpuEngine } from '../../static/runtime/gpu/engine.js';
import { GpuLoader } from '../../static/runtime/gpu/load.js';
import { InPageError } from '../../static/runtime/errors.js';
import { assertClose, families, graphOf, kernels, readCases } from './cases.js';
import { ReferenceBackend } from './gpu_reference.js';

const wasm = await kernels();
const TOLERANCE = 1e-4; // the loops add in another order, in double

/** Steps that ran on the backend, over all cases of a family. @type {Record<string, number>} */
const ran = {};

describe('operator cases', () => {
  for (const family of families()) {
    test(family, async () => {
      for (const item of readCases(family)) {
        const { graph, weights, feeds } = graphOf(item), backend = new ReferenceBackend();
        const engine = await createGpuEngine(graph, weights, { wasm, open: async () => backend });
        for (let i = 0; i < 2; i++) {
          const out = await engine.run(feeds);
          for (const [slot, tensors] of Object.entries(item.outputs)) {
            tensors.forEach((expected, k) => {
              try {
                assertClose(out[`${slot}_${k}`], expected, Math.max(item.tol, TOLERANCE));
              } catch (error) {
                throw new Error(`${item.name}: ${/** @type {Error} */ (error).message}`);
              }
            });
          }
        }
        for (const [kind, n] of Object.entries(backend.ran)) ran[kind] = (ran[kind] ?? 0) + n;
        engine.dispose();
        assert.ok(backend.disposed);
      }
    });
  }
  test('every kind of step was run', () => {
    assert.deepEqual(Object.keys(ran).sort(), ['conv', 'deconv', 'map', 'matmul', 'move', 'norm', 'pool', 'reduce', 'resize', 'softmax']);
  });
});

/** A driver that gets one kind of step wrong. */
class Wrong extends ReferenceBackend {
  /** @param {string} kind @param {number} [off] */
  constructor(kind, off = 0.5) {
    super();
    this.kind = kind;
    this.off = off;
    this.driver = `wrong in ${kind} by ${off}`;
  }

  /** @param {any} prepared @param {number} at @param {Float32Array[]} feeds */
  async run(prepared, at, feeds) {
    const segment = prepared.plan.segments[at], results = await super.run(prepared, at, feeds);
    const hit = segment.steps.some((/** @type {{kind: string}} */ step) => step.kind === this.kind);
    return hit ? results.map((data) => data.map((v, i) => (i === 3 ? v + this.off : v))) : results;
  }
}

/** Right on the small graphs of the self-test, off on the model: as float16 may be. */
class Drifting extends Wrong {
  /** @param {number} off */
  constructor(off) {
    super('conv', off);
    Object.assign(this, { precision: 'float16', driver: 'drifting' });
  }

  /** @param {any} prepared @param {number} at @param {Float32Array[]} feeds */
  async run(prepared, at, feeds) {
    const own = prepared.plan.segments[at].downloads[0].name === 'Out_0', results = await super.run(prepared, at, feeds);
    if (!own && this.off) results.forEach((data) => { data[3] -= this.off; });
    return results;
  }
}

const CONV = /** @type {import('./case_graph.js').Case} */ (readCases('conv').find(({ name }) => name.includes('groups_2')));

/** The case's own input and answer as a bundle stores them, every second number of the answer. */
function storedCase() {
  const { graph, weights, feeds } = graphOf(CONV), [{ name: input }] = graph.inputs, [wanted] = CONV.outputs.Out;
  const x = /** @type {Float32Array} */ (feeds[input].data), y = Float32Array.from(wanted.data).filter((_, i) => i % 2 === 0);
  const bytes = new Uint8Array(4 * (x.length + y.length));
  bytes.set(new Uint8Array(Float32Array.from([...x, ...y]).buffer));
  const range = Math.max(...y) - Math.min(...y); // near enough to that of all
  const entry = {
    file: 'check.dat', bytes: bytes.length, sha256: '', inputs: [{ name: input, shape: feeds[input].shape, dtype: 'float32' }],
    outputs: [{ name: 'Out_0', shape: wanted.shape, dtype: 'float32', step: 2, range }],
  };
  return { graph: { ...graph, check: entry }, weights, bytes, range };
}

describe('a GPU that cannot be trusted', () => {
  test('what it computes wrongly stays on the host', async () => {
    for (const kind of ['conv', 'softmax', 'nothing']) {
      const { graph, weights, feeds } = graphOf(CONV), backend = new Wrong(kind);
      const engine = await createGpuEngine(graph, weights, { wasm, open: async () => backend }), out = await engine.run(feeds);
      assertClose(out.Out_0, CONV.outputs.Out[0], TOLERANCE);
      const [{ plan }] = await Promise.all([...engine.plans.values()]);
      assert.deepEqual(plan.segments.map(({ on }) => on), [kind === 'conv' ? 'wasm' : 'gpu']);
      if (kind === 'conv') assert.match([...plan.reasons.values()].join(), /wrongly/);
    }
  });

  test('float16 is tried on the check vector of the bundle', async () => {
    const { graph, weights, bytes, range } = storedCase();
    /** @param {number} off @param {() => Promise<Uint8Array<ArrayBuffer>>} read */
    const load = async (off, read) => {
      const half = new Drifting(0);
      half.run = async (prepared, at, feeds) => {
        const results = await ReferenceBackend.prototype.run.call(half, prepared, at, feeds);
        if (feeds.some(({ length }) => length === bytes.length / 4 - Math.ceil(results[0].length / 2))) results[0][2] += off * range;
        return results;
      };
      const loader = new GpuLoader('webgpu', 'float16', async (precision) => (precision === 'float16' ? half : new ReferenceBackend()));
      const engine = await loader.create(graph, weights, wasm, read);
      engine.dispose();
      return engine.numerics;
    };
    const near = await load(1e-3, async () => bytes), far = await load(0.1, async () => bytes);
    assert.equal(near?.precision, 'float16');
    assert.ok(Math.abs((near?.error ?? 0) - 1e-3) < 1e-4 && near?.note === '', JSON.stringify(near));
    assert.deepEqual([far?.precision, far?.error], ['float32', null]);
    assert.match(far?.note ?? '', /float16 is 1.0e-1 of the range off/);
    const without = await load(0, async () => { throw new InPageError('not_found', 'no such file'); });
    assert.deepEqual([without?.precision, without?.note], ['float16', 'checked on noise alone: there is no check vector']);
    await assert.rejects(load(0, async () => bytes.subarray(4)), { code: 'damaged' });
  });

  test('float16 beyond the tolerance gives way to float32', async () => {
    for (const off of [1e-4, 10]) {
      const { graph, weights, feeds } = graphOf(CONV), half = new Drifting(off);
      const loader = new GpuLoader('webgpu', 'float16', async (precision) => (precision === 'float16' ? half : new ReferenceBackend()));
      const engine = await loader.create(graph, weights, wasm);
      assert.equal(engine.precision, off > 1 ? 'float32' : 'float16');
      assert.equal(/more than 0.02/.test(engine.numerics?.note ?? ''), off > 1);
      assert.equal(half.disposed, off > 1);
      assertClose((await engine.run(feeds)).Out_0, CONV.outputs.Out[0], 2e-2);
      engine.dispose();
    }
  });
});

/** A driver that is gone after some runs. */
class Leaving extends ReferenceBackend {
  /** @param {number} runs */
  constructor(runs) {
    super();
    this.left = runs;
  }

  /** @param {any} prepared @param {number} at @param {Float32Array[]} feeds */
  async run(prepared, at, feeds) {
    if (this.left-- <= 0) throw new InPageError('device_lost', 'The GPU was lost');
    return super.run(prepared, at, feeds);
  }
}

describe('a device that is lost', () => {
  test('a frame is computed on the next one, all frames in flight together', async () => {
    const { graph, weights, feeds } = graphOf(CONV), reference = await createEngine(graph, weights, { wasm });
    /** @type {Leaving[]} */
    const opened = [];
    const engine = await createGpuEngine(graph, weights, {
      wasm,
      open: async () => {
        opened.push(new Leaving(opened.length ? 100 : 7));
        return opened[opened.length - 1];
      },
    });
    const wanted = (await reference.run(feeds)).Out_0, results = await Promise.all(Array.from({ length: 12 }, () => engine.run(feeds)));
    for (const { Out_0: got } of results) assert.ok(got.data.every((v, i) => Math.abs(Number(v) - Number(wanted.data[i])) < 1e-4));
    assert.equal(opened.length, 2);
    assert.ok(opened[0].disposed);
    engine.dispose();
  });

  test('one that never stays is an error after a few attempts', async () => {
    const { graph, weights, feeds } = graphOf(CONV);
    let opened = 0;
    const engine = await createGpuEngine(graph, weights, {
      wasm,
      open: async () => {
        opened++;
        return new Leaving(0);
      },
    });
    await assert.rejects(engine.run(feeds), { code: 'device_lost' });
    assert.ok(opened <= 4);
    engine.dispose();
    await assert.rejects(engine.run(feeds), { code: 'disposed' });
  });
});
