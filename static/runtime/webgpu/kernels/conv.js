// Convolutions on c4: depthwise; direct, with its depth shared out over a workgroup where pixels are few; products of
// 1x1 filters in tiles of workgroup memory; groups that cut through blocks of four, number by number.
import { Kernel, LINE_ID, lines } from '../kernel.js';

/** @typedef {import('../../gpu/step.js').ConvStep} ConvStep */
/** @typedef {import('../kernel.js').Program} Program */
/** @typedef {import('../kernel.js').Table} Table */
/** @typedef {(value: import('../../gpu/step.js').GpuValue) => import('../kernel.js').Format} FormatOf */

const MANY = 16384; // invocations that fill a large GPU
const TILE_P = 64, TILE_O = 8, TILE_K = 4; // pixels, blocks of outputs and of inputs of a tile

/** @param {number} n */
const fours = (n) => Math.ceil(n / 4);

/** @param {ConvStep} step @param {FormatOf} formatOf @param {import('../kernel.js').Format} weights @returns {Program[]} */
export function conv(step, formatOf, weights) {
  const { kind, g } = step, k = new Kernel(formatOf);
  const input = g.C / g.groups, output = g.O / g.groups;
  if (kind === 'conv' && g.groups === g.C && g.O === g.C && g.C > 1) return [depthwise(step, k, weights)];
  if (g.groups > 1 && (input % 4 || output % 4)) return [numbers(step, k, weights)];
  const plain = kind === 'conv' && g.kh * g.kw * g.sh * g.sw === 1 && !g.top && !g.left && !g.bottom && !g.right && g.groups === 1;
  const tiles = Math.ceil(g.OH * g.OW / TILE_P) * Math.ceil(fours(g.O) / TILE_O) * g.N;
  if (plain && tiles >= 96 && fours(g.C) >= TILE_K) return [product(step, k, weights)];
  return [direct(step, k, weights)];
}

/** @param {ConvStep} step @param {Kernel} k @param {import('../kernel.js').Format} format @returns {string} the first value of the sum, in code */
function bias({ bias: value, g }, k, format) {
  if (!value) return 'vec4<f32>(0.)';
  const data = /** @type {() => Float32Array} */ (value.data);
  const b = k.table({
    key: value.key && `${value.key} padded`, format,
    data: () => {
      const out = new Float32Array(4 * fours(g.O));
      out.set(data());
      return out;
    },
  });
  return `ld${b}(c4)`;
}

/**
 * Filters as [block of outputs][tap][block of inputs][input lane][output lane].
 * @param {ConvStep} step @param {import('../kernel.js').Format} format @returns {Table}
 */
function blocks({ kind, w, g }, format) {
  const taps = g.kh * g.kw, ig = g.C / g.groups, og = g.O / g.groups, I4 = fours(ig), data = /** @type {() => Float32Array} */ (w.data);
  return {
    key: w.key && `${w.key} ${kind} blocks`, format,
    data: () => {
      const from = data(), out = new Float32Array(fours(g.O) * taps * I4 * 16);
      for (let o = 0; o < g.O; o++) {
        for (let i = 0; i < ig; i++) {
          const source = kind === 'conv' ? (o * ig + i) * taps : ((Math.floor(o / og) * ig + i) * og + o % og) * taps;
          for (let t = 0; t < taps; t++) out[((((o >> 2) * taps + t) * I4 + (i >> 2)) * 4 + (i & 3)) * 4 + (o & 3)] = from[source + t];
        }
      }
      return out;
    },
  };
}

