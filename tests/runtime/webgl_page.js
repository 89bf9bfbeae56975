// What the WebGL tests run inside a page: a context that comes and goes.
import { InPageError, load } from '../../static/runtime/index.js';
import { createGpuEngine } from '../../static/runtime/gpu/engine.js';
import { kernels } from '../../static/runtime/kernels.js';
import { preprocess } from '../../static/runtime/preprocess.js';
import { createBackend } from '../../static/runtime/webgl/index.js';
import { graphOf } from './case_graph.js';
import { frame, same, small as smallOn, wave } from './gpu_page.js';

/** @typedef {import('../../static/runtime/webgl/index.js').WebglBackend} WebglBackend */

/** @param {string} address */
const small = async (address) => ({ ...await smallOn(address, createBackend), feeds: frame() });

/** The context goes while a frame is computed, and between two frames. @param {string} address */
export async function loseContext(address) {
  const { engine, opened, feeds } = await small(address), before = await engine.run(feeds);
  opened[0].device.gl.getExtension('WEBGL_lose_context')?.loseContext();
  const after = await engine.run(feeds), running = engine.run(feeds);
  opened[1].device.gl.getExtension('WEBGL_lose_context')?.loseContext();
  const during = await running, told = { same: same(before, after) && same(before, during), opened: opened.length, reason: await opened[0].lost };
  engine.dispose();
  return told;
}

/** No context can be had any more: one typed error, and a later success once there is one. @param {string} address */
export async function loseContextForGood(address) {
  const { engine, opened, feeds } = await small(address), before = await engine.run(feeds);
  const { getContext } = OffscreenCanvas.prototype;
  OffscreenCanvas.prototype.getContext = /** @type {any} */ (() => null);
  opened[0].device.gl.getExtension('WEBGL_lose_context')?.loseContext();
  const error = await engine.run(feeds).then(() => null, (thrown) => thrown);
  OffscreenCanvas.prototype.getContext = getContext;
  const again = await engine.run(feeds).then((result) => same(before, result), (thrown) => String(thrown));
  engine.dispose();
  return { typed: error instanceof InPageError, code: error?.code, again };
}

/** Two models share a context; the last to go takes it away. @param {string} address */
export async function shareContext(address) {
  const first = await small(address), second = await small(address), { device } = first.opened[0];
  const [p, q] = await Promise.all([first.engine.run(first.feeds), second.engine.run(second.feeds)]);
  const shared = device === second.opened[0].device;
  first.engine.dispose();
  const alive = !device.gl.isContextLost(), r = await second.engine.run(second.feeds);
  second.engine.dispose();
  await new Promise((resolve) => { setTimeout(resolve, 0); });
  return { shared, alive, same: same(p, q) && same(q, r), gone: device.gl.isContextLost(), bytes: first.opened[0].memory().bytes };
}

/** Objects of WebGL that were made and not deleted. @param {WebGL2RenderingContext} gl */
function countObjects(gl) {
  /** @type {Record<string, number>} */
  const left = {};
  const any = /** @type {any} */ (gl);
  for (const kind of ['Texture', 'Framebuffer', 'Buffer', 'Program', 'Shader']) {
    const [make, drop] = [any[`create${kind}`].bind(gl), any[`delete${kind}`].bind(gl)];
    left[kind] = 0;
    any[`create${kind}`] = (/** @type {any[]} */ ...args) => { left[kind]++; return make(...args); };
    any[`delete${kind}`] = (/** @type {any} */ one) => { if (one) left[kind]--; drop(one); };
  }
  const [fence, end] = [gl.fenceSync.bind(gl), gl.deleteSync.bind(gl)];
  left.Sync = 0;
  gl.fenceSync = (...args) => { left.Sync++; return fence(...args); };
  gl.deleteSync = (sync) => { left.Sync--; end(sync); };
  return left;
}

/**
 * Many frames, some at once: what the driver holds afterwards is what it held after the first few.
 * @param {{address: string, frames: number}} wish
 */
export async function runMany({ address, frames }) {
  const keeper = await createBackend({}), left = countObjects(keeper.device.gl), { engine, feeds } = await small(address);
  const want = await engine.run(feeds);
  await Promise.all(Array.from({ length: 8 }, () => engine.run(feeds)));
  const after = { ...left }, bytes = engine.memory().bytes;
  let wrong = 0;
  for (let i = 0; i < frames; i += 8) {
    const results = await Promise.all(Array.from({ length: 8 }, () => engine.run(feeds)));
    wrong += results.filter((result) => !same(want, result)).length;
  }
  const end = { ...left }, grown = engine.memory().bytes - bytes;
  engine.dispose();
  const kept = { ...left };
  keeper.dispose();
  return { after, end, wrong, grown, kept };
}

