import assert from 'node:assert/strict';
import { test } from 'node:test';

import { COMPLETED_FACTOR, decodeCorners } from '../../static/pages/scanner/vision/decode.js';

/** @typedef {import('../../static/pages/scanner/vision/geometry.js').Quad} Quad */

const H = 64;
const W = 60;
const MARGIN = 0.0714;
/** @type {Quad} */
const PAGE = [[0.21, 0.153], [0.803, 0.12], [0.871, 0.9], [0.108, 0.846]];

/**
 * Heatmaps with Gaussian peaks at normalised positions.
 * @param {{at: number[], peak: number}[][]} peaks per channel @param {{margin?: number, sigma?: number}} [options]
 */
function heatmaps(peaks, { margin = MARGIN, sigma = 1.5 } = {}) {
  const data = new Float32Array(4 * H * W);
  peaks.forEach((list, k) => {
    for (const { at, peak } of list) {
      const x = ((at[0] + margin) / (1 + 2 * margin)) * W - 0.5;
      const y = ((at[1] + margin) / (1 + 2 * margin)) * H - 0.5;
      for (let i = 0; i < H; i++) {
        for (let j = 0; j < W; j++) {
          const v = peak * Math.exp(-((i - y) ** 2 + (j - x) ** 2) / (2 * sigma * sigma));
          data[(k * H + i) * W + j] = Math.max(data[(k * H + i) * W + j], v);
        }
      }
    }
  });
  return { data, shape: [1, 4, H, W] };
}
/** @param {number} p */
const presence = (p) => ({ data: Float32Array.of(p), shape: [1, 1] });
/** @param {number[]} peaks */
const page = (peaks) => heatmaps(PAGE.map((at, k) => [{ at, peak: peaks[k] }]));

/** @param {Quad} found @param {Quad} expected @param {number} cells */
function within(found, expected, cells) {
  found.forEach((p, k) => {
    const off = Math.hypot((p[0] - expected[k][0]) * W, (p[1] - expected[k][1]) * H);
    assert.ok(off < cells, `corner ${k} is ${off} cells off`);
  });
}

test('peaks are found to a tenth of a cell, at any width', () => {
  for (const sigma of [0.8, 1.2, 2, 2.5]) {
    const found = decodeCorners({ heatmaps: heatmaps(PAGE.map((at) => [{ at, peak: 0.95 }]), { sigma }), presence: presence(1) }, { margin: MARGIN });
    assert.ok(found);
    within(found.corners, PAGE, 0.12);
  }
});

test('the margin comes from the bundle, and corners may lie beyond the picture', () => {
  const beyond = /** @type {Quad} */ ([[-0.05, 0.1], [0.9, -0.04], [1.06, 0.95], [0.02, 1.03]]);
  const maps = heatmaps(beyond.map((at) => [{ at, peak: 0.9 }]), { margin: 0.1 });
  const found = decodeCorners({ heatmaps: maps, presence: presence(0.99) }, { margin: 0.1 });
  assert.ok(found);
  within(found.corners, beyond, 0.15);
  const wrong = decodeCorners({ heatmaps: maps, presence: presence(0.99) }, { margin: 0 });
  assert.ok(wrong && Math.abs(wrong.corners[0][0] - beyond[0][0]) > 0.03, 'the margin is used');
});

test('the score falls with the peaks and with presence', () => {
  const score = (/** @type {number[]} */ peaks, /** @type {number} */ p) =>
    decodeCorners({ heatmaps: page(peaks), presence: presence(p) }, { margin: MARGIN })?.score ?? 0;
  const sure = score([0.9, 0.9, 0.9, 0.9], 0.99);
  assert.ok(sure > 0.8 && sure <= 1);
  assert.ok(score([0.9, 0.9, 0.9, 0.6], 0.99) < sure);
  assert.ok(score([0.9, 0.9, 0.9, 0.9], 0.7) < sure);
});

test('no presence, no page', () => {
  assert.equal(decodeCorners({ heatmaps: page([0.9, 0.9, 0.9, 0.9]), presence: presence(0.3) }), null);
  assert.equal(decodeCorners({ heatmaps: page([0.9, 0.9, 0.9, 0.9]), presence: presence(NaN) }), null);
  assert.equal(decodeCorners({ heatmaps: page([0.9, 0.9, 0.9, 0.9]), presence: presence(0.8) }, { presence: 0.9 }), null);
});

