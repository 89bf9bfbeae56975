import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as geometry from '../../static/pages/scanner/vision/geometry.js';
import { seeded } from './draw.js';

/** @typedef {import('../../static/pages/scanner/vision/geometry.js').Point} Point */
/** @typedef {import('../../static/pages/scanner/vision/geometry.js').Quad} Quad */

/** @param {number} x @param {number} y @param {number} w @param {number} h @returns {Quad} */
const box = (x, y, w, h) => [[x, y], [x + w, y], [x + w, y + h], [x, y + h]];

/** @param {ArrayLike<number>} actual @param {ArrayLike<number>} expected @param {number} [tolerance] */
function near(actual, expected, tolerance = 1e-9) {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < actual.length; i++) assert.ok(Math.abs(actual[i] - expected[i]) <= tolerance, `${actual[i]} is not ${expected[i]}`);
}

/** @param {number} angle degrees @returns {(p: Point) => Point} turned around the origin */
const turned = (angle) => ([x, y]) => {
  const [c, s] = [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];
  return [c * x - s * y, s * x + c * y];
};

/**
 * A w × h sheet on a table, seen by a camera with focal length f (pixels) and the given tilts.
 * @param {number} w @param {number} h @param {{f: number, pitch: number, roll: number, yaw: number, picture: geometry.Size, away?: number}} camera
 * @returns {Quad}
 */
function photograph(w, h, { f, pitch, roll, yaw, picture, away = 3 }) {
  const rad = Math.PI / 180;
  return /** @type {Quad} */ ([[-w, -h], [w, -h], [w, h], [-w, h]].map(([x, y]) => {
    const [rx, ry] = turned(roll)([x / 2, y / 2]);
    const y1 = ry * Math.cos(pitch * rad);
    const z1 = ry * Math.sin(pitch * rad);
    const x2 = rx * Math.cos(yaw * rad) + z1 * Math.sin(yaw * rad);
    const z2 = -rx * Math.sin(yaw * rad) + z1 * Math.cos(yaw * rad) + away;
    return [picture.width / 2 + (f * x2) / z2, picture.height / 2 + (f * y1) / z2];
  }));
}

test('corners are put in order whatever order they come in', () => {
  const quad = /** @type {Quad} */ ([[10, 12], [90, 5], [95, 70], [4, 80]]);
  for (const order of [[2, 0, 3, 1], [3, 2, 1, 0], [1, 2, 3, 0], [0, 1, 2, 3]]) {
    assert.deepEqual(geometry.orderCorners(order.map((i) => quad[i])), quad);
  }
});

test('a turned page keeps its corners by position up to 45 degrees and moves on after that', () => {
  const page = box(-30, -40, 60, 80);
  for (const angle of [-40, -20, 10, 40]) {
    const quad = page.map(turned(angle));
    near(geometry.orderCorners([quad[2], quad[0], quad[1], quad[3]]).flat(), quad.flat());
  }
  const quad = page.map(turned(50));
  near(geometry.orderCorners(quad).flat(), [quad[3], quad[0], quad[1], quad[2]].flat());
});

test('areas have a sign for the direction', () => {
  assert.equal(geometry.signedArea(box(2, 3, 4, 5)), 20);
  assert.equal(geometry.signedArea([...box(2, 3, 4, 5)].reverse()), -20);
  assert.equal(geometry.polygonArea([...box(2, 3, 4, 5)].reverse()), 20);
});

test('intersection over union of known pairs', () => {
  const iou = geometry.convexIoU;
  assert.equal(iou(box(0, 0, 10, 10), box(0, 0, 10, 10)), 1);
  assert.equal(iou(box(0, 0, 10, 10), box(20, 0, 10, 10)), 0);
  near([iou(box(0, 0, 10, 10), box(5, 0, 10, 10))], [1 / 3]);
  near([iou(box(0, 0, 10, 10), [...box(2, 2, 5, 5)].reverse())], [0.25]);
  // An octagon: the square and the same square turned by 45°.
  const square = box(-1, -1, 2, 2);
  const octagon = 8 * (Math.SQRT2 - 1);
  near([iou(square, square.map(turned(45)))], [octagon / (8 - octagon)]);
});

test('a homography takes the four points there and its inverse takes them back', () => {
  const random = seeded(4);
  for (let n = 0; n < 50; n++) {
    const from = box(0, 0, 4000, 3000).map(([x, y]) => /** @type {Point} */ ([x + 900 * random(), y + 900 * random()]));
    const to = box(0, 0, 1, 1).map(([x, y]) => /** @type {Point} */ ([x + 0.3 * random(), y + 0.3 * random()]));
    const matrix = geometry.homography(from, to);
    near(from.map((p) => geometry.applyHomography(matrix, p)).flat(), to.flat(), 1e-9);
    near(to.map((p) => geometry.applyHomography(geometry.invert(matrix), p)).flat(), from.flat(), 1e-5);
  }
});

test('a homography keeps lines straight through the middle', () => {
  const quad = /** @type {Quad} */ ([[100, 80], [900, 150], [800, 700], [60, 600]]);
  const middle = geometry.applyHomography(geometry.homography(box(0, 0, 1, 1), quad), [0.5, 0.5]);
  near(middle, /** @type {Point} */ (geometry.intersectLines(quad[0], quad[2], quad[1], quad[3])), 1e-9);
});

