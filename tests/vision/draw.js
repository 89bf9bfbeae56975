// Pictures of pages on tables, drawn in code: the truth of their corners is known exactly.

import { homography } from '../../static/pages/scanner/vision/geometry.js';

/** @typedef {import('../../static/pages/scanner/vision/geometry.js').Quad} Quad */
/** @typedef {[number, number, number]} Colour */
/** @typedef {{data: Uint8ClampedArray, width: number, height: number}} Image */
/** @typedef {() => number} Random uniform in [0, 1) */

/** Mulberry32: the same pictures on every run. @param {number} seed @returns {Random} */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Standard normal (Box-Muller). @param {Random} random */
export function gaussian(random) {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Smooth noise in [-1, 1] on a lattice of period `size`. @param {number} seed */
export function smoothNoise(seed) {
  /** @param {number} ix @param {number} iy */
  const lattice = (ix, iy) => {
    let t = Math.imul(ix, 374761393) ^ Math.imul(iy, 668265263) ^ Math.imul(seed, 974634777);
    t = Math.imul(t ^ (t >>> 13), 1274126177);
    return ((t ^ (t >>> 16)) >>> 0) / 2147483648 - 1;
  };
  /** @param {number} x @param {number} y */
  return (x, y) => {
    const ix = Math.floor(x);
    const iy = Math.floor(y);
    const fx = x - ix;
    const fy = y - iy;
    const sx = fx * fx * (3 - 2 * fx);
    const sy = fy * fy * (3 - 2 * fy);
    const top = lattice(ix, iy) * (1 - sx) + lattice(ix + 1, iy) * sx;
    const bottom = lattice(ix, iy + 1) * (1 - sx) + lattice(ix + 1, iy + 1) * sx;
    return top * (1 - sy) + bottom * sy;
  };
}

/**
 * @typedef {object} Scene
 * @property {number} width
 * @property {number} height
 * @property {Quad} quad corners of the page in pixels
 * @property {(u: number, v: number) => Colour} page its colour at 0..1 × 0..1
 * @property {(x: number, y: number) => Colour} table the colour around it, at pixels
 * @property {(x: number, y: number, onPage: boolean) => number} [light] multiplies both
 * @property {(t: number, side: number) => number} [curl] how far side 0..3 bulges outward at t, in page units
 * @property {number} [noise] standard deviation, grey levels
 * @property {number} [blur] radius of a box blur, applied twice, in pixels
 * @property {Random} random
 */

/** @param {Scene} scene @returns {Image} */
export function drawScene(scene) {
  const { width, height, quad, page, table, light = () => 1, curl, random } = scene;
  const h = homography(quad, [[0, 0], [1, 0], [1, 1], [0, 1]]);
  const out = new Float32Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let k = 0; k < 4; k++) {
        const px = x + (k & 1 ? 0.75 : 0.25);
        const py = y + (k & 2 ? 0.75 : 0.25);
        const w = h[6] * px + h[7] * py + h[8];
        const u = (h[0] * px + h[1] * py + h[2]) / w;
        const v = (h[3] * px + h[4] * py + h[5]) / w;
        const onPage = inPage(u, v, curl);
        const colour = onPage ? page(Math.min(1, Math.max(0, u)), Math.min(1, Math.max(0, v))) : table(px, py);
        const gain = light(px, py, onPage) / 4;
        for (let c = 0; c < 3; c++) out[(y * width + x) * 3 + c] += colour[c] * gain;
      }
    }
  }
  for (let i = 0; i < 2 && scene.blur; i++) boxBlur(out, width, height, scene.blur);
  const data = new Uint8ClampedArray(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    const grain = scene.noise ? gaussian(random) * scene.noise : 0;
    for (let c = 0; c < 3; c++) data[4 * i + c] = out[3 * i + c] + grain;
    data[4 * i + 3] = 255;
  }
  return { data, width, height };
}

/** @param {number} u @param {number} v @param {Scene['curl']} curl */
function inPage(u, v, curl) {
  if (!curl) return u >= 0 && u <= 1 && v >= 0 && v <= 1;
  return v >= -curl(u, 0) && u <= 1 + curl(v, 1) && v <= 1 + curl(u, 2) && u >= -curl(v, 3);
}

/** @param {Float32Array} rgb @param {number} width @param {number} height @param {number} radius */
function boxBlur(rgb, width, height, radius) {
  for (const [count, length, step, stride] of [[height, width, width, 1], [width, height, 1, width]]) {
    const line = new Float32Array(length);
    for (let i = 0; i < count; i++) {
      for (let c = 0; c < 3; c++) {
        for (let j = 0; j < length; j++) line[j] = rgb[(i * step + j * stride) * 3 + c];
        for (let j = 0; j < length; j++) {
          let sum = 0;
          for (let k = -radius; k <= radius; k++) sum += line[Math.min(length - 1, Math.max(0, j + k))];
          rgb[(i * step + j * stride) * 3 + c] = sum / (2 * radius + 1);
        }
      }
    }
  }
}

/**
 * A page of text: lines of words, dark ink on paper, inside margins.
 * @param {{paper?: Colour, ink?: Colour, lines?: number, margin?: number, seed?: number}} [look]
 * @returns {(u: number, v: number) => Colour}
 */
export function textPage({ paper = [244, 243, 240], ink = [40, 40, 44], lines = 40, margin = 0.08, seed = 1 } = {}) {
  const words = smoothNoise(seed);
  return (u, v) => {
    if (u < margin || u > 1 - margin || v < margin || v > 1 - margin) return paper;
    const row = (v - margin) / (1 - 2 * margin) * lines;
    const inLine = row - Math.floor(row) < 0.5;
    const letter = words(u * 90, Math.floor(row) * 7.3) > -0.1;
    return inLine && letter ? ink : paper;
  };
}

/**
 * The same page with a printed frame: a line of `thickness` at `inset` from the border.
 * @param {(u: number, v: number) => Colour} page @param {number} inset @param {number} thickness @param {Colour} colour
 * @returns {(u: number, v: number) => Colour}
 */
export function framed(page, inset, thickness, colour) {
  return (u, v) => {
    const d = Math.min(u, 1 - u, v, 1 - v);
    return d >= inset && d < inset + thickness ? colour : page(u, v);
  };
}

/** Wood: grain along x, slowly varying. @param {Colour} base @param {number} depth grain in grey levels @param {number} seed */
export function wood(base, depth, seed) {
  const grain = smoothNoise(seed);
  return (/** @type {number} */ x, /** @type {number} */ y) => {
    const g = depth * (0.6 * grain(x / 90, y / 5) + 0.4 * grain(x / 300 + 50, y / 40));
    return /** @type {Colour} */ (base.map((c) => c + g));
  };
}
