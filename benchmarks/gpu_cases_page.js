// Inside the page of gpu_cases.py: operator cases and real models on both GPU backends in both precisions, each held to what
// Paddle gave. What fails is told by its name, and the rest goes on; one report per line.
import { worstError } from '../static/runtime/gpu/check.js';
import { load } from '../static/runtime/index.js';
import { checkCases, keep, unpack } from '../tests/runtime/gpu_page.js';
import { checkPictures } from '../tests/runtime/webgl_page.js';
import { preparePictures } from '../tests/runtime/webgpu_page.js';

/** @typedef {'webgpu'|'webgl'} Name */
/** @typedef {'float32'|'float16'} Precision */
/** @typedef {Record<string, import('../static/runtime/tensor.js').Tensor>} Tensors */
/**
 * @typedef {object} Wish
 * @property {string[]} cases addresses of files with operator cases
 * @property {import('../static/runtime/preprocess.js').PreprocessSpec[]} pictures rules for pictures, or none
 * @property {{name: string, sure?: number}[]} models sure: score above which a detector's rows are compared, as a set
 * @property {Record<Precision, number>} limits shares of the range
 * @property {number} runs of each model, for its time
 * @property {number} patience_s for one file of cases, or one model on one backend
 */

const BACKENDS = /** @type {Name[]} */ (['webgpu', 'webgl']);
const PRECISIONS = /** @type {Precision[]} */ (['float32', 'float16']);
const FLIGHT = 8;
const TIMED_MS = 2000; // of runs on one backend, after which fewer than wished are enough
const TOLD_EVERY_MS = 15_000;

/** @param {unknown} report */
const say = (report) => fetch('/r', { method: 'POST', body: JSON.stringify(report) });
/** JSON has no infinity. @param {number} error */
const told = (error) => (Number.isFinite(error) ? Number(error.toPrecision(2)) : String(error));
/** @param {number} ms */
const rounded = (ms) => Math.round(ms * 100) / 100;

/** @template T @param {Promise<T>} work @param {number} seconds @returns {Promise<T>} */
function within(work, seconds) {
  /** @type {Promise<never>} */
  const late = new Promise((_, fail) => { setTimeout(() => fail(new Error(`no end within ${seconds} s`)), 1000 * seconds); });
  return Promise.race([work, late]);
}

/** @param {Wish} wish @param {Name} backend @param {Precision} precision */
async function allCases({ cases, limits, patience_s }, backend, precision) {
  const sum = { cases: 0, passed: 0, on_gpu: 0, worst: 0, worst_case: '' }, start = performance.now(), failed = /** @type {string[]} */ ([]);
  /** @param {boolean} whole */
  const report = (whole) => say({
    cases_on: backend, precision, whole, ...sum, worst: told(sum.worst), failed, seconds: rounded((performance.now() - start) / 1000),
  });
  let last = start;
  for (const file of cases) {
    const family = /** @type {string} */ (file.split('/').pop()).replace('.json', '');
    try {
      for (const { name, tol, worst, steps, error } of await within(checkCases({ backend, precision, files: [file] }), patience_s)) {
        sum.cases++;
        sum.on_gpu += Number(steps > 0);
        const right = !error && worst <= Math.max(limits[precision], tol);
        sum.passed += Number(right);
        if (!right) failed.push(`${family}/${name}: ${error.slice(0, 500) || `${told(worst)} off`}`);
        else if (worst > sum.worst) [sum.worst, sum.worst_case] = [worst, `${family}/${name}`];
      }
    } catch (error) {
      failed.push(`${family}, all of it: ${error}`);
    }
    if (performance.now() - last > TOLD_EVERY_MS) {
      last = performance.now();
      await report(false);
    }
  }
  await report(true);
  return failed.length;
}

/** Pictures made tensors on the GPU, beside the host's rule. @param {Wish} wish */
async function allPictures({ pictures, patience_s }) {
  const failed = [], ways = { webgpu: async () => (await preparePictures()).worst, webgl: async () => Math.max(...await checkPictures(pictures)) };
  for (const backend of BACKENDS) {
    try {
      const levels = await within(ways[backend](), patience_s), right = levels <= 1;
      await say({ pictures_on: backend, right, levels_of_255: told(levels) });
      if (!right) failed.push(backend);
    } catch (error) {
      await say({ pictures_on: backend, failed: String(error) });
      failed.push(backend);
    }
  }
  return failed.length;
}

/**
 * Rows [class, score, 4 sides]: all scores in order, and those above `sure` as a set of rows.
 * @param {Tensors[string]} got @param {Tensors[string]} wanted @param {number} sure @returns {number} share of the range
 */
function errorOfRows(got, wanted, sure) {
  if (got.shape.join() !== wanted.shape.join()) return Infinity;
  const [ours, theirs] = [got, wanted].map(({ data, shape }) => Array.from({ length: shape[0] }, (_, i) => Array.from(data.slice(6 * i, 6 * i + 6), Number)));
  const [p, q] = [ours, theirs].map((rows) => rows.map((row) => row[1]).sort((a, b) => a - b));
  const scores = p.map((score, i) => Math.abs(score - q[i])), [mine, yours] = [ours, theirs].map((rows) => rows.filter((row) => row[1] > sure));
  if (mine.length !== yours.length) return Infinity;
  /** @param {number[]} row @param {number[][]} rows */
  const nearest = (row, rows) => Math.min(...rows.map((other) => Math.max(...other.map((value, i) => Math.abs(value - row[i])))));
  const worst = Math.max(...scores, ...mine.map((row) => nearest(row, yours)), ...yours.map((row) => nearest(row, mine)));
  const all = theirs.flat();
  return worst / (Math.max(...all) - Math.min(...all));
}

