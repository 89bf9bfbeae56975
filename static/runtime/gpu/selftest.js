// Small graphs, one or more for every kind of step, that a driver must compute as WASM does before models are given to it.
import { createEngine } from '../engine.js';
import { loadOperators } from '../ops/index.js';
import { TOLERANCE, worstError } from './check.js';
import { makeGpuPlan } from './plan.js';

/** @typedef {import('./step.js').Backend} Backend */
/** @typedef {import('./step.js').Step} Step */
/** @typedef {import('../plan.js').Graph} Graph */
/** @typedef {Record<string, number[]>} Sizes of slots */
/** @typedef {{kind: Step['kind'], type: string, feeds: Sizes, weights: Sizes, out: number, attrs: Record<string, any>}} Sample
 *   out: rank of the result */

const FUSE = { fuse_activation: 'relu', fuse_alpha: 0, fuse_beta: 0 };
const WINDOW = { paddings: [1, 1, 1, 1], padding_algorithm: 'EXPLICIT', dilations: [1, 1], data_format: 'NCHW', ...FUSE };

/** @param {number[]} x @param {number[]} w @param {number} groups @param {number} stride @param {number} pad @returns {Sample} */
const conv = (x, w, groups, stride, pad) => ({
  kind: 'conv', type: 'conv2d', feeds: { Input: x }, weights: { Filter: w, Bias: [w[0]] }, out: 4,
  attrs: { ...WINDOW, strides: [stride, stride], paddings: [pad, pad, pad, pad], groups },
});

/** @type {Sample[]} */
const SAMPLES = [
  conv([1, 6, 9, 8], [10, 6, 3, 3], 1, 1, 1),
  conv([1, 32, 64, 96], [32, 32, 1, 1], 1, 1, 0),
  conv([1, 4, 128, 128], [16, 4, 3, 3], 1, 1, 1),
  conv([1, 24, 3, 5], [20, 24, 1, 1], 1, 1, 0),
  conv([1, 10, 9, 7], [10, 1, 3, 3], 10, 2, 1),
  conv([1, 6, 5, 6], [4, 3, 3, 3], 2, 1, 1),
  {
    kind: 'deconv', type: 'conv2d_transpose', feeds: { Input: [1, 6, 4, 5] }, weights: { Filter: [6, 5, 3, 3], Bias: [5] }, out: 4,
    attrs: { ...WINDOW, strides: [2, 2], groups: 1, output_padding: [], output_size: [] },
  },
  ...['max', 'avg'].flatMap((pooling) => [true, false].map((whole) => /** @type {Sample} */ ({
    kind: 'pool', type: 'pool2d', feeds: { X: [1, 6, 9, 8] }, weights: {}, out: 4,
    attrs: {
      pooling_type: pooling, ksize: [3, 2], strides: [2, 1], paddings: [1, 0, 0, 1], ceil_mode: false, exclusive: true, adaptive: false,
      global_pooling: whole, padding_algorithm: 'EXPLICIT', data_format: 'NCHW',
    },
  }))),
  {
    kind: 'resize', type: 'bilinear_interp_v2', feeds: { X: [1, 5, 4, 6] }, weights: {}, out: 4,
    attrs: { out_h: 9, out_w: 11, scale: [], align_corners: false, align_mode: 0, data_layout: 'NCHW' },
  },
  { kind: 'map', type: 'hard_swish', feeds: { X: [1, 6, 5, 7] }, weights: {}, out: 4, attrs: { threshold: 6, scale: 6, offset: 3 } },
  { kind: 'map', type: 'sigmoid', feeds: { X: [3, 7] }, weights: {}, out: 2, attrs: {} },
  { kind: 'map', type: 'elementwise_mul', feeds: { X: [1, 6, 5, 7], Y: [1, 6, 1, 1] }, weights: {}, out: 4, attrs: { axis: -1, ...FUSE } },
  { kind: 'map', type: 'elementwise_sub', feeds: { X: [4, 9], Y: [4, 1] }, weights: {}, out: 2, attrs: { axis: -1, ...FUSE } },
  { kind: 'move', type: 'transpose2', feeds: { X: [2, 3, 5, 7] }, weights: {}, out: 4, attrs: { axis: [0, 2, 3, 1] } },
  { kind: 'move', type: 'tile', feeds: { X: [3, 5] }, weights: {}, out: 2, attrs: { repeat_times: [2, 3] } },
  { kind: 'matmul', type: 'fc', feeds: { Input: [3, 24] }, weights: { W: [24, 20], Bias: [20] }, out: 2, attrs: { in_num_col_dims: 1, ...FUSE } },
  { kind: 'matmul', type: 'matmul_v2', feeds: { X: [2, 5, 9], Y: [2, 7, 9] }, weights: {}, out: 3, attrs: { trans_x: false, trans_y: true } },
  { kind: 'softmax', type: 'softmax', feeds: { X: [5, 13] }, weights: {}, out: 2, attrs: { axis: 1 } },
  { kind: 'reduce', type: 'reduce_max', feeds: { X: [4, 9, 6] }, weights: {}, out: 2, attrs: { dim: [1], keep_dim: false, reduce_all: false } },
  { kind: 'norm', type: 'layer_norm', feeds: { X: [5, 18] }, weights: { Scale: [18], Bias: [18] }, out: 2, attrs: { epsilon: 1e-5, begin_norm_axis: 1 } },
];