/** A plan per shape, more shapes than plans are kept. @param {string} address */
export async function manyShapes(address) {
  const { engine, opened } = await small(address), sizes = [];
  for (let high = 8; high < 38; high += 2) {
    const wide = 46 - high; // about as many pixels every time
    await engine.run(frame(1, high, wide));
    sizes.push(opened[0].memory().bytes);
  }
  const plans = opened[0].prepared.size;
  engine.dispose();
  return { plans, sizes };
}

/** A driver that does not take a shader. @param {string} address */
export async function refuseShader(address) {
  const { gl } = (await createBackend({})).device, { shaderSource } = gl;
  gl.shaderSource = (shader, text) => shaderSource.call(gl, shader, text.replace('result = v;', 'result = v +;'));
  const { engine, feeds } = await small(address);
  const error = await engine.run(feeds).then(() => null, (thrown) => thrown);
  gl.shaderSource = shaderSource;
  const again = await engine.run(feeds).then(() => 'ran', (thrown) => String(thrown));
  engine.dispose();
  return { code: error?.code, message: error?.message, again };
}

/** Time of every step. @param {string} address */
export async function profile(address) {
  const { engine, feeds } = await small(address), steps = await engine.profile(feeds);
  engine.dispose();
  return steps;
}

/** A picture with edges, ramps and noise. @param {number} width @param {number} height @returns {ImageData} */
function pattern(width, height) {
  const picture = new ImageData(width, height), level = wave(4 * width * height);
  picture.data.forEach((_, i, data) => { data[i] = (i & 3) === 3 ? 255 : ((i >> 2) % width * 5 + level[i] * 60 + (i & 3) * 50) & 255; });
  return picture;
}

/**
 * Pictures made into tensors by WebGL and by preprocess.js: the worst difference, in levels of 255 as the rule scales them.
 * @param {import('../../static/runtime/preprocess.js').PreprocessSpec[]} specs
 */
export async function checkPictures(specs) {
  const picture = pattern(61, 47), canvas = new OffscreenCanvas(61, 47), worst = [];
  canvas.getContext('2d')?.putImageData(picture, 0, 0);
  for (const spec of specs) {
    const { data, shape } = preprocess(spec, picture), wanted = data.slice(), { graph, weights, feeds } = copyGraph(shape);
    /** @type {WebglBackend[]} */
    const opened = [], open = async () => (opened[0] = await createBackend({}));
    const engine = await createGpuEngine(graph, weights, { wasm: await kernels(), open });
    await engine.run(feeds);
    const [backend] = opened, { prepared } = await [...engine.plans.values()][0];
    for (const source of [picture, canvas]) {
      const captured = backend.capture(source, picture);
      const [got] = captured ? await backend.run(prepared, 0, [{ picture: captured, spec }]) : [wanted.map(() => NaN)];
      worst.push(wanted.reduce((most, want, i) => {
        const channel = spec.layout === 'nhwc' ? i % spec.std.length : Math.floor(i / (wanted.length / spec.std.length));
        const levels = Math.abs(got[i] - want) * Math.abs(spec.std[channel] / spec.scale);
        return levels <= most ? most : levels;
      }, 0));
    }
    engine.dispose();
  }
  return worst;
}

/** A graph that gives its input back, by a step. @param {number[]} shape */
function copyGraph(shape) {
  const tensor = { dtype: 'float32', shape, data: new Array(shape.reduce((n, size) => n * size, 1)).fill(0) };
  return graphOf({ name: 'copy', op: 'scale', inputs: { X: [tensor] }, const: [], attrs: { scale: 1, bias: 0, bias_after_scale: true }, outputs: { Out: [tensor] }, tol: 0 });
}

/** A driver that computes convolutions wrongly: they go to WASM, and the result is right. @param {string} address */
export async function wrongDriver(address) {
  const { gl } = (await createBackend({})).device, { shaderSource } = gl;
  gl.shaderSource = (shader, text) => shaderSource.call(gl, shader, text.replaceAll('weight_at(k_, 3)', 'weight_at(k_, 2)'));
  const { engine, feeds } = await small(address), got = await engine.run(feeds), plans = await Promise.all([...engine.plans.values()]);
  const reasons = plans.flatMap(({ plan }) => [...plan.reasons.values()]), on = plans.flatMap(({ plan }) => plan.segments.map((segment) => segment.on));
  engine.dispose();
  const host = await load(address, { backend: 'wasm', worker: false, cache: false }), wanted = await host.run(feeds);
  await host.dispose();
  return { reasons, on, same: same(got, wanted) };
}
