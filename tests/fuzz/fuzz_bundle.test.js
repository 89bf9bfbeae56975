// Damaged bundles given to the runtime's reader and planner: a plan or an InPageError, soon, and nothing else.
// More than the default: FUZZ_BUNDLES=100000 FUZZ_SEED=7 node --test tests/fuzz/fuzz_bundle.test.js
import assert from 'node:assert/strict';
import test from 'node:test';
import { InPageError } from '../../static/runtime/errors.js';
import { parseModel } from '../../static/runtime/manifest.js';
import { loadOperators } from '../../static/runtime/ops/index.js';
import { makePlan, problemsOfGraph } from '../../static/runtime/plan.js';
import { stagesOf } from '../../static/runtime/plan_stages.js';
import { decodeWeights } from '../../static/runtime/weights.js';
import { hashOf, makeBundle } from '../runtime/bundle_helpers.js';
import { random } from '../runtime/cases.js';

const COUNT = Number(process.env.FUZZ_BUNDLES ?? 4000), SEED = process.env.FUZZ_SEED ?? '1';
const LIMIT_MS = 2000, MAX_ARENA_BYTES = 2 ** 26;
const NUMBERS = [0, -1, 1, 2, 3, 7, 255, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 53, -(2 ** 53), 1e18, 1e308, 0.5, -0.5];
const WORDS = ['', 'x', 'w', 'y', 'relu', 'conv2d', 'feed', 'while', 'rnn', 'float32', 'int64', 'bool', 'nan', 'inf', '-inf',
  '__proto__', 'constructor', 'toString', '../chunk_1.dat', 'a\0b', '\ud800', 'SAME', 'NHWC', 'A'.repeat(5000)];

/** @param {string} seed @returns {(below: number) => number} whole numbers from 0, the same for the same seed */
function dice(seed) {
  const next = random(Number.parseInt(hashOf(Buffer.from(seed)).slice(0, 8), 16));
  return (below) => Math.min(Math.floor((next() + 1) / 2 * below), below - 1);
}

/** x [N,3,H,W] → convolution → pooling → resize → slice, concat, reshape, matmul, softmax. */
function pictures() {
  const { model } = makeBundle();
  /** @type {[string, Record<string, string[]>, string[], Record<string, any>][]} */
  const steps = [
    ['conv2d', { Input: ['x'], Filter: ['f'], Bias: ['w'] }, ['c'], { strides: [2, 2], paddings: [1, 1, 1, 1], padding_algorithm: 'EXPLICIT',
      dilations: [1, 1], groups: 1, data_format: 'NCHW', fuse_activation: 'relu', fuse_alpha: 0, fuse_beta: 0 }],
    ['pool2d', { X: ['c'] }, ['p'], { pooling_type: 'max', ksize: [2, 2], strides: [2, 2], paddings: [0, 0, 0, 0], ceil_mode: false,
      exclusive: true, adaptive: false, global_pooling: false, padding_algorithm: 'EXPLICIT', data_format: 'NCHW' }],
    ['bilinear_interp_v2', { X: ['p'] }, ['r'], { out_h: 4, out_w: 5, scale: [], align_corners: false, align_mode: 1, data_layout: 'NCHW' }],
    ['slice', { Input: ['r'] }, ['s'], { axes: [2], starts: [0], ends: [2], decrease_axis: [] }],
    ['concat', { X: ['r', 's'] }, ['k'], { axis: 2 }],
    ['reshape2', { X: ['k'] }, ['v'], { shape: [0, 4, -1] }],
    ['transpose2', { X: ['v'] }, ['t'], { axis: [0, 2, 1] }],
    ['matmul_v2', { X: ['t'], Y: ['m'] }, ['n'], { trans_x: false, trans_y: true }],
    ['softmax', { X: ['n'] }, ['o'], { axis: -1 }],
    ['reduce_mean', { X: ['o'] }, ['y'], { dim: [1], keep_dim: false, reduce_all: false }],
  ];
  const weights = { f: [4, 3, 3, 3], m: [6, 4], w: [4] };
  model.vars = Object.fromEntries(Object.entries(weights).map(
    ([name, shape]) => [name, { name, shape, dtype: 'float32', persistable: true }]));
  model.vars.x = { name: 'x', shape: [-1, 3, -1, -1], dtype: 'float32', persistable: false };
  for (const [, , [name]] of steps) model.vars[name] = { name, shape: [-1], dtype: 'float32', persistable: false };
  const [feed, , fetch] = model.ops;
  model.ops = [feed, ...steps.map(([type, inputs, Out, attrs]) => ({ type, inputs, outputs: { Out }, attrs })), fetch];
  model.inputs = [{ name: 'x', shape: ['x.0', 3, 'x.2', 'x.3'], dtype: 'float32' }];
  model.outputs = [{ name: 'y', shape: ['x.0', 6], dtype: 'float32' }];
  const size = Object.values(weights).reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const bytes = Buffer.from(Float32Array.from({ length: size }, random(5)).buffer);
  model.chunks = [{ file: 'chunk_1.dat', bytes: bytes.length, sha256: hashOf(bytes) }];
  return { model, files: { 'chunk_1.dat': bytes } };
}

