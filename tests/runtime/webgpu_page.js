// What the WebGPU tests run inside a page: a device that comes and goes, memory, frames in flight, profiles.
import { createGpuEngine } from '../../static/runtime/gpu/engine.js';
import { InPageError, load } from '../../static/runtime/index.js';
import { kernels } from '../../static/runtime/kernels.js';
import { preprocess } from '../../static/runtime/preprocess.js';
import { createBackend } from '../../static/runtime/webgpu/index.js';
import { frame, same, small as smallOn, wave } from './gpu_page.js';

/** @typedef {import('../../static/runtime/tensor.js').Tensor} Tensor */
/** @param {string} address */
const small = (address) => smallOn(address, createBackend);

/** The device goes between two frames, and while a frame is computed. @param {string} address */
export async function loseDevice(address) {
  const { engine, opened } = await small(address), before = await engine.run(frame());
  opened[0].device.destroy();
  await opened[0].lost;
  const after = await engine.run(frame()), running = engine.run(frame());
  opened[1].device.destroy();
  const during = await running, told = { same: same(before, after) && same(before, during), opened: opened.length };
  engine.dispose();
  return told;
}

/** No adapter can be had any more: one typed error, and a later success once there is one. @param {string} address */
export async function loseDeviceForGood(address) {
  const { engine, opened } = await small(address), before = await engine.run(frame()), { gpu } = navigator, { requestAdapter } = gpu;
  gpu.requestAdapter = async () => null;
  opened[0].device.destroy();
  await opened[0].lost;
  const error = await engine.run(frame()).then(() => null, (thrown) => thrown);
  gpu.requestAdapter = requestAdapter;
  const again = await engine.run(frame()).then((result) => same(before, result), String);
  engine.dispose();
  return { typed: error instanceof InPageError, code: error?.code, again };
}

/** Two models share a device; the last to go takes it away. @param {string} address */
export async function shareDevice(address) {
  const first = await small(address), second = await small(address);
  const [p, q] = await Promise.all([first.engine.run(frame()), second.engine.run(frame())]);
  const { device } = first.opened[0], shared = device === second.opened[0].device;
  first.engine.dispose();
  const r = await second.engine.run(frame()), bytes = first.opened[0].memory().bytes;
  second.engine.dispose();
  const gone = await Promise.race([device.lost.then(({ reason }) => reason), new Promise((resolve) => { setTimeout(resolve, 5000, 'still there'); })]);
  return { shared, same: same(p, q) && same(q, r), gone, bytes };
}

/** Buffers of a device that were made and not destroyed. @param {GPUDevice} device */
function countBuffers(device) {
  const live = new Set(), make = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = make(descriptor), destroy = buffer.destroy.bind(buffer);
    live.add(buffer);
    buffer.destroy = () => {
      live.delete(buffer);
      return destroy();
    };
    return buffer;
  };
  return live;
}

/**
 * Many frames, eight at once, each with numbers of its own.
 * @param {{address: string, frames: number, side: number}} wish
 */
export async function runMany({ address, frames, side }) {
  const keeper = await createBackend({}), live = countBuffers(keeper.device), { engine } = await small(address);
  /** @type {Record<string, Tensor>[]} */
  const wanted = [];
  for (let i = 0; i < 8; i++) wanted.push(await engine.run(frame(i, side, side)));
  await Promise.all(wanted.map((_, i) => engine.run(frame(i, side, side))));
  const after = live.size, bytes = engine.memory().bytes;
  let wrong = 0;
  for (let k = 0; k < frames; k += 8) {
    const results = await Promise.all(wanted.map((_, i) => engine.run(frame(i, side, side))));
    wrong += results.filter((result, i) => !same(wanted[i], result)).length;
  }
  const told = { after, end: live.size, grown: engine.memory().bytes - bytes, wrong };
  engine.dispose();
  const left = live.size;
  keeper.dispose();
  return { ...told, left };
}

/** More shapes than plans are kept, eight of them at once. @param {string} address */
export async function manyShapes(address) {
  const { engine, opened } = await small(address), sizes = [];
  for (let high = 8; high < 40; high += 8) {
    const runs = Array.from({ length: 8 }, (_, i) => [high + i, 46 - high - i]).map(([h, w]) => (
      engine.run({ x: { data: wave(3 * h * w), shape: [1, 3, h, w] } })));
    const shapes = (await Promise.all(runs)).map(({ y }) => y.shape.slice(2).join('x'));
    sizes.push({ shapes, bytes: opened[0].memory().bytes });
  }
  const plans = engine.plans.size;
  engine.dispose();
  return { plans, sizes };
}

/** Calls of a model through its public face, not waiting for one another. @param {string} address */
export async function inFlight(address) {
  const model = await load(address, { backend: 'webgpu', worker: false, cache: false });
  /** @type {Record<string, Tensor>[]} */
  const alone = [];
  /** @type {number[]} */
  const order = [];
  for (let i = 0; i < 20; i++) alone.push(await model.run(frame(i)));
  const together = await Promise.all(alone.map((_, i) => model.run(frame(i)).then((result) => {
    order.push(i);
    return result;
  })));
  const running = model.run(frame());
  await new Promise((resolve) => { setTimeout(resolve, 0); });
  const late = model.dispose().then(() => model.run(frame()).then(() => '', (error) => error.code));
  return { same: together.every((result, i) => same(result, alone[i])), order, last: (await running.then(() => 'ran', (error) => error.code)), late: await late };
}

/** @param {string} address */
export async function profile(address) {
  const model = await load(address, { backend: 'webgpu', cache: false }), steps = await model.profile?.(frame());
  await model.dispose();
  return steps;
}

