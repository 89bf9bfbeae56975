// The seam of the GPU backends without a GPU: every operator case through plan, layouts and fusion, computed by loops.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createGpuEngine } from '../../static/runtime/gpu/engine.js';
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
