import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { load } from '../../static/runtime/index.js';
import { parsePackage } from '../../static/runtime/paddlejs.js';
import { serveBundle } from './bundle_helpers.js';
import { makePackage, smallPackage, writePackage } from './package_helpers.js';

/** @typedef {import('./package_helpers.js').Entry} Entry */

/**
 * Runs a package on numbers.
 * @param {ReturnType<typeof makePackage>} made @param {number[]} numbers @param {number[]} shape
 * @param {Parameters<typeof writePackage>[1]} [files]
 * @returns {Promise<Record<string, {shape: number[], data: number[]}>>}
 */
async function runPackage(made, numbers, shape, files) {
  const { folder, remove } = await writePackage(made, files);
  try {
    const model = await load(folder, { worker: false });
    const results = await model.run({ [model.inputs[0].name]: { data: Float32Array.from(numbers), shape } });
    await model.dispose();
    return Object.fromEntries(Object.entries(results).map(([name, result]) => (
      [name, { shape: result.shape, data: [...result.data].map(Number) }])));
  } finally {
    await remove();
  }
}

/** The failure of a load. @param {ReturnType<typeof makePackage>} made @param {Parameters<typeof writePackage>[1]} [files] */
async function refusal(made, files) {
  const { folder, remove } = await writePackage(made, files);
  try {
    await load(folder, { worker: false });
  } catch (error) {
    return /** @type {import('../../static/runtime/errors.js').InPageError} */ (error);
  } finally {
    await remove();
  }
  throw new assert.AssertionError({ message: 'the package was taken' });
}

/** One operator over [1, 2, 1, 2]. @param {Record<string, any>} op @param {Record<string, Entry>} [weights] */
const one = (op, weights = {}) => makePackage({ image: { shape: [1, 2, 1, 2] }, ...weights },
  [{ inputs: { X: ['image'] }, outputs: { Out: ['y'] }, attrs: {}, ...op }]);

test('a package runs without the converter, and says what it takes', async () => {
  const { folder, remove } = await writePackage(smallPackage());
  /** @type {any[]} */
  const seen = [];
  const model = await load(folder, { worker: false, onProgress: (progress) => seen.push(progress) });
  await remove();
  assert.deepEqual(model.inputs, [{ name: 'image', shape: [1, 2, 1, 3], dtype: 'float32' }]); // the batch was left out
  assert.deepEqual(model.outputs.map(({ name, shape }) => [name, shape.length]), [['y', 4]]);
  assert.equal(model.preprocess, null);
  assert.deepEqual(seen.at(-1), { stage: 'ready', loaded: 8, total: 8 });
  const { y } = await model.run({ image: { data: Float32Array.of(1, 2, 3, 4, 5, 6), shape: [1, 2, 1, 3] } });
  assert.deepEqual([...y.data], [12, 14, 16, 28, 30, 32]);
});

test('over HTTP, from one chunk or several', async () => {
  const { model, weights } = smallPackage({ chunkNum: 2 });
  const bytes = Buffer.from(weights.buffer);
  const server = await serveBundle({ model, files: { 'chunk_1.dat': bytes.subarray(0, 4), 'chunk_2.dat': bytes.subarray(4) } });
  try {
    const loaded = await load(server.url);
    const { y } = await loaded.run({ image: { data: new Float32Array(6), shape: [1, 2, 1, 3] } });
    assert.deepEqual([...y.data], [10, 10, 10, 20, 20, 20]);
    await loaded.dispose();
  } finally {
    await server.close();
  }
});

for (const first of [0, 1]) {
  test(`without chunkNum the chunks are looked for, from chunk_${first} on`, async () => {
    const made = smallPackage({ chunkNum: undefined });
    const chunks = { [`chunk_${first}.dat`]: made.weights.slice(0, 1), [`chunk_${first + 1}.dat`]: made.weights.slice(1) };
    const { y } = await runPackage(made, [0, 0, 0, 0, 0, 0], [1, 2, 1, 3], { chunks });
    assert.deepEqual(y.data, [10, 10, 10, 20, 20, 20]);
  });
}

test('the sizes of the input come from feedShape, or stay open', async () => {
  const ops = [{ type: 'relu', inputs: { X: ['image'] }, outputs: { Out: ['y'] } }];
  const shapeOf = (/** @type {any} */ more) => parsePackage(makePackage({}, ops, { more }).model).graph.inputs[0].shape;
  assert.deepEqual(shapeOf({ feedShape: { fc: 3, fh: 5, fw: 7 } }), [1, 3, 5, 7]);
  assert.deepEqual(shapeOf({}), ['image.0', 'image.1', 'image.2', 'image.3']);
});

