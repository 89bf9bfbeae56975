// Random scenes for the refinement's measure: every trap that a page border meets.

import { drawScene, framed, gaussian, seeded, smoothNoise, textPage, wood } from './draw.js';

/** @typedef {import('./draw.js').Scene} Scene */
/** @typedef {import('./draw.js').Colour} Colour */
/** @typedef {import('./draw.js').Quad} Quad */
/** @typedef {import('./draw.js').Random} Random */

/** @param {Random} random @param {number} low @param {number} high */
const between = (random, low, high) => low + (high - low) * random();

/** A page somewhere in the picture, turned and seen in perspective. @param {Random} random @param {number} width @param {number} height @returns {Quad} */
export function randomQuad(random, width, height) {
  const size = Math.min(width, height) * between(random, 0.55, 0.85);
  const ratio = between(random, 0.65, 1.5);
  const turn = between(random, -0.35, 0.35);
  const lean = [between(random, -0.12, 0.12), between(random, -0.12, 0.12)];
  const cx = width / 2 + between(random, -0.05, 0.05) * width;
  const cy = height / 2 + between(random, -0.04, 0.04) * height;
  const half = [(size / 2) * Math.min(1, ratio), (size / 2) * Math.min(1, 1 / ratio)];
  return /** @type {Quad} */ ([[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([sx, sy]) => {
    const depth = 1 + lean[0] * sx + lean[1] * sy;
    const x = (sx * half[0]) / depth;
    const y = (sy * half[1]) / depth;
    return [cx + x * Math.cos(turn) - y * Math.sin(turn), cy + x * Math.sin(turn) + y * Math.cos(turn)];
  }));
}

/** Distance of a point to the outside of a convex quadrilateral, 0 inside. @param {Quad} quad @param {number} x @param {number} y */
function outside(quad, x, y) {
  let far = 0;
  for (let i = 0; i < 4; i++) {
    const [ax, ay] = quad[i];
    const [bx, by] = quad[(i + 1) % 4];
    const length = Math.hypot(bx - ax, by - ay);
    far = Math.max(far, ((by - ay) * (x - ax) - (bx - ax) * (y - ay)) / length);
  }
  return far;
}

/** @type {Record<string, (random: Random, base: Scene) => Partial<Scene>>} */
export const KINDS = {
  plain: (random, { random: r }) => ({ page: textPage({ seed: r() * 1e6, margin: between(random, 0.03, 0.1) }) }),
  frame: (random) => ({
    page: framed(textPage({ margin: 0.1 }), between(random, 0.015, 0.05), between(random, 0.003, 0.02), [30, 30, 60]),
  }),
  shadow: (random, { quad, width }) => {
    const reach = between(random, 0.008, 0.03) * width;
    const soft = between(random, 0.002, 0.01) * width;
    const depth = between(random, 0.3, 0.6);
    const [sx, sy] = [between(random, -1, 1) * reach, between(random, -1, 1) * reach];
    const moved = /** @type {Quad} */ (quad.map(([x, y]) => [x + sx, y + sy]));
    return { light: (x, y, onPage) => (onPage ? 1 : 1 - depth * Math.max(0, 1 - outside(moved, x, y) / soft)) };
  },
  notebook: (random) => {
    const cut = between(random, 0.25, 0.75);
    const plain = textPage({ margin: 0.12 });
    return { page: (u, v) => (v > cut ? [222, 150, 40] : plain(u, v)) };
  },
  magazine: (random) => {
    const hue = /** @type {Colour} */ ([between(random, 10, 120), between(random, 60, 140), between(random, 90, 230)]);
    const blobs = smoothNoise(random() * 1e6);
    return {
      page: (u, v) => (blobs(u * 5, v * 6) > 0.45 ? [235, 220, 90] : hue),
      table: wood([226, 220, 205], 5, random() * 1e6),
    };
  },
  pale: (random) => {
    const c = between(random, 200, 222);
    return { table: wood([c, c - 2, c - 6], 4, random() * 1e6), noise: 2 };
  },
  stripe: (random) => {
    const at = between(random, 0.02, 0.12);
    const wide = between(random, 0.05, 0.15);
    return { page: (u, v) => (v > at && v < at + wide ? [25, 25, 30] : u > 0.7 && v > 0.6 ? [180, 120, 90] : [205, 215, 205]) };
  },
  planks: (random, { quad, width }) => {
    const board = wood([200, 190, 175], 8, random() * 1e6);
    const gap = between(random, 0.06, 0.12) * width;
    const turn = Math.atan2(quad[1][1] - quad[0][1], quad[1][0] - quad[0][0]) + between(random, -0.03, 0.03);
    return {
      table: (x, y) => {
        const along = -x * Math.sin(turn) + y * Math.cos(turn);
        return along - Math.floor(along / gap) * gap < 0.05 * gap ? [70, 60, 60] : board(x, y);
      },
    };
  },
  curled: (random) => {
    const bulge = [0, 1, 2, 3].map(() => between(random, -0.012, 0.012));
    return { curl: (t, side) => 4 * bulge[side] * t * (1 - t) };
  },
  tight: (random, { random: r }) => ({ page: textPage({ seed: r() * 1e6, margin: between(random, 0.006, 0.02), lines: 30 }) }),
  grid: (random) => {
    const cells = Math.round(between(random, 12, 40));
    return {
      page: (u, v) => (Math.min(u * cells - Math.floor(u * cells), v * cells - Math.floor(v * cells)) < 0.07 ? [60, 60, 70] : [240, 240, 235]),
    };
  },
  stack: (random, { quad, width, table }) => {
    const under = /** @type {Quad} */ (quad.map(([x, y]) => [x + between(random, -0.02, 0.02) * width, y + between(random, -0.02, 0.02) * width]));
    const shade = 0.006 * width;
    return {
      table: (x, y) => (outside(under, x, y) > 0 ? table(x, y) : [225, 224, 218]),
      light: (x, y, onPage) => (onPage ? 1 : 1 - 0.35 * Math.max(0, 1 - outside(quad, x, y) / shade)),
    };
  },
  dim: (random) => ({ light: (x) => 0.35 + x * 0.0002, noise: 6, blur: 1 }),
};

/**
 * @param {string} kind one of KINDS @param {number} seed @param {number} [width] @param {number} [height]
 * @returns {{image: import('./draw.js').Image, quad: Quad}}
 */
export function randomScene(kind, seed, width = 800, height = 600) {
  const random = seeded(seed);
  const dark = between(random, 50, 170);
  /** @type {Scene} */
  const base = {
    width,
    height,
    quad: randomQuad(random, width, height),
    page: textPage({ seed, margin: between(random, 0.05, 0.1) }),
    table: wood([dark + 20, dark, dark * 0.8], between(random, 4, 18), seed + 7),
    noise: between(random, 1, 4),
    random,
  };
  const scene = { ...base, ...KINDS[kind](random, base) };
  return { image: drawScene(scene), quad: scene.quad };
}

/** The network's error: Gaussian noise on each coordinate, as a share of the diagonal. @param {Quad} quad @param {number} sigma @param {Random} random @param {number} diagonal @returns {Quad} */
export function perturbed(quad, sigma, random, diagonal) {
  return /** @type {Quad} */ (quad.map(([x, y]) => [x + gaussian(random) * sigma * diagonal, y + gaussian(random) * sigma * diagonal]));
}
