// Convolutions on blocked pictures ([N][ceil(C/4)][H*W][4]) as steps of the kernels in blocked.c and depthwise.c.
import { actArgs, NONE } from '../activation.js';
import { count } from '../node.js';

/** @typedef {import('../node.js').Emitter} Emitter */
/** @typedef {import('../node.js').Value} Value */
/** @typedef {import('../node.js').Block} Block */
/** @typedef {import('./index.js').Window} Window */
/** @typedef {{x: Value, w: Value, bias: Value|null, residual: Value|null, y: Value,
 *   act: import('../activation.js').Activation}} Parts */
/** @typedef {{x: Value|Block, weights: Block, bias: Block, residual: Value|null, y: Value|Block, taps: number[],
 *   K: number, O: number, N: number, OH: number, OW: number, xn: number, xc: number, xrow: number,
 *   act: import('../activation.js').Activation}} Product */

const SPARE = 64; // bytes that vector loads may read past the end
const NEAR_BYTES = 24 * 1024; // a padded plane that stays in a first-level cache
const WIDE = 40; // columns from which on the few at the edges do not matter
const FEW_CHANNELS = 4; // of a result: more of them fill the lanes better than the input's
const FEW_PIXELS = 400; // below, threads share the output channels
const GROUP = 48, SUMS = 16, SUMS_LINE = 196; // as in winograd.c
const HALF = 30, NEAR_FLOATS = 24576, LEAST_PIXELS = 40, LEAST_WORK = 4e6; // pixels of a run; floats of one in a second-level cache
const ENOUGH_PIXELS = 50, SHORT = 256; // so many hide that seven products' weights come from memory, as do sums this short
const SUM_IN = 80, SUM_OUT = 90; // multiply-adds that take as long as a channel's sums in a tile

/** @param {number} n */
const eights = (n) => Math.ceil(n / 8) * 8;

/** @param {number} n */
const blocks = (n) => Math.ceil(n / 4);

/** One channel in, one out. @param {Window} g */
export const isDepthwise = (g) => g.groups === g.C && g.O === g.C && g.C > 1;

/** A transposed convolution whose windows tile the result. @param {Window} g */
export const isDisjoint = (g) => g.groups === 1 && g.kh === g.sh && g.kw === g.sw && g.dh === 1 && g.dw === 1
  && g.OH === g.H * g.kh && g.OW === g.W * g.kw && g.top === 0 && g.left === 0;

/** @param {Emitter} to @param {Value} w @param {number} O @param {number} I @param {number} T @param {number} B */
const packBlocks = (to, w, O, I, T, B) => to.packed(w, 'pack_blocks', 4 * Math.ceil(O / B) * B * I * T, [O, I, T, B]);

/** A bias for whole tiles; without one, zeros. @param {Emitter} to @param {Value|null} bias @param {number} O @param {number} B */
function packBias(to, bias, O, B) {
  return bias ? packBlocks(to, bias, O, 1, 1, B) : to.data(new Float32Array(Math.ceil(O / B) * B));
}

/**
 * Whether the lines that a tile reads of each of its planes fall on too few places of a first-level cache (64 sets of 8
 * lines of 64 bytes).
 * @param {number} floats from plane to plane @param {number} K channels
 */
function clash(floats, K) {
  const lines = floats / 16;
  let sets = 64;
  for (let rest = lines; sets > 1 && rest % 2 === 0; rest /= 2) sets /= 2;
  return Number.isInteger(lines) && blocks(K) * 2 > sets * 8;
}

/** Floats of gathered pixels for one part; as in blocked.c. @param {number} K */
const gatherRoom = (K) => Math.max(6144, 2 * 6 * 4 * blocks(K)) + 24 * blocks(K);

/**
 * Whether threads share the output channels instead of the pixels: where those are few, and the channels come out as even.
 * @param {number} pixels @param {number} O
 */
const isAcross = (pixels, O) => pixels < FEW_PIXELS && unevenness(Math.ceil(O / 8)) <= 1.1 * unevenness(Math.ceil(pixels / 6));