/** @param {ConvStep} step @param {Kernel} k @param {import('../kernel.js').Format} weights @returns {Program} */
function depthwise(step, k, weights) {
  const { g, x, w } = step, taps = g.kh * g.kw, data = /** @type {() => Float32Array} */ (w.data), C4 = fours(g.C);
  const b = k.read(x[0]);
  const f = k.table({
    key: w.key && `${w.key} depthwise`, format: weights,
    data: () => {
      const from = data(), out = new Float32Array(C4 * taps * 4);
      for (let c = 0; c < g.C; c++) for (let t = 0; t < taps; t++) out[((c >> 2) * taps + t) * 4 + (c & 3)] = from[c * taps + t];
      return out;
    },
  });
  const OW = k.number('OW', g.OW), P = k.number('P', g.OH * g.OW), c = k.number('C4', C4), H = k.int('H', g.H), W = k.int('W', g.W);
  const [sh, sw, dh, dw] = [g.sh, g.sw, g.dh, g.dw].map((n) => k.int('step', n)), [top, left] = [g.top, g.left].map((n) => k.int('pad', n));
  const total = k.number('texels', g.N * C4 * g.OH * g.OW);
  const body = `${LINE_ID}
  if (t >= ${total}) { return; }
  let hw = t % ${P}; let nc = t / ${P}; let c4 = nc % ${c}; let n = nc / ${c};
  let y0 = i32(hw / ${OW}) * ${sh} - ${top}; let x0 = i32(hw % ${OW}) * ${sw} - ${left};
  let plane = i32(nc) * ${H};
  var v = ${bias(step, k, weights)};
  for (var i = 0; i < ${g.kh}; i++) {
    let y = y0 + i * ${dh};
    if (y < 0 || y >= ${H}) { continue; }
    for (var j = 0; j < ${g.kw}; j++) {
      let x = x0 + j * ${dw};
      if (x < 0 || x >= ${W}) { continue; }
      v = fma(ld${b}(u32((plane + y) * ${W} + x)), ld${f}(c4 * ${taps}u + u32(i * ${g.kw} + j)), v);
    }
  }`;
  return k.program(`${body}\n${k.finish(step)}`, lines(g.N * C4 * g.OH * g.OW));
}

/** How a direct convolution is cut up. @param {ConvStep} step @returns {{pixels: number, parts: number}} pixels of a row
 *  per invocation; invocations that share the depth of one result */
function cut({ g }) {
  const I4 = fours(g.C / g.groups), results = g.N * fours(g.O) * g.OH * g.OW;
  const pixels = g.OW % 4 === 0 && results / 4 >= MANY ? 4 : g.OW % 2 === 0 && results / 2 >= MANY ? 2 : 1;
  let parts = 1;
  while (parts < 32 && parts * 2 <= I4 && results / pixels * parts < MANY) parts *= 2;
  return { pixels, parts };
}

/** @param {ConvStep} step @param {Kernel} k @param {import('../kernel.js').Format} weights @returns {Program} */
function direct(step, k, weights) {
  const { kind, g, x } = step, { pixels, parts } = cut(step), taps = g.kh * g.kw, b = k.read(x[0]), f = k.table(blocks(step, weights));
  const I4 = k.number('I4', fours(g.C / g.groups)), og = k.number('og', fours(g.O / g.groups)), O4 = k.number('O4', fours(g.O));
  const C4 = k.number('C4', fours(g.C)), OW = k.number('OW', g.OW), P = k.number('P', g.OH * g.OW);
  const H = k.int('H', g.H), W = k.int('W', g.W), [top, left] = [g.top, g.left].map((n) => k.int('pad', n));
  const steps = [g.sh, g.sw, g.dh, g.dw].map((n) => k.int('step', n)), [sh, sw] = steps, runs = g.OH * g.OW / pixels;
  const total = k.number('runs', g.N * fours(g.O) * runs), R = k.number('R', runs), per = 64 / parts;
  const Q = k.number('Q', g.OW / pixels); // the pixels of an invocation lie this far apart: neighbours read neighbours
  const each = (/** @type {(i: number) => string} */ text) => Array.from({ length: pixels }, (_, i) => text(i)).join('\n');
  const point = taps === 1 && kind === 'conv' && !g.top && !g.left && !g.bottom && !g.right;
  const inner = `for (var c = part; c < ${I4}; c += ${parts}u) {
      let q = fat + 4u * c;
      let w0 = ld${f}(q); let w1 = ld${f}(q + 1u); let w2 = ld${f}(q + 2u); let w3 = ld${f}(q + 3u);
      let plane = i32(block + c) * ${H} * ${W};
      ${each((i) => `if (in${i}) {
        let a = ld${b}(u32(plane + at${i}));
        v${i} = fma(w3, vec4<f32>(a.w), fma(w2, vec4<f32>(a.z), fma(w1, vec4<f32>(a.y), fma(w0, vec4<f32>(a.x), v${i}))));
      }`)}
    }`;
  const loops = `for (var i = 0; i < ${g.kh}; i++) {
    for (var j = 0; j < ${g.kw}; j++) {
      ${each((i) => position(kind, i, steps, H, W, `i32(${i}u * ${Q})`))}
      let fat = (c4 * ${taps}u + u32(i * ${g.kw} + j)) * ${I4} * 4u;
      ${inner}
    }
  }`;
  const body = `let part = local.x / ${per}u;
  let run = (group.y * groups.x + group.x) * ${per}u + local.x % ${per}u;
  let live = run < ${total};
  let safe = min(run, ${total} - 1u);
  let run_ = safe % ${R}; let hw0 = run_ / ${Q} * ${OW} + run_ % ${Q}; let nc = safe / ${R}; let c4 = nc % ${O4}; let n = nc / ${O4};
  let oh = i32(hw0 / ${OW}); let ow = i32(hw0 % ${OW});
  let top_ = oh * ${kind === 'conv' ? `${sh} - ${top}` : `1 + ${top}`}; let left_ = ow * ${kind === 'conv' ? `${sw} - ${left}` : `1 + ${left}`};
  let block = n * ${C4} + (c4 / ${og}) * ${I4};
  let first = ${bias(step, k, weights)};
  ${each((i) => `var v${i} = select(vec4<f32>(0.), first, part == 0u);`)}
  ${point ? `${each((i) => `const in${i} = true; let at${i} = top_ * ${W} + left_ + i32(${i}u * ${Q}) * ${sw};`)}
  let fat = c4 * ${I4} * 4u;
  ${inner}` : loops}`;
  if (parts > 1) k.globals.push(`var<workgroup> sums: array<vec4<f32>, ${64 * pixels}>;`);
  const end = k.finish(step);
  const write = each((i) => `{ let v = v${i}; let hw = hw0 + ${i}u * ${Q}; let t = (n * ${O4} + c4) * ${P} + hw; ${end} }`);
  const join = `${each((i) => `sums[${i * 64}u + local.x] = v${i};`)}
  workgroupBarrier();
  if (part > 0u || !live) { return; }
  for (var s = 1u; s < ${parts}u; s++) { ${each((i) => `v${i} += sums[${i * 64}u + s * ${per}u + local.x];`)} }
  ${write}`;
  return k.program(`${body}\n${parts > 1 ? join : `if (!live) { return; }\n${write}`}`, lines(g.N * fours(g.O) * runs * parts));
}