test('three points on one line have no homography', () => {
  assert.throws(() => geometry.homography([[0, 0], [1, 1], [2, 2], [0, 3]], box(0, 0, 1, 1)), RangeError);
  assert.throws(() => geometry.invert([1, 2, 3, 2, 4, 6, 0, 0, 1]), RangeError);
});

test('parallel lines do not meet', () => {
  assert.equal(geometry.intersectLines([0, 0], [5, 5], [0, 1], [5, 6]), null);
  assert.deepEqual(geometry.intersectLines([0, 0], [4, 4], [0, 4], [4, 0]), [2, 2]);
});

test('what is no page is refused', () => {
  const picture = { width: 100, height: 100 };
  const valid = (/** @type {Quad} */ quad) => geometry.isValidQuad(quad, picture);
  assert.equal(valid(box(10, 10, 60, 60)), true);
  assert.equal(valid(box(-10, -10, 130, 130)), true, 'a page beyond the picture');
  assert.equal(valid(box(10, 10, 9, 9)), false, 'too small');
  assert.equal(valid([[10, 10], [10, 70], [70, 70], [70, 10]]), false, 'anticlockwise');
  assert.equal(valid([[10, 10], [70, 70], [70, 10], [10, 70]]), false, 'crossing itself');
  assert.equal(valid([[10, 10], [80, 10], [30, 30], [10, 80]]), false, 'a dent');
  assert.equal(valid([[10, 10], [95, 12], [90, 20], [20, 90]]), false, 'nearly a triangle');
  assert.equal(valid([[10, 10], [99, 30], [95, 34], [10, 60]]), true, 'sharp, but a page');
  assert.equal(valid([[10, 10], [99, 30], [60, 60], [55, 62]]), false, 'a needle');
  assert.equal(valid([[10, 10], [NaN, 10], [70, 70], [10, 70]]), false, 'not a number');
});

test('inner angles of a square are right angles', () => {
  near(geometry.innerAngles(box(3, 4, 10, 10)), [90, 90, 90, 90]);
});

test('the aspect ratio of a sheet in perspective is the sheet\'s', () => {
  const picture = { width: 4000, height: 3000 };
  for (const ratio of [0.7071, 1, 1.586, 0.3]) {
    for (const [pitch, roll, yaw] of [[35, 20, 10], [-30, 5, 25], [45, -30, 5], [20, 40, -20]]) {
      for (const [f, tolerance] of [[3400, 1e-6], [2900, 0.08], [4200, 0.08]]) {
        const found = geometry.aspectRatio(photograph(ratio, 1, { f, pitch, roll, yaw, picture }), picture);
        assert.ok(Math.abs(found / ratio - 1) < tolerance, `${ratio} at ${pitch}, ${roll}, ${yaw}, ${f}: ${found}`);
      }
    }
  }
});

test('one vanishing point at infinity and frontal views fall back on a phone\'s focal length', () => {
  const picture = { width: 4000, height: 3000 };
  const tilted = photograph(0.7071, 1, { f: 0.68 * 5000, pitch: 30, roll: 0, yaw: 0, picture });
  assert.ok(Math.abs(geometry.aspectRatio(tilted, picture) / 0.7071 - 1) < 0.01);
  const frontal = photograph(0.7071, 1, { f: 3000, pitch: 0, roll: 13, yaw: 0, picture });
  assert.ok(Math.abs(geometry.aspectRatio(frontal, picture) / 0.7071 - 1) < 1e-6);
});

test('the aspect ratio stays near under a pixel of noise, in nearly frontal views too', () => {
  const random = seeded(9);
  const picture = { width: 1600, height: 1200 };
  for (let n = 0; n < 200; n++) {
    const pitch = 50 * random() - 25;
    const quad = photograph(0.7071, 1, { f: 1600, pitch, roll: 60 * random() - 30, yaw: 30 * random() - 15, picture });
    const noisy = /** @type {Quad} */ (quad.map(([x, y]) => [x + 2 * random() - 1, y + 2 * random() - 1]));
    const found = geometry.aspectRatio(noisy, picture);
    assert.ok(Math.abs(found / 0.7071 - 1) < 0.08, `${found} at pitch ${pitch}`);
  }
});

test('a ratio within the error of a paper format is that format', () => {
  assert.equal(geometry.snapRatio(0.7), 1 / Math.SQRT2);
  assert.equal(geometry.snapRatio(1.43), Math.SQRT2);
  assert.equal(geometry.snapRatio(0.772), 8.5 / 11);
  assert.equal(geometry.snapRatio(1.2), 1.2);
  assert.equal(geometry.snapRatio(1), 1);
});

test('the output keeps the photo\'s pixels on the longer sides', () => {
  const picture = { width: 1000, height: 800 };
  assert.deepEqual(geometry.outputSize(box(100, 100, 480, 600), picture), { width: 480, height: 600 });
  const size = geometry.outputSize([[200, 100], [800, 100], [950, 700], [50, 700]], picture);
  assert.ok(size.width >= 900 && size.height >= 600, JSON.stringify(size));
});

test('the output is limited to what a phone\'s canvas can hold', () => {
  const size = geometry.outputSize(box(0, 0, 8000, 7000), { width: 8000, height: 7000 });
  assert.ok(size.width * size.height <= geometry.MAX_OUTPUT_PIXELS);
  assert.ok(Math.abs(size.width / size.height - 8 / 7) < 0.001);
});