/** How much more than its share one of four threads has of n things. @param {number} n */
const unevenness = (n) => Math.ceil(n / 4) * 4 / n;

/** @param {Emitter} to @param {string} kernel @param {Product} p */
function emitProduct(to, kernel, { x, weights, bias, residual, y, taps, K, O, N, OH, OW, xn, xc, xrow, act }) {
  const across = isAcross(N * OH * OW, O) ? 1 : 0, room = taps.length === 1 && O >= 32 && clash(xc, K) ? gatherRoom(K) : 0;
  to.emit(kernel, [
    x, weights, bias, residual, y, room ? to.scratch(4 * room * to.maxParts) : null, to.data(Int32Array.from(taps)),
    N, taps.length, K, O, OH, OW, xn, xc, xrow, 4 * OH * OW, 4 * OH * OW, across, room, ...actArgs(act),
  ], N * OH * OW * taps.length * K * O);
}

/**
 * Where the taps of a window read, in pixels, and the copy with a border that they need, if any: rows of all planes, columns
 * a stride apart side by side. plane, row, picture: pixels from one to the next.
 * @param {Window} g @param {number} planes
 */
function windowOf({ C, H, W, OH, OW, kh, kw, sh, sw, dh, dw, top, bottom, left, right }, planes) {
  const copy = top + bottom + left + right > 0 || sw > 1, skip = kh === 1 ? sh : 1; // rows that no tap reads are not copied
  const phases = copy ? Math.max(...Array.from({ length: kw }, (_, s) => s * dw % sw)) + 1 : 1;
  const PH = copy ? Math.floor(((OH - 1) * sh + (kh - 1) * dh) / skip) + 1 : H;
  let PW = copy ? OW + Math.floor((kw - 1) * dw / sw) : W;
  while (copy && clash(4 * phases * PW, C)) PW++;
  const phase = copy ? sw : 1, plane = copy ? phases * PW : H * W, row = copy ? planes * plane : W;
  const taps = Array.from({ length: kh * kw }, (_, t) => {
    const s = t % kw * dw;
    return Math.floor(t / kw) * dh * row + s % phase * PW + Math.floor(s / phase);
  });
  return { copy, phases, PH, PW, taps, skip, plane, row: row * sh / (copy ? skip : 1), picture: planes * phases * PH * PW };
}

/**
 * The picture with its border: `width` floats a pixel, `planes` of them.
 * @param {Emitter} to @param {Window} g @param {ReturnType<typeof windowOf>} win @param {Value} x
 * @param {number} planes @param {number} width
 */
function bordered(to, g, win, x, planes, width) {
  const floats = g.N * win.picture * width, copy = to.scratch(4 * floats + SPARE);
  to.emit('border', [x, copy, g.N, planes, g.H, g.W, win.PH, win.PW, g.top, g.left, g.sw, win.phases, win.skip, width], 8 * floats);
  return copy;
}

/**
 * Without the rows of a window that only ever see zeros above or below the picture: of a line of text three rows see one.
 * @param {Window} g @returns {{g: Window, first: number}} first: row that is left
 */
function trimmed(g) {
  const first = Math.max(0, Math.ceil((g.top - (g.OH - 1) * g.sh) / g.dh)), kh = Math.min(g.kh, Math.ceil((g.H + g.top) / g.dh)) - first;
  const top = g.top - first * g.dh;
  if (kh === g.kh || kh < 1 || top < 0) return { g, first: 0 };
  return { g: { ...g, kh, top, bottom: Math.max(0, (g.OH - 1) * g.sh + (kh - 1) * g.dh + 1 - top - g.H) }, first };
}

/** Whether the products that Winograd's way saves outweigh its sums. @param {Window} g */
function isWinograd({ C, O, OH, OW, kh, kw, sh, sw, dh, dw, top, bottom, left, right }) {
  const plain = kh === 3 && kw === 3 && sh === 1 && sw === 1 && dh === 1 && dw === 1 && top + bottom + left + right > 0;
  const tiles = Math.ceil(OH / 2) * Math.ceil(OW / 2);
  return plain && tiles * (16 * C * O + SUM_IN * C + SUM_OUT * O) < OH * OW * 9 * C * O;
}

