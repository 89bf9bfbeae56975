// Tuned kernels against the naive convolution and exact functions, at odd sizes and random geometry.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createBackend } from '../../static/runtime/backends/wasm.js';
import { createEngine } from '../../static/runtime/engine.js';
import { actArgs, activation, fused, KINDS } from '../../static/runtime/ops/activation.js';
import { convWindow } from '../../static/runtime/ops/conv/index.js';
import { count, OpNode } from '../../static/runtime/ops/node.js';
import { BUILDS, kernels, random } from './cases.js';

/** @typedef {import('../../static/runtime/plan.js').StepArg} StepArg */

const modules = { relaxed: await kernels('relaxed'), strict: await kernels('strict') };
let wasm = modules.strict;

/** A test of both builds. @param {string} name @param {() => Promise<void>} body */
function both(name, body) {
  for (const build of BUILDS) {
    test(`${name}, ${build}`, async () => {
      wasm = modules[build];
      await body();
    });
  }
}

/**
 * Runs one kernel on arrays: each array becomes a pointer, and is returned as it is afterwards.
 * @param {string} kernel @param {(StepArg|Float32Array|null)[]} args @returns {Promise<Float32Array[]>}
 */
async function call(kernel, args) {
  const backend = await createBackend(wasm, new Map());
  /** @type {{array: Float32Array, at: number}[]} */
  const arrays = [];
  let bytes = 0;
  const packed = args.map((arg) => {
    if (!(arg instanceof Float32Array)) return arg ?? 0;
    arrays.push({ array: arg, at: bytes });
    bytes += Math.ceil(arg.byteLength / 64) * 64;
    return { arena: arrays[arrays.length - 1].at };
  });
  const plan = { inputs: [], outputs: [], steps: [{ kernel, args: packed, where: '', work: 0 }], arenaBytes: bytes, data: new Uint8Array(0), weights: [] };
  const [prepared] = backend.prepare([plan]);
  const memory = () => new Float32Array(backend.memory.buffer, backend.arena, bytes / 4);
  for (const { array, at } of arrays) memory().set(array, at / 4);
  backend.run(prepared, [], []);
  return arrays.map(({ array, at }) => memory().slice(at / 4, at / 4 + array.length));
}

/** @param {number} n @param {() => number} next */
const filled = (n, next) => Float32Array.from({ length: n }, next);

/** A random conv2d that has at least one output pixel. @param {() => number} next numbers in [-1, 1) */
function randomConv(next) {
  const pick = (/** @type {number} */ low, /** @type {number} */ high) => low + Math.floor((next() + 1) / 2 * (high - low + 1));
  for (;;) {
    const groups = [1, 1, 2, 3][pick(0, 3)], depthwise = next() > 0.4, Ig = depthwise ? 1 : pick(1, 9);
    const channels = depthwise ? pick(1, 9) : Ig * groups, O = depthwise ? channels * pick(1, 2) : groups * pick(1, 15);
    const attrs = {
      strides: [pick(1, 3), pick(1, 3)], paddings: [pick(0, 3), pick(0, 3), pick(0, 3), pick(0, 3)], padding_algorithm: 'EXPLICIT',
      dilations: [pick(1, 2), pick(1, 2)], groups: depthwise ? channels : groups, data_format: 'NCHW',
      fuse_activation: ['', 'relu', 'hard_swish', 'clip'][pick(0, 3)], fuse_alpha: -0.5, fuse_beta: 0.7,
    };
    const x = [pick(1, 2), channels, pick(1, 23), pick(1, 37)], w = [O, Ig, pick(1, 5), pick(1, 5)];
    const g = { H: x[2] + attrs.paddings[0] + attrs.paddings[1], W: x[3] + attrs.paddings[2] + attrs.paddings[3] };
    if (g.H > attrs.dilations[0] * (w[2] - 1) && g.W > attrs.dilations[1] * (w[3] - 1)) return { attrs, x, w, bias: next() > 0, residual: next() > 0 };
  }
}

