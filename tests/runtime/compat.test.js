import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { Runner, Transformer, env, registerBackend, registerOp } from '../../static/runtime/compat.js';
import { MediaProcessor, layout, toPlanes } from '../../static/runtime/compat_media.js';
import { makePackage, smallPackage, writePackage } from './package_helpers.js';

let folder = '';
/** @type {() => Promise<void>} */
let remove = async () => {};
/** @type {Runner[]} */
let runners = [];

/** @param {ConstructorParameters<typeof Runner>[0]} [options] */
function runner(options = {}) {
  const made = new Runner({ ...(options.modelObj ? {} : { modelPath: folder }), ...options });
  runners.push(made);
  return made;
}

/** @param {() => Promise<unknown>} attempt @param {string} code @param {RegExp} message */
async function refused(attempt, code, message) {
  await assert.rejects(attempt, (/** @type {any} */ error) => {
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}

beforeEach(async () => {
  ({ folder, remove } = await writePackage(smallPackage()));
});
afterEach(async () => {
  for (const made of runners) await made.dispose();
  runners = [];
  env.set('canvas2d', undefined);
  await remove();
});

test('init runs the model on ones and gives the result; needPreheat: false does not', async () => {
  assert.deepEqual(await runner().init(), [12, 12, 12, 22, 22, 22]);
  assert.equal(await runner({ needPreheat: false }).init(), undefined);
});

test('predictWithFeed takes a flat list, feeds with data, and data with sizes', async () => {
  const made = runner({ needPreheat: false });
  const numbers = [1, 2, 3, 4, 5, 6], want = [12, 14, 16, 28, 30, 32];
  assert.deepEqual(await made.predictWithFeed(numbers), want); // loads by itself
  assert.deepEqual(await made.predictWithFeed(Float32Array.from(numbers)), want);
  assert.deepEqual(await made.predictWithFeed([{ data: numbers, shape: [1, 2, 1, 3], name: 'image', persistable: true }]), want);
  assert.deepEqual(await made.predictWithFeed({ data: numbers, width: 3, height: 1 }), want);
  assert.ok(Array.isArray(await made.predictWithFeed(numbers)), 'an array, as in the original');
});

test('a callback gets the result, and its value is returned', async () => {
  const made = runner();
  assert.equal(await made.predictWithFeed(new Array(6).fill(0), (result) => result.length), 6);
});

test('the feed\'s size is the model\'s, or feedShape where the model leaves it open', async () => {
  const made = runner({ feedShape: { fc: 9, fh: 9, fw: 9 } });
  await made.init();
  assert.deepEqual(made.feedShape, { fc: 2, fh: 1, fw: 3 });
  const open = makePackage({}, [{ type: 'relu', inputs: { X: ['image'] }, outputs: { Out: ['y'] } }]);
  const modelObj = { model: open.model, params: [] };
  assert.deepEqual(await runner({ modelObj, feedShape: { fc: 1, fh: 2, fw: 2 } }).init(), [1, 1, 1, 1]);
  await refused(() => runner({ modelObj }).init(), 'invalid_input', /size of input "image" is not known; .*feedShape/);
  const sized = runner({ modelObj, needPreheat: false });
  assert.deepEqual(await sized.predictWithFeed([-1, 5], null, [1, 1, 1, 2]), [0, 5]);
});

test('a model in memory', async () => {
  const { model, weights } = smallPackage();
  assert.deepEqual(await runner({ modelObj: { model, params: weights } }).init(), [12, 12, 12, 22, 22, 22]);
  assert.deepEqual(await runner({ modelObj: { model, params: [...weights] } }).init(), [12, 12, 12, 22, 22, 22]);
});

test('several outputs come one by one, by name', async () => {
  const several = makePackage({ image: { shape: [1, 1, 1, 2] } }, [
    { type: 'relu', inputs: { X: ['image'] }, outputs: { Out: ['a'] } },
    { type: 'scale', inputs: { X: ['image'] }, outputs: { Out: ['b'] }, attrs: { scale: 2 } },
    { type: 'connect', inputs: { X: ['a', 'b'] }, outputs: { Out: ['connect_result'] } },
  ], { output: 'connect_result', more: { multiOutputs: [{ name: 'a', shape: [2] }, { name: 'b', shape: [2] }] } });
  const made = runner({ modelObj: { model: several.model, params: [] }, needPreheat: false });
  assert.deepEqual(await made.predictWithFeed([-1, 3]), [{ a: [0, 3] }, { b: [-2, 6] }]);
});

test('a detector gives rows, as many as it found', async () => {
  const made = makePackage({ boxes: { shape: [1, 2, 4], data: [0, 0, 1, 1, 2, 2, 3, 3] }, none: { shape: [1, 1, 2], data: [0, 0] } }, [
    { type: 'reshape2', inputs: { X: ['image'] }, outputs: { Out: ['row'] }, attrs: { shape: [1, 1, 2] } },
    { type: 'concat', inputs: { X: ['none', 'row'] }, outputs: { Out: ['scores'] }, attrs: { axis: 1 } },
    { type: 'connect', inputs: { X: ['boxes', 'scores'] }, outputs: { Out: ['connect_result'] } },
  ], { output: 'connect_result' });
  made.model.postOps = [{
    type: 'multiclass_nms', inputs: { BBoxes: { name: 'boxes' }, Scores: { name: 'scores' } }, outputs: { Out: ['found'] },
    attrs: { score_threshold: 0.25, nms_top_k: 9, keep_top_k: 9 },
  }];
  const detector = runner({ modelObj: { model: made.model, params: made.weights }, needPreheat: false });
  assert.deepEqual(await detector.predictWithFeed([0.5, 0.75], null, [1, 1, 1, 2]), [[1, 0.75, 2, 2, 3, 3], [1, 0.5, 0, 0, 1, 1]]);
  assert.deepEqual(await detector.predictWithFeed([0, 0], null, [1, 1, 1, 2]), []);
});

test('after stopPredict, predict gives nothing', async () => {
  const made = runner();
  made.stopPredict();
  assert.equal(await made.predict(/** @type {any} */ ({})), undefined);
});

test('preTransforms change the model; other plugins are refused', async () => {
  class Double extends Transformer {
    constructor() { super('Double'); }

    /** @override @param {any[]} ops */
    transform(ops) { ops[1].attrs.scale = 20; }
  }
  assert.deepEqual(await runner({ plugins: { preTransforms: [new Double()] } }).init(), [30, 30, 30, 40, 40, 40]);
  await refused(() => runner({ plugins: { transforms: [new Double()] } }).init(), 'unsupported', /preTransforms/);
});

test('registering: a backend is not needed, an operator cannot run', () => {
  registerBackend();
  assert.throws(() => registerOp({}, 'my_shader'), /"my_shader" is a shader/);
});

test('failures are errors', async () => {
  const made = runner({ needPreheat: false });
  await refused(() => runner({ modelPath: `${folder}/gone` }).init(), 'not_found', /model\.json/);
  await refused(async () => new Runner({}).init(), 'invalid_input', /neither a modelPath nor a modelObj/);
  await refused(() => made.predictWithFeed([1, 2]), 'invalid_input', /2 values where its shape \[1, 2, 1, 3\] needs 6/);
  await refused(() => made.predictWithFeed(/** @type {any} */ ({})), 'invalid_input', /no numbers/);
  await refused(() => made.predictWithFeed({ data: new Uint8ClampedArray(12), width: 3, height: 1 }), 'invalid_input', /give them to predict/);
  await refused(() => made.predict(/** @type {any} */ (7)), 'invalid_input', /not a picture/);
});

test('a runner that failed to load can be asked again, and one that was freed as well', async () => {
  const made = runner();
  const before = await made.init();
  await made.dispose();
  assert.deepEqual(await made.init(), before);
  const { model, weights } = smallPackage({ chunkNum: 2 });
  const late = runner({ modelObj: { model, params: weights.slice(1) } });
  await refused(() => late.init(), 'damaged', /hold 4 bytes/);
  await refused(() => late.init(), 'damaged', /hold 4 bytes/);
});

test('where a picture goes: fitted and centred, stretched, or cut from the centre', () => {
  const feed = { fw: 224, fh: 192 };
  assert.deepEqual(layout({ width: 100, height: 200 }, feed, {}), { canvas: [224, 192], at: [64, 0], drawn: [96, 192], cut: [0, 0] });
  assert.deepEqual(layout({ width: 300, height: 101 }, feed, {}), { canvas: [224, 192], at: [0, 58], drawn: [224, 75], cut: [0, 0] });
  assert.deepEqual(layout({ width: 300, height: 101 }, feed, { keepRatio: false }).drawn, [224, 192]);
  assert.deepEqual(layout({ width: 300, height: 200 }, feed, { scale: 256 }), { canvas: [384, 256], at: [0, 0], drawn: [384, 256], cut: [80, 32] });
  assert.deepEqual(layout({ width: 200, height: 300 }, feed, { scale: 256 }).cut, [16, 96]);
  assert.deepEqual(layout({ width: 300, height: 200 }, feed, { scale: 256, webglFeedProcess: true }).canvas, [224, 192]);
});

test('pixels become planes: channel order, mean and std, rounded as the original rounds', () => {
  const rgba = Uint8ClampedArray.of(255, 128, 0, 255, 51, 102, 153, 255);
  const feed = { fc: 3, fh: 1, fw: 2 };
  const f = Math.fround;
  assert.deepEqual([...toPlanes(rgba, feed, {})], [1, f(51 / 255), f(128 / 255), f(102 / 255), 0, f(153 / 255)]);
  const options = { mean: [0.5, 0.4, 0.3], std: [0.2, 0.25, 0.5], bgr: true };
  const want = [[0, 153], [128, 102], [255, 51]].flatMap((pair, c) => pair.map((x) => (
    f(f(f(x / 255) - options.mean[c]) / options.std[c]))));
  assert.deepEqual([...toPlanes(rgba, feed, options)], want);
  assert.deepEqual([...toPlanes(rgba, feed, { bgr: true, webglFeedProcess: true })], [...toPlanes(rgba, feed, {})]);
});

test('a picture is drawn on the page\'s canvas, over the filling', async () => {
  /** @type {any[]} */
  const calls = [];
  const context = {
    canvas: { width: 0, height: 0 }, fillStyle: '',
    /** @param {number[]} rect */
    fillRect(...rect) { calls.push(['fill', context.fillStyle, ...rect]); },
    /** @param {any[]} given */
    drawImage(...given) { calls.push(['draw', ...given]); },
    /** @param {number[]} rect */
    getImageData(...rect) {
      calls.push(['cut', ...rect]);
      return { data: new Uint8ClampedArray(4 * rect[2] * rect[3]).fill(255) };
    },
  };
  env.set('canvas2d', { getContext: () => context });
  const made = runner({ fill: '#000', needPreheat: false });
  const held = { path: /** @type {any} */ ('the picture'), width: 10, height: 10 };
  await refused(() => new MediaProcessor().process(held, { fw: 3, fh: 1 }, {}), 'invalid_input', /no canvas here/);
  assert.deepEqual(await made.predict(held), [12, 12, 12, 22, 22, 22]);
  assert.deepEqual(calls, [['fill', '#000', 0, 0, 3, 1], ['draw', 'the picture', 1, 0, 1, 1], ['cut', 0, 0, 3, 1]]);
  const cut = runner({ scale: 2, needPreheat: false });
  await refused(() => cut.predict(held), 'invalid_input', /scale of 2 is smaller than the feed of 3×1/);
});