/** @param {Emitter} to @param {Window} g @param {Parts} parts */
function winograd(to, g, { x, w, bias, residual, y, act }) {
  const C4 = blocks(g.C), O4 = blocks(g.O), OH = g.OH + g.OH % 2, OW = g.OW + g.OW % 2;
  const win = windowOf({ ...g, OH, OW }, C4), products = g.N * OH * OW / 4 * SUMS * g.C * g.O;
  const room = SUMS * (C4 * SUMS_LINE + O4 * GROUP * 4);
  to.emit('conv_winograd', [
    bordered(to, g, win, x, C4, 4), to.packed(w, 'pack_winograd', 4 * SUMS * eights(g.O) * g.C, [g.O, g.C]), packBias(to, bias, g.O, 8),
    to.data(new Float32Array(eights(g.O))), residual, y, to.scratch(4 * room * to.maxParts), g.N, g.C, g.O, g.OH, g.OW,
    4 * win.picture, 4 * win.plane, 4 * win.row, ...actArgs(act),
  ], products);
}

/**
 * Whether Strassen's way, which saves an eighth of the products, pays: its sums cost as much as a product for every 64 channels
 * in and one for every 32 out, and what threads share of a small picture is pairs of panels.
 * @param {Window} g
 */
function isStrassen({ N, C, O, OH, OW, kh, kw, sh, sw, top, bottom, left, right }) {
  const plain = kh === 1 && kw === 1 && sh === 1 && sw === 1 && top + bottom + left + right === 0, P = N * OH * OW;
  const pays = P >= LEAST_PIXELS && P * C * O > LEAST_WORK && 64 / C + 32 / O < 1 && (P >= FEW_PIXELS || unevenness(O / 16) <= 1.2);
  return plain && C % 8 === 0 && O % 16 === 0 && pays && (P >= ENOUGH_PIXELS || C <= SHORT);
}

/** @param {Emitter} to @param {Window} g @param {Parts} parts */
function strassen(to, g, { x, w, bias, residual, y, act }) {
  const P = g.OH * g.OW, across = g.N * P < FEW_PIXELS, most = across ? Math.floor(NEAR_FLOATS / g.C) : HALF;
  const half = Math.ceil(P / Math.ceil(P / (2 * most)) / 2);
  to.emit('conv_strassen', [
    x, to.packed(w, 'pack_strassen', 7 * g.O * g.C, [g.O, g.C]), packBias(to, bias, g.O, 8), to.data(new Float32Array(g.O / 2)), residual, y,
    to.scratch(14 * half * g.C * to.maxParts), to.scratch(8 * half * g.O * (across ? 1 : to.maxParts)),
    g.N, g.C, g.O, P, half, across ? 1 : 0, ...actArgs(act),
  ], g.N * P * g.C * g.O);
}