/** @param {string} name @param {number[]} shape @param {boolean} [persistable] */
const variable = (name, shape, persistable = false) => ({ name, shape, dtype: 'float32', persistable });

/** @param {ReturnType<typeof randomConv>} conv @param {() => number} next @param {number} [slack] how much more may be rounded away */
async function compareConv({ attrs, x, w, bias, residual }, next, slack = 1) {
  const inputs = { Input: ['x'], Filter: ['w'], ...(bias ? { Bias: ['b'] } : {}), ...(residual ? { ResidualData: ['r'] } : {}) };
  const op = { type: 'conv2d', inputs, outputs: { Out: ['y'] }, attrs };
  const value = (/** @type {number[]} */ shape) => ({ name: '', shape, dtype: 'float32', host: null, weight: false, block: null, offset: 0 });
  const g = convWindow(new OpNode(op, { Input: [value(x)], Filter: [value(w)] })), y = [g.N, g.O, g.OH, g.OW];
  const data = { x: filled(count(x), next), w: filled(count(w), next), b: filled(g.O, next), r: filled(count(y), next) };
  const vars = [variable('x', x), variable('w', w, true), variable('y', y), ...(bias ? [variable('b', [g.O], true)] : [])];
  const info = (/** @type {string} */ name, /** @type {number[]} */ shape) => ({ name, shape, dtype: 'float32' });
  const graph = {
    vars: new Map(vars.map((entry) => [entry.name, entry])), ops: [op], outputs: [info('y', y)],
    inputs: [info('x', x), ...(residual ? [info('r', y)] : [])],
  };
  const engine = await createEngine(graph, new Map(Object.entries({ w: data.w, b: data.b })), { wasm, poison: true });
  const out = await engine.run({ x: { data: data.x, shape: x }, ...(residual ? { r: { data: data.r, shape: y } } : {}) });
  const reference = await call('conv_reference', [
    data.x, data.w, bias ? data.b : null, residual ? data.r : null, new Float32Array(count(y)), null, null, g.N, g.C, g.H, g.W,
    g.O, g.OH, g.OW, g.kh, g.kw, g.sh, g.sw, g.dh, g.dw, g.top, g.left, 0, 0, g.groups, 0,
    .../** @type {StepArg[]} */ (actArgs(fused(attrs))),
  ]);
  const expected = reference[reference.length - 1];
  const most = 2e-5 * slack * Math.max(1, Math.sqrt(w[1] * w[2] * w[3]) / 24); // rounding grows with the sums
  out.y.data.forEach((got, i) => assert.ok(Math.abs(Number(got) - expected[i]) <= most, `${JSON.stringify({ attrs, x, w })}: ${i} is ${got}, not ${expected[i]}`));
}

both('convolutions of random geometry equal the naive one', async () => {
  const next = random(7);
  for (let i = 0; i < 150; i++) await compareConv(randomConv(next), next);
});

both('a convolution to few channels equals the naive one', async () => {
  const next = random(5);
  for (const C of [8, 12, 20]) {
    for (const O of [1, 2, 3, 4, 5]) {
      for (let i = 0; i < 6; i++) {
        const conv = randomConv(next);
        conv.x[1] = C;
        await compareConv({ ...conv, attrs: { ...conv.attrs, groups: 1 }, w: [O, C, conv.w[2], conv.w[3]] }, next);
      }
    }
  }
});

both('a convolution longer than a strip, with every row tail, equals the naive one', async () => {
  const next = random(11);
  for (const [O, H, W] of [[1, 33, 31], [7, 25, 41], [13, 17, 61], [12, 32, 32]]) {
    const attrs = {
      strides: [1, 1], paddings: [1, 1, 1, 1], padding_algorithm: 'EXPLICIT', dilations: [1, 1], groups: 1, data_format: 'NCHW',
      fuse_activation: '', fuse_alpha: 0, fuse_beta: 0,
    };
    await compareConv({ attrs, x: [1, 5, H, W], w: [O, 5, 3, 3], bias: true, residual: true }, next);
  }
});