/** @param {any} node @param {any[]} [found] @returns {{parent: any, key: any}[]} every value of a document */
function places(node, found = []) {
  for (const key of Object.keys(node)) {
    found.push({ parent: node, key });
    if (typeof node[key] === 'object' && node[key]) places(node[key], found);
  }
  return found;
}

/** @param {any} model @param {(below: number) => number} roll */
function damage(model, roll) {
  for (let times = [1, 1, 1, 2, 4][roll(5)]; times > 0; times--) {
    const all = places(model), { parent, key } = all[roll(all.length)], other = all[roll(all.length)];
    const copy = () => structuredClone(other.parent[other.key]);
    [
      () => { if (Array.isArray(parent)) parent.splice(Number(key), 1); else delete parent[key]; },
      () => { if (Array.isArray(parent)) parent.splice(Number(key), 0, structuredClone(parent[key])); else parent[key] = copy(); },
      () => { parent[key] = copy(); },
      () => { parent[key] = NUMBERS[roll(NUMBERS.length)]; },
      () => { parent[key] = NUMBERS[roll(NUMBERS.length)]; },
      () => { parent[key] = WORDS[roll(WORDS.length)]; },
      () => { parent[key] = [null, true, false, [], {}, [[]]][roll(6)]; },
      () => { if (!Array.isArray(parent)) { parent[WORDS[roll(WORDS.length)]] = parent[key]; delete parent[key]; } },
    ][roll(8)]();
  }
}

/** What load() and the first run do, up to the kernels. @param {any} model @param {Buffer} bytes @param {(below: number) => number} roll */
async function readAndPlan(model, bytes, roll) {
  const graph = parseModel(model);
  const operators = await loadOperators(graph.ops.map(({ type }) => type));
  if (problemsOfGraph(graph, operators).length) return 'unsupported';
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const total = graph.chunks.reduce((sum, chunk) => sum + chunk.bytes, 0);
  if (total !== bytes.length) return 'damaged'; // a chunk of another size is refused when it is fetched
  const weights = decodeWeights(graph.vars, /** @type {ArrayBuffer} */ (buffer));
  const shapes = Object.fromEntries(graph.inputs.map(({ name, shape }) => [name, shape.map((dim) => (typeof dim === 'number' ? dim : 1 + roll(40)))]));
  stagesOf(graph, operators);
  makePlan(graph, shapes, operators, weights, { maxArenaBytes: MAX_ARENA_BYTES });
  return 'planned';
}

for (const [name, make] of Object.entries({ adder: makeBundle, pictures })) {
  test(`damaged bundles: ${name}`, async () => {
    /** @type {Record<string, number>} */
    const ends = {};
    for (let number = 0; number < COUNT / 2; number++) {
      const roll = dice(`${SEED}:${name}:${number}`), { model, files } = make();
      if (number) damage(model, roll);
      const text = JSON.stringify(model), start = performance.now();
      const end = await readAndPlan(JSON.parse(text), files['chunk_1.dat'], roll).catch((error) => {
        if (error instanceof InPageError) return error.code;
        throw new Error(`${SEED}:${name}:${number} ${error.stack}\n${text.slice(0, 3000)}`, { cause: error });
      });
      const took = performance.now() - start;
      assert.ok(took < LIMIT_MS, `${SEED}:${name}:${number} took ${took} ms\n${text.slice(0, 3000)}`);
      ends[end] = (ends[end] ?? 0) + 1;
    }
    assert.ok(ends.planned > 1 && ends.invalid_model > 1, JSON.stringify(ends));
  });
}