/** A program with an error in it. */
export async function refuseShader() {
  const { home } = await createBackend({});
  const code = '@compute @workgroup_size(1)\nfn main() {\nlet a = nothing;\n}';
  const error = await home.compile(code, 0, 'conv2d (y)').then(() => null, (thrown) => thrown);
  return { code: error?.code, message: error?.message };
}

/** A graph that gives back its input, next to nothing added. @param {number} rank */
const echo = (rank) => ({
  vars: new Map(), inputs: [{ name: 'x', shape: new Array(rank).fill(-1), dtype: 'float32' }],
  outputs: [{ name: 'y', shape: new Array(rank).fill(-1), dtype: 'float32' }],
  ops: [{ type: 'scale', inputs: { X: ['x'] }, outputs: { Out: ['y'] }, attrs: { scale: 1, bias: 1e-9, bias_after_scale: true } }],
});

/** A picture with edges and noise. @param {number} width @param {number} height */
function picture(width, height) {
  const data = new Uint8ClampedArray(4 * width * height);
  for (let i = 0; i < data.length; i++) data[i] = i % 4 === 3 ? 255 : (i * 7919 + (i >> 5) * 104729) % 256;
  return { data, width, height };
}

/**
 * The tensor that the GPU makes of a picture beside the one of preprocess.js, for several rules, sizes and kinds of source.
 * @returns {Promise<{worst: number, checked: number, sources: string[]}>} worst: in levels of 1/255
 */
export async function preparePictures() {
  const common = { input: 'x', padValue: 114, scale: 1 / 255, mean: [0.5, 0.4, 0.3], std: [0.25, 0.5, 0.2], channels: 'rgb', layout: 'nchw', crop: null, limit: null };
  const specs = /** @type {import('../../static/runtime/preprocess.js').PreprocessSpec[]} */ (/** @type {any} */ ([
    { ...common, size: [24, 30], resize: 'stretch', interpolation: 'linear' },
    { ...common, size: [17, 13], resize: 'stretch', interpolation: 'area', layout: 'nhwc', channels: 'bgr' },
    { ...common, size: [40, 33], resize: 'fit', interpolation: 'nearest' },
    { ...common, size: [32, 32], resize: 'short', interpolation: 'linear', crop: [24, 20] },
    { ...common, size: null, resize: 'limit', interpolation: 'linear', limit: { side: 64, type: 'max', multiple: 32 } },
    { ...common, size: [9, 9], resize: 'stretch', interpolation: 'area', channels: 'gray', mean: [0.5], std: [0.25] },
  ]));
  const engine = await createGpuEngine(echo(4), new Map(), { wasm: await kernels(), open: (precision) => createBackend({ precision }) });
  await engine.run({ x: { data: wave(3 * 40 * 33), shape: [1, 3, 40, 33] } });
  let worst = 0, checked = 0;
  const sources = [];
  for (const [width, height] of [[61, 47], [20, 90]]) {
    const pixels = picture(width, height), image = new ImageData(pixels.data, width, height);
    const canvas = new OffscreenCanvas(width, height), bitmap = await createImageBitmap(image);
    /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext('2d')).putImageData(image, 0, 0);
    for (const [kind, source] of Object.entries({ pixels: { data: pixels.data }, bitmap, canvas })) {
      sources.push(kind);
      for (const spec of specs) {
        const wanted = preprocess(spec, pixels), feed = engine.capture('x', source, pixels, spec);
        if (!feed) throw new Error(`no capture of ${kind}`);
        const { y } = await engine.run({ x: feed });
        if (y.shape.join() !== wanted.shape.join()) throw new Error(`${y.shape} instead of ${wanted.shape}`);
        const level = spec.scale / Math.min(...spec.std);
        y.data.forEach((v, i) => { worst = Math.max(worst, Math.abs(Number(v) - wanted.data[i]) / level); });
        checked++;
      }
    }
  }
  engine.dispose();
  return { worst, checked, sources: [...new Set(sources)] };
}

/** A model fed with pictures, on the GPU and on WASM; how many of its frames were made into tensors on the GPU. @param {string} address */
export async function feedPictures(address) {
  const models = [];
  for (const backend of /** @type {const} */ (['webgpu', 'wasm'])) models.push(await load(address, { backend, worker: false, cache: false }));
  const { pictures } = /** @type {any} */ (models[0]).engine.device, encode = pictures.encode.bind(pictures);
  let onGpu = 0;
  pictures.encode = (/** @type {any[]} */ ...args) => {
    onGpu++;
    encode(...args);
  };
  const canvas = new OffscreenCanvas(50, 40), context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext('2d'));
  let worst = 0;
  for (let i = 0; i < 6; i++) {
    const { data, width, height } = picture(50, 40);
    context.putImageData(new ImageData(data.map((v, k) => (k % 4 === 3 ? 255 : v ^ (i * 37))), width, height), 0, 0);
    const blob = i % 2 ? null : await canvas.convertToBlob();
    const frame = i === 5 ? new VideoFrame(canvas, { timestamp: 0 }) : null;
    const [p, q] = await Promise.all(models.map((model) => model.run({ x: blob ?? frame ?? canvas })));
    frame?.close();
    p.y.data.forEach((v, k) => { worst = Math.max(worst, Math.abs(Number(v) - Number(q.y.data[k]))); });
  }
  const held = models[0].memory().bytes;
  for (const model of models) await model.dispose();
  return { worst, onGpu, held, left: models[0].memory().bytes };
}