both('windows of three by three, by sums or where only a row of them sees the picture, equal the naive one', async () => {
  const next = random(13);
  for (const [N, C, H, W, O, activation] of /** @type {[number, number, number, number, number, string][]} */ ([
    [1, 24, 12, 14, 24, ''], [2, 18, 9, 7, 13, 'relu'], [1, 37, 40, 31, 30, 'hard_swish'], [1, 32, 4, 101, 17, 'swish'],
    [1, 264, 5, 6, 40, ''], [1, 16, 1, 40, 24, 'relu'], [3, 8, 2, 9, 3, ''],
  ])) {
    const attrs = {
      strides: [1, 1], paddings: [1, 1, 1, 1], padding_algorithm: 'EXPLICIT', dilations: [1, 1], groups: 1, data_format: 'NCHW',
      fuse_activation: activation, fuse_alpha: 1, fuse_beta: 0,
    };
    for (const residual of [false, true]) await compareConv({ attrs, x: [N, C, H, W], w: [O, C, 3, 3], bias: residual, residual }, next);
  }
});

both('large convolutions of one pixel, by halves, equal the naive one', async () => {
  const next = random(17);
  for (const [N, C, H, W, O, activation] of /** @type {[number, number, number, number, number, string][]} */ ([
    [1, 136, 7, 7, 624, 'relu'], [1, 640, 5, 11, 128, 'swish'], [2, 264, 10, 13, 64, ''], [1, 152, 7, 73, 80, 'hard_swish'], [2, 128, 19, 22, 64, 'swish'],
  ])) {
    const attrs = {
      strides: [1, 1], paddings: [0, 0, 0, 0], padding_algorithm: 'EXPLICIT', dilations: [1, 1], groups: 1, data_format: 'NCHW',
      fuse_activation: activation, fuse_alpha: 1, fuse_beta: 0,
    };
    for (const residual of [false, true]) await compareConv({ attrs, x: [N, C, H, W], w: [O, C, 1, 1], bias: residual, residual }, next, 4);
  }
});

both('three taps a side, one channel each, near every edge, equal the naive one', async () => {
  const next = random(19), edges = [[1, 1, 1, 1], [0, 1, 0, 1], [2, 0, 1, 2], [1, 2, 2, 1], [0, 0, 0, 0]];
  for (let i = 0; i < 60; i++) {
    const attrs = {
      strides: [1 + i % 2, 1 + i % 2], paddings: edges[i % edges.length], padding_algorithm: 'EXPLICIT', dilations: [1, 1], groups: 5, data_format: 'NCHW',
      fuse_activation: 'relu', fuse_alpha: 0, fuse_beta: 0,
    };
    await compareConv({ attrs, x: [1 + i % 2, 5, 3 + i % 7, 3 + i * 7 % 46], w: [5, 1, 3, 3], bias: i % 3 > 0, residual: i % 4 > 2 }, next);
  }
});

/** Distance in units of the last place of the nearer float. @param {number} got @param {number} exact @returns {number} */
function ulps(got, exact) {
  if (Object.is(got, exact) || (Number.isNaN(got) && Number.isNaN(exact)) || got === Math.fround(exact)) return 0;
  const ulp = 2 ** Math.max(Math.floor(Math.log2(Math.abs(exact))) - 23, -149);
  return Math.abs(got - exact) / ulp;
}

/** @param {string} kind @param {Float32Array} x @param {number} [alpha] */
const unary = async (kind, x, alpha = 0) => (await call('unary', [
  x, new Float32Array(x.length), x.length, .../** @type {StepArg[]} */ (actArgs(activation(kind, alpha)))]))[1];

