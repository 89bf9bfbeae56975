// A GPU backend without a GPU: every step in plain loops over texels, as its type in gpu/step.js says. Lanes and memory
// that nobody wrote hold a number that shows.
import { functionOf } from './gpu_functions.js';
import { owner, texels } from '../../static/runtime/gpu/step.js';
import { count } from '../../static/runtime/ops/node.js';

/** @typedef {import('../../static/runtime/gpu/step.js').GpuValue} GpuValue */
/** @typedef {import('../../static/runtime/gpu/step.js').Step} Step */
/** @typedef {import('../../static/runtime/gpu/step.js').GpuPlan} GpuPlan */
/** @typedef {Map<GpuValue, Float32Array>} Memory */

const UNWRITTEN = 12345678;

/** Where element e of a value lies. @param {GpuValue} value @param {number} e */
function place({ layout, shape }, e) {
  if (layout === 'linear') return e;
  const [, C, H, W] = shape, P = H * W, p = e % P, c = Math.floor(e / P) % C, n = Math.floor(e / P / C);
  return ((n * Math.ceil(C / 4) + (c >> 2)) * P + p) * 4 + c % 4;
}

/** @param {Memory} memory @param {GpuValue} value */
function cells(memory, value) {
  const home = owner(value), held = memory.get(home);
  if (held) return held;
  const made = new Float32Array(4 * texels(home)).fill(UNWRITTEN);
  memory.set(home, made);
  if (home.data) home.data().forEach((v, e) => { made[place(home, e)] = v; });
  return made;
}

/** @param {Memory} memory @param {GpuValue} value @returns {(e: number) => number} */
function reader(memory, value) {
  const from = cells(memory, value);
  return (e) => from[place(value, e)];
}

/** @param {number[]} shape @param {number[]} strides @param {number} e */
function strided(shape, strides, e) {
  let at = 0;
  for (let i = shape.length - 1, rest = e; i >= 0; rest = Math.floor(rest / shape[i--])) at += rest % shape[i] * strides[i];
  return at;
}

/** @type {Record<string, (p: number, q: number) => number>} */
const BINARY = {
  add: (p, q) => p + q, sub: (p, q) => p - q, mul: (p, q) => p * q, div: (p, q) => p / q, max: Math.max, min: Math.min,
  pow: (p, q) => p ** q, prelu: (p, q) => (p < 0 ? p * q : p),
};

/** @param {Step} step @param {((e: number) => number)[]} x @param {number} e @param {number} v */
function tailOf(step, x, e, v) {
  let out = Math.fround(v);
  for (const t of step.tail) {
    if (t.fn === 'act') out = functionOf(t.act)(out);
    else {
      const other = x[t.with](strided(step.y.shape, t.strides, e));
      out = t.swap ? BINARY[t.op](other, out) : BINARY[t.op](out, other);
    }
    out = Math.fround(out);
  }
  return out;
}

/** @param {import('../../static/runtime/gpu/step.js').Move} move @param {number} e @returns {number} -1 where it does not reach */
function source({ dims, ss, ds, fromAt, toAt }, e) {
  let rest = e - toAt, at = fromAt;
  if (rest < 0) return -1;
  for (let i = 0; i < dims.length; i++) {
    const k = Math.floor(rest / ds[i]);
    if (k >= dims[i]) return -1;
    rest -= k * ds[i];
    at += k * ss[i];
  }
  return rest ? -1 : at;
}

/** @param {Step & {kind: 'conv'|'deconv'}} step @param {(e: number) => number} x @param {number} e */
function convolve({ kind, g, w, bias }, x, e) {
  const weights = /** @type {() => Float32Array} */ (w.data)(), P = g.OH * g.OW, IP = g.H * g.W, taps = g.kh * g.kw;
  const oc = Math.floor(e / P) % g.O, n = Math.floor(e / P / g.O), oh = Math.floor(e % P / g.OW), ow = e % g.OW;
  const og = g.O / g.groups, ig = g.C / g.groups, group = Math.floor(oc / og);
  let sum = bias ? /** @type {() => Float32Array} */ (bias.data)()[oc] : 0;
  for (let i = 0; i < ig; i++) {
    const c = group * ig + i, filter = kind === 'conv' ? (oc * ig + i) * taps : (c * og + oc % og) * taps;
    for (let t = 0; t < taps; t++) {
      const fy = Math.floor(t / g.kw) * g.dh, fx = t % g.kw * g.dw;
      const y = kind === 'conv' ? oh * g.sh - g.top + fy : (oh + g.top - fy) / g.sh;
      const z = kind === 'conv' ? ow * g.sw - g.left + fx : (ow + g.left - fx) / g.sw;
      if (y < 0 || z < 0 || y >= g.H || z >= g.W || !Number.isInteger(y) || !Number.isInteger(z)) continue;
      sum += weights[filter + t] * x((n * g.C + c) * IP + y * g.W + z);
    }
  }
  return sum;
}

/** @param {number} n @param {(i: number) => number} at */
const list = (n, at) => Array.from({ length: n }, (_, i) => at(i));
/** @param {number[]} values */
const total = (values) => values.reduce((p, q) => p + q, 0);
/** @type {Record<string, (values: number[]) => number>} */
const REDUCE = {
  sum: total, max: (values) => Math.max(...values), min: (values) => Math.min(...values), prod: (values) => values.reduce((p, q) => p * q, 1),
};