test('flat heatmaps are no page, whatever presence says', () => {
  const data = new Float32Array(4 * H * W).fill(0.02);
  assert.equal(decodeCorners({ heatmaps: { data, shape: [1, 4, H, W] }, presence: presence(1) }), null);
});

test('a hidden corner is completed from three sure ones, at a lower score', () => {
  const corners = /** @type {Quad} */ ([[0.2, 0.2], [0.8, 0.25], [0.82, 0.85], [0.22, 0.8]]);
  for (let hidden = 0; hidden < 4; hidden++) {
    const maps = heatmaps(corners.map((at, k) => [{ at: k === hidden ? [0.5, 0.5] : at, peak: k === hidden ? 0.1 : 0.9 }]));
    const found = decodeCorners({ heatmaps: maps, presence: presence(1) }, { margin: MARGIN });
    assert.ok(found, `corner ${hidden}`);
    within(found.corners, corners, 0.3);
    assert.ok(found.score <= COMPLETED_FACTOR * 0.91);
  }
});

test('two hidden corners, or three that are not sure, give nothing', () => {
  assert.equal(decodeCorners({ heatmaps: page([0.9, 0.9, 0.1, 0.1]), presence: presence(1) }), null);
  assert.equal(decodeCorners({ heatmaps: page([0.4, 0.9, 0.9, 0.1]), presence: presence(1) }), null);
});

test('corners that make no page give nothing', () => {
  const crossing = [PAGE[0], PAGE[2], PAGE[1], PAGE[3]];
  assert.equal(decodeCorners({ heatmaps: heatmaps(crossing.map((at) => [{ at, peak: 0.9 }])), presence: presence(1) }), null);
});

test('where the highest peaks make no page, the second peak of a corner may', () => {
  const peaks = PAGE.map((at) => [{ at, peak: 0.9 }]);
  peaks[1] = [{ at: [0.3, 0.75], peak: 0.92 }, { at: PAGE[1], peak: 0.8 }];
  const found = decodeCorners({ heatmaps: heatmaps(peaks), presence: presence(1) }, { margin: MARGIN });
  assert.ok(found);
  within(found.corners, PAGE, 0.2);
});

test('of two peaks of much the same strength the squarer page is taken, in the proportions of the picture', () => {
  /** @type {Quad} */
  const square = [[0.3, 0.1], [0.9, 0.1], [0.9, 0.9], [0.3, 0.9]];
  const peaks = square.map((at) => [{ at, peak: 0.8 }]);
  peaks[0] = [{ at: [0.1, 0.1], peak: 0.6 }, { at: square[0], peak: 0.55 }];
  const outputs = { heatmaps: heatmaps(peaks), presence: presence(1) };
  const found = decodeCorners(outputs, { margin: MARGIN });
  assert.ok(found);
  within(found.corners, square, 0.2);

  const tall = decodeCorners(outputs, { margin: MARGIN }, { width: 100, height: 1600 }); // the slant all but vanishes
  assert.ok(tall);
  within(tall.corners, [[0.1, 0.1], square[1], square[2], square[3]], 0.2);
});

test('a much stronger peak is taken however slanted the page', () => {
  const peaks = PAGE.map((at) => [{ at, peak: 0.9 }]);
  peaks[0] = [{ at: [0.05, 0.1], peak: 0.95 }, { at: PAGE[0], peak: 0.3 }];
  const found = decodeCorners({ heatmaps: heatmaps(peaks), presence: presence(1) }, { margin: MARGIN });
  assert.ok(found);
  within(found.corners, [[0.05, 0.1], PAGE[1], PAGE[2], PAGE[3]], 0.2);
});

test('outputs of another shape are refused by name', () => {
  const three = { data: new Float32Array(3 * H * W), shape: [1, 3, H, W] };
  assert.throws(() => decodeCorners({ heatmaps: three }), /heatmaps must be .*\[1,3,64,60\]/);
  assert.throws(() => decodeCorners({ heatmaps: { data: new Float32Array(5), shape: [1, 4, H, W] } }), /hold 5 values/);
  assert.throws(() => decodeCorners(/** @type {any} */ ({})), RangeError);
  assert.throws(() => decodeCorners({ heatmaps: page([1, 1, 1, 1]), presence: { data: new Float32Array(2), shape: [2, 1] } }), /presence must be one/);
});