/** Error function by its series, in double: good to 1e-15 for |x| < 5. @param {number} x */
function erf(x) {
  let term = x, sum = x;
  for (let n = 1; n < 200; n++) {
    term *= -x * x / n;
    sum += term / (2 * n + 1);
  }
  return Math.abs(x) > 5 ? Math.sign(x) : 2 / Math.sqrt(Math.PI) * sum;
}

/** @type {[string, number, (x: number) => number, number, number][]} kind, largest error in ULP, exact, from, to */
const ACCURACY = [
  ['exp', 1, Math.exp, -87, 88], ['log', 1, Math.log, 1e-6, 50], ['tanh', 2, Math.tanh, -10, 10], ['erf', 2, erf, -3, 3],
  ['sin', 1, Math.sin, -100, 100], ['cos', 1, Math.cos, -1e6, 1e6], ['sigmoid', 3, (x) => 1 / (1 + Math.exp(-x)), -80, 80],
];
for (const [kind, limit, exact, from, to] of ACCURACY) {
  both(`${kind} is right to ${limit} ULP`, async () => {
    const x = Float32Array.from({ length: 20001 }, (_, i) => from + (to - from) * i / 20000), y = await unary(kind, x);
    const worst = x.reduce((top, v, i) => Math.max(top, ulps(y[i], exact(v))), 0);
    assert.ok(worst <= limit, `${worst} ULP`);
  });
}

both('pow is right to 1 ULP, and keeps C\'s special cases', async () => {
  for (const factor of [0.5, 2.5, -1.7, 3, -2, 10, 0.1]) {
    const x = Float32Array.from({ length: 5001 }, (_, i) => 1e-3 + i * 0.01), y = await unary('pow', x, factor);
    const worst = x.reduce((top, v, i) => Math.max(top, ulps(y[i], v ** Math.fround(factor))), 0);
    assert.ok(worst <= 1, `${worst} ULP for ${factor}`);
  }
  const x = Float32Array.of(0, -0, -2, Infinity, -Infinity, NaN, 1);
  for (const factor of [3, -3, 2, 0.5, 0]) {
    assert.deepEqual(Array.from(await unary('pow', x, factor)), Array.from(x, (v) => Math.fround(v ** factor)), `to the ${factor}`);
  }
});

both('special values go through', async () => {
  const x = Float32Array.of(NaN, Infinity, -Infinity, 0, 1e30, -1e30, 1e-40);
  assert.deepEqual(Array.from(await unary('exp', x)), [NaN, Infinity, 0, 1, Infinity, 0, 1]);
  assert.deepEqual(Array.from((await unary('log', x)).slice(0, 6)), [NaN, Infinity, NaN, -Infinity, Math.fround(Math.log(1e30)), NaN]);
  assert.deepEqual(Array.from((await unary('tanh', x)).slice(0, 6)), [NaN, 1, -1, 0, 1, -1]);
  assert.deepEqual(Array.from((await unary('erf', x)).slice(0, 6)), [NaN, 1, -1, 0, 1, -1]);
  assert.deepEqual(Array.from((await unary('sigmoid', x)).slice(0, 6)), [NaN, 1, 0, 0.5, 1, 0]);
});

both('every length hits its tail', async () => {
  for (let n = 1; n <= 19; n++) {
    const x = Float32Array.from({ length: n }, (_, i) => i - 7);
    for (const kind of ['abs', 'square', 'floor']) {
      assert.deepEqual(Array.from(await unary(kind, x)), Array.from(x, (v) => (kind === 'abs' ? Math.abs(v) : kind === 'square' ? v * v : v)));
    }
  }
});

test('the kinds of activation are those of the kernel', async () => {
  const { readFileSync } = await import('node:fs');
  const source = readFileSync(new URL('../../static/runtime/ops/unary/kernel.c', import.meta.url), 'utf8');
  const names = /enum \{\s*(CLAMP[^}]*)\}/.exec(source)?.[1].split(',').map((name) => name.trim().toLowerCase());
  assert.deepEqual(names, KINDS);
});