test('vars may be a list, and operators in any order', async () => {
  const made = makePackage({ b: { shape: [1], data: [1] }, image: { shape: [1, 1, 1, 2] } }, [
    { type: 'relu', inputs: { X: ['t'] }, outputs: { Out: ['y'] } },
    { type: 'elementwise_add', inputs: { X: ['image'], Y: ['b'] }, outputs: { Out: ['t'] }, attrs: { axis: -1 } },
  ], { listed: true });
  const feed = made.model.ops.shift();
  made.model.ops.push(feed);
  assert.deepEqual((await runPackage(made, [-3, 4], [1, 1, 1, 2])).y.data, [0, 5]);
});

test('early fused types run as a chain, each part with its own attributes', async () => {
  const made = makePackage(
    { image: { shape: [1, 1, 1, 2] }, w: { shape: [2, 1, 1, 1], data: [1, -1] }, b: { shape: [2], data: [0.5, 0] } },
    [{
      type: 'conv2d-elementwise_add-leaky_relu', inputs: { Input: ['image'], Filter: ['w'], Y: ['b'] }, outputs: { Output: ['y'] },
      'sub-attrs': [{ strides: [1, 1], paddings: [0, 0], data_format: 'AnyLayout' }, { axis: 1 }, { alpha: 0.1 }],
    }]);
  const { y } = await runPackage(made, [10, -20], [1, 1, 1, 2]);
  assert.deepEqual(y.shape, [1, 2, 1, 2]);
  y.data.forEach((value, i) => assert.ok(Math.abs(value - [10.5, -1.95, -1, 20][i]) < 1e-6, String(y.data)));
});

test('connect gives its parts as outputs of their own', async () => {
  const made = makePackage({ image: { shape: [1, 1, 1, 2] } }, [
    { type: 'relu', inputs: { X: ['image'] }, outputs: { Out: ['a'] } },
    { type: 'scale', inputs: { X: ['image'] }, outputs: { Out: ['b'] }, attrs: { scale: 2, bias: 1 } },
    { type: 'connect', inputs: { X: ['b', 'a'] }, outputs: { Out: ['connect_result'] } },
  ], { output: 'connect_result', more: { multiOutputs: [{ name: 'b', shape: [2] }, { name: 'a', shape: [2] }] } });
  const results = await runPackage(made, [-1, 2], [1, 1, 1, 2]);
  assert.deepEqual(Object.keys(results), ['b', 'a']);
  assert.deepEqual(results.b.data, [-1, 5]);
  assert.deepEqual(results.a.data, [0, 2]);
});