/** @param {number[]} shape @param {number} phase */
const wave = (shape, phase) => Float32Array.from({ length: shape.reduce((n, size) => n * size, 1) }, (_, i) => Math.sin(12.9898 * (i + 1) + phase));

/** @param {Sample} sample */
function graphOf({ type, feeds, weights, out, attrs }) {
  const info = (/** @type {[string, number[]]} */ [name, shape]) => ({ name, shape, dtype: 'float32' });
  const slots = { ...feeds, ...weights }, names = Object.keys(slots);
  /** @type {Graph} */
  const graph = {
    vars: new Map(Object.entries(slots).map((entry) => [entry[0], { ...info(entry), persistable: entry[0] in weights }])),
    ops: [{ type, attrs, inputs: Object.fromEntries(names.map((name) => [name, [name]])), outputs: { Out: ['out'] } }],
    inputs: Object.entries(feeds).map(info), outputs: [{ name: 'out', shape: new Array(out).fill(-1), dtype: 'float32' }],
  };
  return {
    graph, weights: new Map(Object.entries(weights).map(([name, shape], i) => [name, wave(shape, i + 0.5)])),
    tensors: Object.fromEntries(Object.entries(feeds).map(([name, shape], i) => [name, { shape, data: wave(shape, i) }])),
  };
}

/** What is known of each driver and kind, in this page or worker. @type {Map<string, Promise<boolean>>} */
const known = new Map();

/**
 * Those of the kinds of steps that this backend computes wrongly.
 * @param {Backend} backend @param {Iterable<string>} kinds @param {WebAssembly.Module} wasm
 * @returns {Promise<Set<string>>}
 */
export async function brokenKinds(backend, kinds, wasm) {
  const wanted = [...new Set(kinds)], sound = await Promise.all(wanted.map((kind) => {
    const key = [backend.name, backend.precision, backend.driver, kind].join(' ');
    const found = known.get(key) ?? recall(key).then((kept) => kept ?? examine(backend, kind, wasm, key));
    known.set(key, found);
    found.catch(() => known.delete(key));
    return found;
  }));
  return new Set(wanted.filter((_, i) => !sound[i]));
}

/** @param {Backend} backend @param {string} kind @param {WebAssembly.Module} wasm @param {string} key @returns {Promise<boolean>} */
async function examine(backend, kind, wasm, key) {
  const right = await Promise.all(SAMPLES.filter((sample) => sample.kind === kind).map((sample) => isRight(backend, sample, wasm)));
  const sound = right.every(Boolean);
  await keep(key, sound);
  return sound;
}

/** @param {Backend} backend @param {Sample} sample @param {WebAssembly.Module} wasm */
async function isRight(backend, sample, wasm) {
  const { graph, weights, tensors } = graphOf(sample), operators = await loadOperators([sample.type]);
  const plan = makeGpuPlan(graph, sample.feeds, operators, weights, {}, backend), [segment] = plan.segments;
  if (plan.segments.length !== 1 || segment.on !== 'gpu') return true; // the device says itself that it cannot
  for (const step of segment.steps) { // the backend must not take these constants for those of its model
    for (const value of [...step.x, ...('w' in step ? [step.w, step.bias] : [])]) if (value) value.key = '';
  }
  const prepared = await backend.prepare(plan), reference = await createEngine(graph, weights, { wasm });
  try {
    const [data] = await backend.run(prepared, 0, segment.uploads.map(({ name }) => tensors[name].data));
    return worstError({ out: { data, shape: segment.downloads[0].shape } }, await reference.run(tensors), 1) <= TOLERANCE[backend.precision];
  } finally {
    backend.release(prepared);
    reference.dispose();
  }
}

const STORE = 'paddle-inpage-gpu';
/** @param {string} key */
const addressOf = (key) => `${new URL('./selftest.js', import.meta.url).href}?${encodeURIComponent(`${key} ${globalThis.navigator?.userAgent ?? ''}`)}`;

/** What an earlier visit found; null where it found nothing, or may keep nothing. @param {string} key @returns {Promise<boolean|null>} */
async function recall(key) {
  if (typeof caches !== 'object') return null;
  const kept = await caches.open(STORE).then((store) => store.match(addressOf(key))).catch(() => undefined);
  return kept ? (await kept.text()) === 'sound' : null;
}

/** @param {string} key @param {boolean} sound */
async function keep(key, sound) {
  if (typeof caches !== 'object') return;
  await caches.open(STORE).then((store) => store.put(addressOf(key), new Response(sound ? 'sound' : 'broken'))).catch(() => {
    // no room, or not allowed: the next visit tests again
  });
}
