// conv2d → blocked kernels, fc (one pixel), or the kernel on planes for groups and channels-last pictures;
// conv2d_transpose → product of matrices, then its results put in their places or added up.
import { actArgs, fused, NONE } from '../activation.js';
import { count, emitSwap } from '../node.js';
import { blockedConv, blockedDepthwise, blockedTranspose, isDepthwise, isDisjoint } from './blocked.js';
import { convWindow, transposeWindow } from './index.js';

/** @typedef {import('../node.js').OpNode} OpNode */
/** @typedef {import('../node.js').Emitter} Emitter */
/** @typedef {import('../node.js').Value} Value */
/** @typedef {import('../node.js').Block} Block */
/** @typedef {import('./index.js').Window} Window */
/** @typedef {{x: Value|Block, w: Value, bias: Value|null, residual: Value|Block|null, y: Value|Block,
 *   act: import('../activation.js').Activation}} Parts */

const SPARE = 64; // bytes that vector loads may read past the end
const PANEL_FLOATS = 24 * 1024; // of gathered pixels: stays in a 256 KB second-level cache, with room for the weights
const MAX_STRIP = 512; // as in kernel.c

/** Weights as row blocks for the conv kernel: rows M and depth K of each group at strides ms, ks.
 * @param {Emitter} to @param {Value} w @param {number} groups @param {number} M @param {number} K
 * @param {number} ms @param {number} ks */
function packRows(to, w, groups, M, K, ms, ks) {
  return to.packed(w, 'pack_rows', 4 * groups * M * K, [groups, M, K, ms, ks, count(w.shape) / groups]);
}

/**
 * One step of the conv kernel on planes.
 * @param {Emitter} to @param {Window} g @param {Omit<Parts, 'w'>} parts @param {Block} weights from packRows
 */
function emitConv(to, g, { x, bias, residual, y, act }, weights) {
  const channels = g.C / g.groups, K = channels * g.kh * g.kw;
  const PH = g.H + g.top + g.bottom, PW = g.W + g.left + g.right;
  const padded = PH > g.H || PW > g.W ? to.scratch(4 * channels * PH * PW + SPARE) : null;
  const fits = Math.floor(PANEL_FLOATS / K / 8) * 8, needed = Math.ceil(g.OH * g.OW / 8) * 8;
  const strip = Math.min(Math.max(fits, 8), MAX_STRIP, needed);
  const panels = to.scratch(4 * strip * K + SPARE);
  to.emit('conv', [
    x, weights, bias, residual, y, padded, panels, g.N, g.C, g.H, g.W, g.O, g.OH, g.OW, g.kh, g.kw, g.sh, g.sw, g.dh, g.dw,
    g.top, g.left, PH, PW, g.groups, strip, ...actArgs(act),
  ]);
}

/** A 1x1 convolution of one pixel is a row of a matrix. @param {Window} g */
const isPixel = (g) => g.H * g.W * g.kh * g.kw === 1 && g.OH * g.OW === 1 && g.groups === 1;

/** @param {Emitter} to @param {Window} g @param {Parts} parts */
function emitPixel(to, g, { x, w, bias, residual, y, act }) {
  const padded = Math.ceil(g.O / 8) * 8;
  const columns = to.packed(w, 'pack_columns', 4 * padded * g.C, [g.C, g.O, 1, g.C]);
  const padding = bias && to.packed(bias, 'pack_columns', 4 * padded, [1, g.O, g.O, 1]);
  to.emit('fc', [x, columns, padding, residual, y, g.N, g.O, g.C, ...actArgs(act)], g.N * g.O * g.C);
}

/** @param {Emitter} to @param {Window} g @param {Parts} parts */
function emitPlanes(to, g, parts) {
  if (isPixel(g)) emitPixel(to, g, parts);
  else {
    const K = g.C / g.groups * g.kh * g.kw;
    emitConv(to, g, parts, packRows(to, parts.w, g.groups, g.O / g.groups, K, K, 1));
  }
}

/**
 * Runs `emit` on planes, whatever the layout of the node.
 * @param {Emitter} to @param {Window} g @param {Parts} parts @param {(to: Emitter, g: Window, parts: Parts) => void} emit
 */
function onPlanes(to, g, parts, emit) {
  if (!g.last) return emit(to, g, parts);
  const IP = g.H * g.W, OP = g.OH * g.OW;
  const x = to.scratch(4 * g.N * g.C * IP + SPARE), y = to.scratch(4 * g.N * g.O * OP);
  const residual = parts.residual && to.scratch(4 * g.N * g.O * OP);
  emitSwap(to, parts.x, x, g.N, IP, g.C);
  if (parts.residual && residual) emitSwap(to, parts.residual, residual, g.N, OP, g.O);
  emit(to, g, { ...parts, x, y, residual });
  return emitSwap(to, y, parts.y, g.N, g.O, OP);
}

/** @param {OpNode} node @returns {import('./blocked.js').Parts} */
const partsOf = (node) => ({
  x: node.x('Input'), w: node.x('Filter'), bias: node.maybe('Bias'), residual: node.maybe('ResidualData'), y: node.out,
  act: fused(node.attrs),
});

/** @param {Emitter} to @param {Window} g @param {Parts} parts */
function emitTranspose(to, g, { x, w, bias, y, act }) {
  const taps = g.kh * g.kw, rows = g.O / g.groups * taps, depth = g.C / g.groups;
  const columns = to.scratch(4 * g.N * g.O * taps * g.H * g.W);
  const product = {
    ...g, O: g.O * taps, OH: g.H, OW: g.W, kh: 1, kw: 1, sh: 1, sw: 1, dh: 1, dw: 1, top: 0, bottom: 0, left: 0, right: 0,
  };
  const weights = packRows(to, w, g.groups, rows, depth, 1, rows);
  emitConv(to, product, { x, bias: null, residual: null, y: columns, act: NONE }, weights);
  to.emit('fold', [
    columns, bias, y, g.N, g.O, g.H, g.W, g.OH, g.OW, g.kh, g.kw, g.sh, g.sw, g.dh, g.dw, g.top, g.left, ...actArgs(act),
  ]);
}

/** @param {OpNode} node @param {Emitter} to */
function lowerConv(node, to) {
  const g = convWindow(node), parts = partsOf(node);
  if (!node.out.blocked) onPlanes(to, g, parts, emitPlanes);
  else if (isDepthwise(g)) blockedDepthwise(to, g, parts);
  else blockedConv(to, g, parts);
}

/** @param {OpNode} node @param {Emitter} to */
function lowerTranspose(node, to) {
  const g = transposeWindow(node), parts = partsOf(node);
  if (parts.x.blocked) blockedTranspose(to, g, parts);
  else onPlanes(to, g, parts, emitTranspose);
}

/** @param {OpNode} node */
const isPacked = (node) => node.x('Filter').weight && node.maybe('Bias')?.weight !== false;

/** @type {Record<string, import('../node.js').LayoutRule>} */
export const layouts = {
  conv2d: (node) => {
    const g = convWindow(node);
    if (g.last || !isPacked(node) || isPixel(g) || (g.groups > 1 && !isDepthwise(g))) return 'plain';
    return g.C <= 4 && g.groups === 1 && !node.maybe('ResidualData') ? 'entry' : 'blocked';
  },
  conv2d_transpose: (node) => {
    const g = transposeWindow(node);
    if (g.last || !isPacked(node) || !isDisjoint(g)) return 'plain';
    return g.O < 4 ? 'exit' : 'blocked';
  },
};

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = { conv2d: lowerConv, conv2d_transpose: lowerTranspose };