/**
 * Whether pixel i of the run has an input under tap (i, j), and where.
 * @param {string} kind @param {number} i @param {string[]} steps @param {string} H @param {string} W @param {string} [shift] of the pixel
 */
function position(kind, i, [sh, sw, dh, dw], H, W, shift = '0') {
  if (kind === 'conv') {
    return `let y${i} = top_ + i * ${dh}; let x${i} = left_ + ${shift} * ${sw} + j * ${dw};
      let in${i} = y${i} >= 0 && y${i} < ${H} && x${i} >= 0 && x${i} < ${W}; let at${i} = y${i} * ${W} + x${i};`;
  }
  return `let z${i} = top_ - i * ${dh}; let u${i} = left_ + ${shift} - j * ${dw};
      let y${i} = z${i} / ${sh}; let x${i} = u${i} / ${sw};
      let in${i} = z${i} >= 0 && u${i} >= 0 && y${i} * ${sh} == z${i} && x${i} * ${sw} == u${i} && y${i} < ${H} && x${i} < ${W};
      let at${i} = y${i} * ${W} + x${i};`;
}

/** @param {ConvStep} step @param {Kernel} k @param {import('../kernel.js').Format} weights @returns {Program} */
function product(step, k, weights) {
  const { g, x } = step, b = k.read(x[0]), f = k.table(blocks(step, weights)), P = k.number('P', g.OH * g.OW);
  const I4 = k.number('I4', fours(g.C)), O4 = k.number('O4', fours(g.O));
  k.globals.push(`var<workgroup> xs: array<vec4<f32>, ${TILE_P * TILE_K}>;`, `var<workgroup> ws: array<vec4<f32>, ${TILE_O * TILE_K * 4}>;`);
  const first = bias(step, k, weights), end = k.finish(step);
  const outputs = Array.from({ length: 8 }, (_, i) => ({ i, p: i % 4, o: i >> 2 }));
  const body = `let pt = local.x % 16u; let ot = local.x / 16u;
  let p0 = group.x * ${TILE_P}u; let o0 = group.y * ${TILE_O}u; let n = group.z;
  ${outputs.map(({ i, o }) => `var v${i}: vec4<f32>; { let c4 = min(o0 + ot * 2u + ${o}u, ${O4} - 1u); v${i} = ${first}; }`).join('\n')}
  for (var k0 = 0u; k0 < ${I4}; k0 += ${TILE_K}u) {
    for (var i = local.x; i < ${TILE_P * TILE_K}u; i += 64u) {
      let c = k0 + i / ${TILE_P}u; let q = p0 + i % ${TILE_P}u;
      xs[i] = vec4<f32>(0.);
      if (c < ${I4} && q < ${P}) { xs[i] = ld${b}((n * ${I4} + c) * ${P} + q); }
    }
    for (var i = local.x; i < ${TILE_O * TILE_K * 4}u; i += 64u) {
      let o = o0 + i / ${TILE_K * 4}u; let c = k0 + (i % ${TILE_K * 4}u) / 4u;
      ws[i] = vec4<f32>(0.);
      if (o < ${O4} && c < ${I4}) { ws[i] = ld${f}((o * ${I4} + c) * 4u + i % 4u); }
    }
    workgroupBarrier();
    for (var c = 0u; c < ${TILE_K}u; c++) {
      ${[0, 1, 2, 3].map((i) => `let a${i} = xs[c * ${TILE_P}u + pt + ${16 * i}u];`).join(' ')}
      ${[0, 1].map((o) => `{
        let q = ((ot * 2u + ${o}u) * ${TILE_K}u + c) * 4u;
        let w0 = ws[q]; let w1 = ws[q + 1u]; let w2 = ws[q + 2u]; let w3 = ws[q + 3u];
        ${[0, 1, 2, 3].map((i) => `v${4 * o + i} = fma(w3, vec4<f32>(a${i}.w), fma(w2, vec4<f32>(a${i}.z), fma(w1, vec4<f32>(a${i}.y), fma(w0, vec4<f32>(a${i}.x), v${4 * o + i}))));`).join('\n')}
      }`).join('\n')}
    }
    workgroupBarrier();
  }
  ${outputs.map(({ i, p, o }) => `{
    let v = v${i}; let c4 = o0 + ot * 2u + ${o}u; let hw = p0 + pt + ${16 * p}u; let t = (n * ${O4} + c4) * ${P} + hw;
    if (c4 < ${O4} && hw < ${P}) { ${end} }
  }`).join('\n')}`;
  return k.program(body, [Math.ceil(g.OH * g.OW / TILE_P), Math.ceil(fours(g.O) / TILE_O), g.N]);
}