/** @type {[string, ReturnType<typeof makePackage>, number[]][]} inputs are -1, 2, 3, -8 over [1, 2, 1, 2] */
const SINGLE = [
  ['batchnorm, with outputs that nobody reads', one({
    type: 'batchnorm', inputs: { X: ['image'], Scale: ['s'], Bias: ['o'], Mean: ['m'], Variance: ['v'] },
    outputs: { Y: ['y'], SavedMean: ['unused'] }, attrs: { epsilon: 0, momentum: 0.9 },
  }, { s: { shape: [2], data: [2, 1] }, o: { shape: [2], data: [0, 5] }, m: { shape: [2], data: [1, 0] }, v: { shape: [2], data: [4, 1] } }),
  [-2, 1, 8, -3]],
  ['concat of X and Y', one({ type: 'concat', inputs: { X: ['image'], Y: ['c'] }, attrs: { axis: 3 } },
    { c: { shape: [1, 2, 1, 1], data: [7, 9] } }), [-1, 2, 7, 3, -8, 9]],
  ['reshape2 with new_shape', one({ type: 'reshape2', outputs: { Out: ['y'], XShape: ['z'] }, attrs: { new_shape: [4, 1] } }), [-1, 2, 3, -8]],
  ['relu6 without a threshold takes Paddle\'s', one({ type: 'relu6' }), [0, 2, 3, 0]],
  ['hard_sigmoid without attributes takes Paddle\'s', one({ type: 'hard_sigmoid' }), [0.3, 0.9, 1, 0]],
  ['leaky_relu without alpha takes Paddle\'s', one({ type: 'leaky_relu' }), [-0.02, 2, 3, -0.16]],
  ['an activation in fuse_opt', one({ type: 'scale', attrs: { scale: 2, fuse_opt: { relu6: { threshold: 5 } } } }), [0, 4, 5, 0]],
  ['an activation in act_type', one({ type: 'scale', attrs: { scale: 1, act_type: 'leaky_relu', leaky_relu_alpha: 0.5 } }), [-0.5, 2, 3, -4]],
  ['fuse_relu of an elementwise operator', one({ type: 'elementwise_add', inputs: { X: ['image'], Y: ['image'] }, attrs: { fuse_relu: true } }), [0, 4, 6, 0]],
  ['dropout that was not rescaled', one({ type: 'dropout', attrs: { dropout_prob: 0.25, seed: 0 } }), [-0.75, 1.5, 2.25, -6]],
  ['dropout that was', one({ type: 'dropout', attrs: { dropout_implementation: 'upscale_in_train' } }), [-1, 2, 3, -8]],
  ['global max pool', one({ type: 'pool2d', attrs: { pooling_type: 'max', ksize: [1, 1], global_pooling: true } }), [2, 3]],
  ['mul, split after the first axis', one({ type: 'mul', inputs: { X: ['image'], Y: ['w'] } }, { w: { shape: [4, 1], data: [1, 2, 3, 4] } }), [-20]],
  ['matmul with alpha', one({ type: 'matmul', inputs: { X: ['image'], Y: ['w'] }, attrs: { alpha: 0.5, transpose_Y: true } },
    { w: { shape: [1, 2], data: [2, 4] } }), [3, -13]],
  ['reduce_mean over one axis, as the old runtime says it', one({ type: 'reduce_mean', attrs: { axis: 3 } }), [0.5, -2.5]],
  ['pad2d', one({ type: 'pad2d', attrs: { paddings: [0, 0, 1, 0], pad_value: 6 } }), [6, -1, 2, 6, 3, -8]],
  ['cast by number', one({ type: 'cast', attrs: { in_dtype: 5, out_dtype: 2 } }), [-1, 2, 3, -8]],
  ['nearest_interp of Paddle 1', one({ type: 'nearest_interp', attrs: { out_h: 1, out_w: 4, scale: 0, align_corners: false, interp_method: 'nearest' } }),
    [-1, -1, 2, 2, 3, 3, -8, -8]],
];
for (const [name, made, want] of SINGLE) {
  test(`reads ${name}`, async () => {
    const { y } = await runPackage(made, [-1, 2, 3, -8], [1, 2, 1, 2]);
    assert.equal(y.data.length, want.length);
    y.data.forEach((value, i) => assert.ok(Math.abs(value - want[i]) < 1e-6, `${y.data} is not ${want}`));
  });
}

/** @type {[string, () => Promise<import('../../static/runtime/errors.js').InPageError>, string, RegExp][]} */
const REFUSED = [
  ['chunks that lost the last number', () => {
    const made = smallPackage();
    return refusal(made, { chunks: { 'chunk_1.dat': made.weights.slice(1) } });
  }, 'damaged', /hold 4 bytes, the weights need 8/],
  ['chunks that end too early where their number is not said', () => {
    const made = smallPackage({ chunkNum: undefined });
    return refusal(made, { chunks: { 'chunk_1.dat': made.weights.slice(1) } });
  }, 'damaged', /hold 4 bytes, the weights need 8/],
  ['a chunk that is not there', () => refusal(smallPackage({ chunkNum: 2 })), 'not_found', /chunk_2\.dat/],
  ['chunks that are not there at all', () => refusal(smallPackage({ chunkNum: undefined }), { chunks: {} }), 'not_found', /chunk_0\.dat/],
  ['a weight that vars do not list', () => {
    const made = smallPackage();
    delete made.model.vars.bias;
    return refusal(made);
  }, 'invalid_model', /"bias", read by elementwise_add \(y\)/],
  ['operators that read each other', () => refusal(makePackage({ image: { shape: [1] } }, [
    { type: 'relu', inputs: { X: ['b'] }, outputs: { Out: ['a'] } }, { type: 'relu', inputs: { X: ['a'] }, outputs: { Out: ['b'] } },
  ], { output: 'a' })), 'invalid_model', /circle: relu \(a\), relu \(b\)/],
  ['an output that nothing computes', () => refusal(makePackage({}, [])), 'invalid_model', /outputs y/],
  ['unknown operators, all of them', () => refusal(makePackage({ image: { shape: [1, 2, 1, 2] } }, [
    { type: 'rnn_origin', inputs: { Input: ['image'] }, outputs: { Out: ['a'] } },
    { type: 'wavelet', inputs: { X: ['a'] }, outputs: { Out: ['y'] } },
  ])), 'unsupported', /rnn_origin .*wavelet/],
  ['attributes that may matter, at every operator', () => refusal(makePackage({ image: { shape: [1, 2, 1, 2] } }, [
    { type: 'relu', inputs: { X: ['image'] }, outputs: { Out: ['a'] }, attrs: { slope: 3 } },
    { type: 'relu6', inputs: { X: ['a'] }, outputs: { Out: ['y'] }, attrs: { twist: 1 } },
  ])), 'invalid_model', /2 operators.*relu \(a\): attributes slope.*relu6 \(y\): attributes twist/],
  ['a fused type whose attributes are not all there', () => refusal(one({ type: 'relu-relu6', 'sub-attrs': [{}] })),
    'invalid_model', /fuses 2 operators but has 1 sets/],
  ['a weight of impossible size', () => refusal(one({ type: 'relu' }, { w: { shape: [-1, 3], data: [1] } })), 'invalid_model', /\[-1,3\].*"w"/],
  ['a number of chunks that nobody has', () => refusal(smallPackage({ chunkNum: 1e9 })), 'invalid_model', /"chunkNum" is 1000000000/],
  ['operators that are no list', () => refusal(/** @type {any} */ ({ model: { vars: {}, ops: 7 }, weights: new Float32Array() })),
    'invalid_model', /malformed/],
];
for (const [name, attempt, code, message] of REFUSED) {
  test(`refuses ${name}`, async () => {
    const error = await attempt();
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
  });
}