/** Outputs that have other names go by their order. @param {Tensors} got @param {Tensors} wanted @param {number} [sure] */
function errorOf(got, wanted, sure) {
  const inOrder = Object.values(wanted), names = Object.keys(got);
  if (inOrder.length !== names.length) return Infinity;
  return Math.max(...names.map((name, i) => {
    const right = wanted[name] ?? inOrder[i], rows = sure !== undefined && right.shape.length === 2;
    return rows ? errorOfRows(got[name], right, sure) : worstError({ y: got[name] }, { y: right });
  }));
}

/** @param {number[]} times */
const median = (times) => times.sort((p, q) => p - q)[times.length >> 1];

/**
 * @param {Wish} wish @param {Wish['models'][number]} which @param {{backend: Name|'wasm', precision?: Precision}} on
 * @param {Tensors} inputs @param {Tensors} wanted
 */
async function runModel({ limits, runs }, { name, sure }, on, inputs, wanted) {
  const began = performance.now(), model = await load(`/models/${name}`, { ...on, worker: false, cache: false });
  try {
    const ready_ms = rounded(performance.now() - began), error = errorOf(await model.run(inputs), wanted, sure), times = [];
    for (let spent = 0; times.length < runs && spent < TIMED_MS; spent += times[times.length - 1]) {
      const start = performance.now();
      await model.run(inputs);
      times.push(performance.now() - start);
    }
    const flying = performance.now();
    let left = times.length;
    await Promise.all(Array.from({ length: FLIGHT }, async () => { while (left-- > 0) await model.run(inputs); }));
    const in_flight_ms = rounded((performance.now() - flying) / times.length);
    const steps = on.backend === 'wasm' ? [] : await model.profile?.(inputs) ?? [], numerics = model.numerics;
    const hosted = steps.filter(({ on: where }) => where === 'wasm').map(({ kind }) => kind), precision = numerics?.precision ?? 'float32';
    return {
      right: error <= limits[precision], error: told(error), precision, check: numerics?.error == null ? undefined : told(numerics.error),
      note: numerics?.note || undefined, run_ms: rounded(median(times)), runs: times.length, in_flight_ms, ready_ms,
      on_gpu: steps.length - hosted.length, on_wasm: hosted.length ? hosted : undefined, mb: rounded(model.memory().bytes / 1e6),
    };
  } finally {
    await model.dispose();
  }
}

/** @param {Wish} wish @param {Wish['models'][number]} which @returns {Promise<string[]>} on what it failed */
async function everywhere(wish, which) {
  const { inputs, outputs } = await (await fetch(`/models/${which.name}/reference.json`)).json(), failed = [];
  const found = /** @type {Record<string, unknown>} */ ({}), known = /** @type {const} */ ([unpack(inputs), unpack(outputs)]);
  const all = BACKENDS.flatMap((backend) => PRECISIONS.map((precision) => ({ backend, precision })));
  for (const on of [{ backend: /** @type {const} */ ('wasm') }, ...all]) {
    const name = Object.values(on).join(' ');
    try {
      const one = await within(runModel(wish, which, on, ...known), wish.patience_s);
      found[name] = one;
      if (!one.right) failed.push(name);
    } catch (error) {
      found[name] = { failed: String(error).slice(0, 1000) };
      failed.push(name);
    }
  }
  await say({ model: which.name, failed, ...found });
  return failed.map((name) => `${which.name} ${name}`);
}

async function tellDevices() {
  const gl = document.createElement('canvas').getContext('webgl2'), info = gl?.getExtension('WEBGL_debug_renderer_info');
  const adapter = await navigator.gpu?.requestAdapter(), { vendor, architecture, description } = adapter?.info ?? {};
  await say({
    agent: navigator.userAgent, cores: navigator.hardwareConcurrency, webgl: gl && info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : null,
    webgpu: adapter ? { vendor, architecture, description, half: adapter.features.has('shader-f16'), subgroups: adapter.features.has('subgroups') } : null,
  });
  gl?.getExtension('WEBGL_lose_context')?.loseContext();
}

/** @param {Wish} wish */
async function main(wish) {
  await tellDevices();
  let failures = 0;
  for (const backend of BACKENDS) {
    await within(keep(backend), wish.patience_s).catch((error) => say({ backend, failed: String(error) })); // with its programs, for all that follows
    for (const precision of PRECISIONS) if (wish.cases.length) failures += await allCases(wish, backend, precision);
  }
  if (wish.pictures.length) failures += await allPictures(wish);
  const failed = [];
  for (const which of wish.models) {
    failed.push(...await everywhere(wish, which).catch(async (error) => {
      await say({ model: which.name, failed: String(error) });
      return [which.name];
    }));
  }
  await say({ failed_cases_and_pictures: failures, models: wish.models.length, failed_model_runs: failed });
}

main(await (await fetch('/wish.json')).json()).catch((error) => say({ failed: String(error?.stack ?? error) })).finally(() => say({ done: true }));