/** Any groups: every output lane sums its own inputs. @param {ConvStep} step @param {Kernel} k @param {import('../kernel.js').Format} weights @returns {Program} */
function numbers(step, k, weights) {
  const { kind, g, x, w } = step, b = k.read(x[0]), data = /** @type {() => Float32Array} */ (w.data), taps = g.kh * g.kw;
  const f = k.table({ key: w.key && `${w.key} plain`, format: weights, data });
  const C4 = k.number('C4', fours(g.C)), O4 = k.number('O4', fours(g.O)), O = k.number('O', g.O), P = k.number('P', g.OH * g.OW);
  const ig = k.number('ig', g.C / g.groups), og = k.number('og', g.O / g.groups), OW = k.number('OW', g.OW);
  const H = k.int('H', g.H), W = k.int('W', g.W), [top, left] = [g.top, g.left].map((n) => k.int('pad', n));
  const steps = [g.sh, g.sw, g.dh, g.dw].map((n) => k.int('step', n)), [sh, sw] = steps, texels = g.N * fours(g.O) * g.OH * g.OW;
  const total = k.number('texels', texels);
  const body = `${LINE_ID}
  if (t >= ${total}) { return; }
  let hw = t % ${P}; let nc = t / ${P}; let c4 = nc % ${O4}; let n = nc / ${O4};
  let oh = i32(hw / ${OW}); let ow = i32(hw % ${OW});
  let top_ = oh * ${kind === 'conv' ? `${sh} - ${top}` : `1 + ${top}`}; let left_ = ow * ${kind === 'conv' ? `${sw} - ${left}` : `1 + ${left}`};
  var v = ${bias(step, k, weights)};
  for (var lane = 0u; lane < 4u; lane++) {
    let o = min(4u * c4 + lane, ${O} - 1u); let head = (o / ${og}) * ${ig};
    var sum = 0.;
    for (var i = 0; i < ${g.kh}; i++) { for (var j = 0; j < ${g.kw}; j++) {
      ${position(kind, 0, steps, H, W)}
      if (!in0) { continue; }
      for (var c = 0u; c < ${ig}; c++) {
        let e = head + c;
        let q = ${kind === 'conv' ? `o * ${ig} + c` : `e * ${og} + o % ${og}`};
        sum += sc${f}(q * ${taps}u + u32(i * ${g.kw} + j)) * ld${b}(u32(i32(n * ${C4} + e / 4u) * ${H} * ${W} + at0))[e & 3u];
      }
    } }
    v[lane] += sum;
  }`;
  return k.program(`${body}\n${k.finish(step)}`, lines(texels));
}