/** Element e of a step's result before its tail. @param {Step} step @param {((e: number) => number)[]} x @param {number} e @returns {number} */
function element(step, x, e) {
  const { y } = step;
  switch (step.kind) {
    case 'conv': case 'deconv': return convolve(step, x[0], e);
    case 'map': return x[0](strided(y.shape, step.strides, e));
    case 'move': {
      const move = [...step.moves].reverse().find((m) => source(m, e) >= 0);
      return move ? x[move.x](source(move, e)) : UNWRITTEN;
    }
    case 'pool': {
      const { H, W, rows, columns } = step, P = rows.length * columns.length, r = rows[Math.floor(e % P / columns.length)];
      const c = columns[e % columns.length], base = Math.floor(e / P) * H * W;
      const window = list((r.stop - r.start) * (c.stop - c.start), (i) => (
        x[0](base + (r.start + Math.floor(i / (c.stop - c.start))) * W + c.start + i % (c.stop - c.start))));
      return step.type === 'max' ? Math.max(...window) : total(window) / (r.area * c.area);
    }
    case 'resize': {
      const { rows, columns } = step, [OH, OW] = y.shape.slice(2), [H, W] = step.x[0].shape.slice(2), h = Math.floor(e / OW) % OH, w = e % OW;
      const base = Math.floor(e / OH / OW) * H * W;
      return total(list(rows.taps, (i) => rows.weight[h * rows.taps + i] * total(list(columns.taps, (k) => (
        columns.weight[w * columns.taps + k] * x[0](base + rows.at[h * rows.taps + i] * W + columns.at[w * columns.taps + k]))))));
    }
    case 'matmul': {
      const { M, N, K, at, bt, am, ak, bk, bn } = step, n = e % N, m = Math.floor(e / N) % M, b = Math.floor(e / N / M);
      return total(list(K, (k) => x[0](at[b] + m * am + k * ak) * x[1](bt[b] + k * bk + n * bn)));
    }
    case 'reduce': {
      const { outer: _, n, inner, op, scale } = step, base = Math.floor(e / inner) * n * inner + e % inner;
      return scale * REDUCE[op](list(n, (i) => x[0](base + i * inner)));
    }
    case 'softmax': {
      const { n, inner } = step, base = Math.floor(e / inner / n) * n * inner + e % inner, row = list(n, (i) => x[0](base + i * inner));
      const top = Math.max(...row), sum = total(row.map((v) => Math.exp(v - top))), v = x[0](e) - top;
      return step.log ? v - Math.log(sum) : Math.exp(v) / sum;
    }
    case 'norm': {
      const { n } = step, base = Math.floor(e / n) * n, row = list(n, (i) => x[0](base + i)), mean = total(row) / n;
      return (x[0](e) - mean) / Math.sqrt(total(row.map((v) => (v - mean) ** 2)) / n + step.epsilon);
    }
  }
}

/** @param {Step} step @param {Memory} memory */
function runStep(step, memory) {
  const x = step.x.map((value) => reader(memory, value)), { y } = step, out = cells(memory, y);
  const made = list(count(y.shape), (e) => tailOf(step, x, e, element(step, x, e)));
  made.forEach((v, e) => { out[place(y, e)] = v; });
}

/** What it ran, for tests: how many steps of each kind. */
export class ReferenceBackend {
  constructor() {
    this.name = /** @type {const} */ ('webgpu');
    this.precision = /** @type {const} */ ('float32');
    this.maxInputs = 6;
    /** @type {Record<string, number>} */
    this.ran = {};
    this.disposed = false;
    /** @type {(reason: string) => void} */
    this.lose = () => {};
    /** @type {Promise<string>} */
    this.lost = new Promise((resolve) => { this.lose = resolve; });
  }

  supports() { return ''; }

  /** @param {GpuPlan} plan @returns {Promise<{plan: GpuPlan, memory: Memory}>} */
  async prepare(plan) { return { plan, memory: new Map() }; }

  /** @param {unknown} prepared @param {number} at @param {Float32Array[]} feeds @returns {Promise<Float32Array[]>} */
  async run(prepared, at, feeds) {
    const { plan, memory } = /** @type {{plan: GpuPlan, memory: Memory}} */ (prepared), segment = plan.segments[at];
    if (segment.on !== 'gpu') throw new Error('not a segment of the GPU');
    for (const held of memory.keys()) if (held.last < (segment.steps[0]?.y.first ?? 0)) memory.delete(held);
    segment.uploads.forEach((value, i) => cells(memory, value).set(feeds[i]));
    for (const step of segment.steps) {
      this.ran[step.kind] = (this.ran[step.kind] ?? 0) + 1;
      runStep(step, memory);
    }
    return segment.downloads.map((value) => {
      const read = reader(memory, value);
      return Float32Array.from({ length: count(value.shape) }, (_, e) => read(e));
    });
  }

  release() {}

  memory() { return { bytes: 0 }; }

  dispose() { this.disposed = true; }
}