/** @param {Emitter} to @param {Window} given @param {Parts} parts x plain where it has up to four channels, else blocked */
export function blockedConv(to, given, { x, w, bias, residual, y, act }) {
  const { g, first } = x.blocked ? trimmed(given) : { g: given, first: 0 };
  if (x.blocked && isWinograd(g)) {
    winograd(to, g, { x, w, bias, residual, y, act });
    return;
  }
  if (x.blocked && isStrassen(g)) {
    strassen(to, g, { x, w, bias, residual, y, act });
    return;
  }
  const T = g.kh * g.kw, entry = !x.blocked, width = entry ? 1 : 4, planes = entry ? g.C : blocks(g.C);
  const win = windowOf(g, planes);
  const from = win.copy ? bordered(to, g, win, x, planes, width) : x;
  const common = {
    x: from, bias: packBias(to, bias, g.O, 8), residual, y, O: g.O, N: g.N, OH: g.OH, OW: g.OW, xc: width * win.plane,
    xn: width * win.picture, xrow: width * win.row, act,
  };
  if (entry) {
    const taps = Array.from({ length: g.C }, (_, c) => win.taps.map((at) => c * win.plane + at)).flat();
    emitProduct(to, 'conv_entry', { ...common, weights: packBlocks(to, w, g.O, 1, g.C * T, 8), taps, K: 1 });
    return;
  }
  const few = g.O <= FEW_CHANNELS && g.C % 4 === 0, rows = win.copy || T > 1 || g.sh > 1;
  const all = given.kh * g.kw, B = few ? 1 : 8, weights = T === all ? packBlocks(to, w, g.O, g.C, T, B)
    : to.packed(w, 'pack_taps', 4 * Math.ceil(g.O / B) * B * g.C * T, [g.O, g.C, T, B, all, first * g.kw]);
  const long = rows ? {} : { OH: 1, OW: g.OH * g.OW }; // a 1x1 convolution sees one long row
  emitProduct(to, few ? 'conv_few' : 'conv_blocked', { ...common, ...long, weights, taps: win.taps.map((at) => 4 * at), K: g.C });
}

/** @param {Emitter} to @param {Window} g @param {Parts} parts */
export function blockedDepthwise(to, g, { x, w, bias, residual, y, act }) {
  const PH = Math.max((g.OH - 1) * g.sh + (g.kh - 1) * g.dh + 1, 1), PW = Math.max((g.OW - 1) * g.sw + (g.kw - 1) * g.dw + 1, 1);
  const bytes = 16 * PH * PW, square = g.kh === g.kw && (g.kh === 3 || g.kh === 5) && g.sw < 3 && g.dh === 1 && g.dw === 1;
  const masked = g.kh === 3 && g.left < 2 && (g.OW - 1) * g.sw + 3 - g.left - g.W < 2; // as in depthwise.c
  const padded = !square || (!masked && bytes <= NEAR_BYTES && g.OW < WIDE) ? to.scratch(bytes * to.maxParts + SPARE) : null;
  const byRows = g.N * g.OH * g.OW < FEW_PIXELS ? 0 : 1; // as the convolutions around it: a thread finds what it has made
  to.emit('depthwise', [
    x, packBlocks(to, w, g.C, 1, g.kh * g.kw, 4), packBias(to, bias, g.C, 4), residual, y, padded, g.N, g.C, g.H, g.W, g.OH, g.OW,
    g.kh, g.kw, g.sh, g.sw, g.dh, g.dw, g.top, g.left, PH, PW, byRows, ...actArgs(act),
  ], g.N * g.C * g.OH * g.OW * g.kh * g.kw);
}

/** @param {Emitter} to @param {Window} g disjoint @param {Parts} parts y blocked, or plain where it has few channels */
export function blockedTranspose(to, g, { x, w, bias, y, act }) {
  const T = g.kh * g.kw, P = g.H * g.W, lanes = y.blocked ? 4 * blocks(g.O) : g.O, O = lanes * T;
  const product = to.scratch(16 * g.N * blocks(O) * P);
  const order = y.blocked ? 1 : 0;
  emitProduct(to, 'conv_blocked', {
    x, weights: to.packed(w, 'pack_transposed', 4 * eights(O) * g.C, [g.C, g.O, T, order]),
    bias: bias ? to.packed(bias, 'pack_transposed', 4 * eights(O), [0, g.O, T, order]) : to.data(new Float32Array(eights(O))),
    residual: null, y: product, taps: [0], K: g.C, O, N: g.N, OH: 1, OW: P, xn: 4 * blocks(g.C) * P, xc: 4 * P, xrow: 0,
    act: y.blocked ? act : NONE,
  });
  const n = 8 * count([g.N, lanes, g.OH, g.OW]);
  if (y.blocked) to.emit('spread', [product, y, g.N, blocks(g.O), g.H, g.W, g.kh, g.kw], n);
  else to.emit('spread_planes', [product, y, g.N, g.O, g.H, g.W, g.kh, g.kw, ...actArgs(act)], n);
}
