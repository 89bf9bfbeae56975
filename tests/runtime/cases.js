// Operator cases (tests/cases/*.json, computed by Paddle) and small graphs for tests of the runtime.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { compile, hasRelaxedSimd } from '../../static/runtime/kernels.js';
import { createEngine } from '../../static/runtime/engine.js';
import { graphOf, number, parseCases, tensorOf } from './case_graph.js';

export { graphOf, tensorOf };

/** @typedef {import('./case_graph.js').CaseTensor} CaseTensor */
/** @typedef {import('./case_graph.js').Case} Case */
/** @typedef {import('../../static/runtime/plan.js').Graph} Graph */
/** @typedef {import('../../static/runtime/plan.js').Weights} Weights */
/** @typedef {import('../../static/runtime/tensor.js').Tensor} Tensor */

const RUNTIME = fileURLToPath(new URL('../../static/runtime/', import.meta.url));
const CASES = new URL('../cases/', import.meta.url);

/** The two builds of the kernels. @type {('relaxed'|'strict')[]} */
export const BUILDS = ['relaxed', 'strict'];

// Node 20 has relaxed SIMD behind a flag.
if (!hasRelaxedSimd()) setFlagsFromString('--experimental-wasm-relaxed-simd');

/**
 * The compiled kernels, built first where they are out of date.
 * @param {'relaxed'|'strict'} [which] @returns {Promise<WebAssembly.Module>}
 */
export async function kernels(which = 'strict') {
  execFileSync(process.env.PYTHON ?? 'python3', [`${RUNTIME}wasm/build.py`], { stdio: ['ignore', 'ignore', 'inherit'] });
  return compile(readFileSync(`${RUNTIME}wasm/kernels${which === 'strict' ? '.strict' : ''}.wasm`));
}

/** @returns {string[]} the names of the families that have cases */
export function families() {
  return readdirSync(CASES).filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -5))
    .filter((name) => Array.isArray(JSON.parse(readFileSync(new URL(`${name}.json`, CASES), 'utf8'))) && readCases(name)[0]?.op);
}

/** @param {string} family @returns {Case[]} */
export function readCases(family) {
  const text = readFileSync(new URL(`${family}.json`, CASES), 'utf8');
  return parseCases(text);
}

/**
 * Runs a case twice on poisoned memory and holds both results to Paddle's.
 * @param {Case} test @param {WebAssembly.Module} wasm @param {{threads?: number, stress?: boolean}} [options]
 */
export async function checkCase(test, wasm, options = {}) {
  const { graph, weights, feeds } = graphOf(test);
  const engine = await createEngine(graph, weights, { wasm, poison: true, ...options });
  if (options.threads) await sleep(2); // helpers arrive
  for (let i = 0; i < 2; i++) {
    const out = await engine.run(feeds);
    for (const [slot, tensors] of Object.entries(test.outputs)) {
      tensors.forEach((expected, k) => assertClose(out[`${slot}_${k}`], expected, test.tol));
    }
  }
  engine.dispose();
}

/**
 * |error| <= tol * max(1, range of the finite expected values); integers are exact; NaN and infinities must match.
 * @param {Tensor} actual @param {CaseTensor} expected @param {number} tol
 */
export function assertClose(actual, expected, tol) {
  assert.deepEqual(actual.shape, expected.shape, 'shape');
  assert.equal(actual.data.length, expected.data.length, 'number of elements');
  if (expected.dtype !== 'float32') {
    assert.deepEqual(Array.from(actual.data, String), Array.from(tensorOf(expected).data, String));
    return;
  }
  const wanted = expected.data.map(number), finite = wanted.filter(Number.isFinite);
  const range = finite.reduce((top, v) => Math.max(top, v), -Infinity) - finite.reduce((low, v) => Math.min(low, v), Infinity);
  const limit = tol * Math.max(1, finite.length ? range : 1);
  wanted.forEach((want, i) => {
    const got = Number(actual.data[i]);
    if (Object.is(got, want) || (Number.isNaN(got) && Number.isNaN(want)) || got === want) return;
    assert.ok(Math.abs(got - want) <= limit, `element ${i} is ${got}, not ${want} (limit ${limit})`);
  });
}

/** Numbers in [-1, 1) that are the same every time. @param {number} seed @returns {() => number} */
export function random(seed) {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 31 - 1;
  };
}