/** Two boxes that overlap and one that does not, of one class beside the background. */
function detectorPackage() {
  const made = makePackage({
    image: { shape: [1, 1, 1, 3] },
    boxes: { shape: [1, 3, 4], data: [0, 0, 10, 10, 1, 1, 10, 10, 20, 20, 30, 30] }, none: { shape: [1, 1, 3], data: [0, 0, 0] },
  }, [
    { type: 'reshape2', inputs: { X: ['image'] }, outputs: { Out: ['row'] }, attrs: { shape: [1, 1, 3] } },
    { type: 'concat', inputs: { X: ['none', 'row'] }, outputs: { Out: ['scores'] }, attrs: { axis: 1 } },
    { type: 'connect', inputs: { X: ['boxes', 'scores'] }, outputs: { Out: ['connect_result'] } },
  ], { output: 'connect_result' });
  made.model.postOps = [{
    type: 'multiclass_nms', outputs: { Out: ['found'] },
    inputs: { BBoxes: { name: 'boxes', shape: [1, 3, 4] }, Scores: { name: 'scores', shape: [1, 2, 3] } },
    attrs: { score_threshold: 0.2, nms_top_k: 10, keep_top_k: 10, nms_threshold: 0.5 },
  }];
  return made;
}

test('a detector\'s last step runs on what connect would join', async () => {
  const { found } = await runPackage(detectorPackage(), [0.5, 0.75, 0.25], [1, 1, 1, 3]);
  assert.deepEqual(found.data, [1, 0.75, 1, 1, 10, 10, 1, 0.25, 20, 20, 30, 30]);
});

test('priors come as two results, in the runtime\'s order', () => {
  const made = makePackage({ image: { shape: [1, 2, 1, 1] } }, [{
    type: 'prior_box', inputs: { Input: ['image'], Image: ['image'] }, outputs: { Variances: ['v'], Boxes: ['y'] },
    attrs: { min_sizes: [4], flip: true, flatten_to_2d: true },
  }]);
  assert.deepEqual(parsePackage(made.model).graph.ops[0].outputs, { Out: ['y', 'v'] });
  delete made.model.ops[1].attrs.min_sizes;
  assert.throws(() => parsePackage(made.model), /prior_box \(v\): attributes min_sizes are missing/);
});

const SHARED = fileURLToPath(new URL('../../../shared/models/', import.meta.url));
for (const name of ['paddlejs_humanseg', 'paddlejs_tinyyolo']) {
  test(`reads ${name}`, { skip: existsSync(SHARED) ? false : '../shared is not beside this checkout' }, async () => {
    const { graph, weightBytes } = parsePackage(JSON.parse(await readFile(`${SHARED}${name}/model.json`, 'utf8')));
    const chunk = await readFile(`${SHARED}${name}/chunk_${name.endsWith('yolo') ? 0 : 1}.dat`);
    assert.equal(graph.inputs.length, 1);
    assert.equal(chunk.length, weightBytes);
    const model = await load(`${SHARED}${name}`, { worker: false });
    const shape = /** @type {number[]} */ (model.inputs[0].shape);
    const feed = { data: new Float32Array(shape.reduce((total, size) => total * size)).fill(0.5), shape };
    const [result] = Object.values(await model.run({ [model.inputs[0].name]: feed }));
    await model.dispose();
    assert.ok(result.data.length > 1000 && [...result.data].every((value) => Number.isFinite(Number(value))));
  });
}
