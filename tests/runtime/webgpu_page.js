// What the WebGPU tests run inside a page: a device that comes and goes, memory, frames in flight, profiles.
import { loadBundle } from '../../static/runtime/bundle.js';
import { createGpuEngine } from '../../static/runtime/gpu/engine.js';
import { InPageError, load } from '../../static/runtime/index.js';
import { kernels } from '../../static/runtime/kernels.js';
import { createBackend } from '../../static/runtime/webgpu/index.js';

/** @typedef {import('../../static/runtime/tensor.js').Tensor} Tensor */
/** @typedef {import('../../static/runtime/webgpu/index.js').WebgpuBackend} WebgpuBackend */

/** Numbers in [-1, 1] that are the same every time. @param {number} n @param {number} [phase] */
const wave = (n, phase = 1) => Float32Array.from({ length: n }, (_, i) => Math.sin(12.9898 * i + phase));
/** @param {number} [phase] @returns {Record<string, Tensor>} */
const frame = (phase) => ({ x: { data: wave(3 * 8 * 6, phase), shape: [1, 3, 8, 6] } });
/** @param {Record<string, Tensor>} p @param {Record<string, Tensor>} q */
const same = (p, q) => p.y.data.length === q.y.data.length && p.y.data.every((value, i) => value === q.y.data[i]);

/** An engine for the small bundle, and all backends that it opened. @param {string} address */
async function small(address) {
  const { graph, weights } = await loadBundle(address, { cache: false, check: async () => {} });
  /** @type {WebgpuBackend[]} */
  const opened = [];
  const engine = await createGpuEngine(graph, weights, {
    wasm: await kernels(),
    open: async (precision) => {
      const backend = await createBackend({ precision });
      opened.push(backend);
      return backend;
    },
  });
  return { engine, opened };
}

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
 * @param {{address: string, frames: number}} wish
 */
export async function runMany({ address, frames }) {
  const keeper = await createBackend({}), live = countBuffers(keeper.device), { engine } = await small(address);
  /** @type {Record<string, Tensor>[]} */
  const wanted = [];
  for (let i = 0; i < 8; i++) wanted.push(await engine.run(frame(i)));
  await Promise.all(wanted.map((_, i) => engine.run(frame(i))));
  const after = live.size, bytes = engine.memory().bytes;
  let wrong = 0;
  for (let k = 0; k < frames; k += 8) {
    const results = await Promise.all(wanted.map((_, i) => engine.run(frame(i))));
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
