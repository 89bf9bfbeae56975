import assert from 'node:assert/strict';
import { test } from 'node:test';

import { placeFit, toBox, toSource } from '../../static/pages/scanner/fit.js';
import { seenInStill } from '../../static/pages/scanner/intake.js';
import { quadPath, shadePath } from '../../static/pages/scanner/overlay.js';
import {
  copyQuad, edgeMiddle, farthestMove, limitsFor, moveCorner, moveEdge, rescale, wholePicture,
} from '../../static/pages/scanner/quad.js';

/** @typedef {import('../../static/pages/scanner/quad.js').Quad} Quad */

const SIZE = { width: 400, height: 300 };
/** @type {() => Quad} */
const quad = () => [[50, 40], [350, 60], [340, 280], [60, 250]];

test('a corner moves alone and stays within the picture', () => {
  const before = quad();
  const moved = moveCorner(before, 1, [999, -5], limitsFor(SIZE, [before]));
  assert.deepEqual(moved, [[50, 40], [400, 0], [340, 280], [60, 250]]);
  assert.deepEqual(before, quad(), 'the old quadrilateral is untouched');
});

test('an edge takes both its corners along, as far as both may go', () => {
  assert.deepEqual(moveEdge(quad(), 0, [0, -100], limitsFor(SIZE, [])), [[50, 0], [350, 20], [340, 280], [60, 250]]);
  assert.deepEqual(moveEdge(quad(), 3, [10, 5], limitsFor(SIZE, [])), [[60, 45], [350, 60], [340, 280], [70, 255]]);
});

test('limits reach out to corners that were found outside the picture', () => {
  assert.deepEqual(limitsFor(SIZE, [[[-12, 5], [390, -3], [410, 290], [0, 310]]]), { left: -12, top: -3, right: 410, bottom: 310 });
  assert.deepEqual(limitsFor(SIZE, [quad()]), { left: 0, top: 0, right: 400, bottom: 300 });
});

test('edges have middles, and a quadrilateral scales with its picture', () => {
  assert.deepEqual(edgeMiddle(quad(), 2), [200, 265]);
  assert.deepEqual(edgeMiddle(quad(), 3), [55, 145]);
  assert.deepEqual(rescale(wholePicture(SIZE), SIZE, { width: 800, height: 150 }), wholePicture({ width: 800, height: 150 }));
  assert.equal(farthestMove(quad(), moveCorner(quad(), 2, [340, 277], limitsFor(SIZE, []))), 3);
  assert.notEqual(copyQuad(quad())[0], quad()[0]);
});

test('object-fit: contain, cover and the rest place a picture as CSS does', () => {
  const source = { width: 1920, height: 1080 };
  const box = { width: 390, height: 600 };
  const contain = placeFit(source, box, 'contain');
  assert.equal(contain.width, 390);
  assert.equal(contain.left, 0);
  assert.ok(Math.abs(contain.top - (600 - 390 * 9 / 16) / 2) < 1e-9);
  const cover = placeFit(source, box, 'cover');
  assert.equal(cover.height, 600);
  assert.ok(Math.abs(cover.left - (390 - 600 * 16 / 9) / 2) < 1e-9);
  assert.deepEqual(toBox(placeFit(source, box, 'fill'), [1920, 1080]), [390, 600]);
  assert.equal(placeFit(source, box, 'none').left, (390 - 1920) / 2);
  assert.equal(placeFit({ width: 100, height: 50 }, box, 'scale-down').scaleX, 1);
  assert.throws(() => placeFit(source, box, 'sideways'), RangeError);
});

test('box and source coordinates lead back to each other', () => {
  for (const fit of ['contain', 'cover', 'fill']) {
    const place = placeFit({ width: 640, height: 480 }, { width: 333, height: 777 }, fit);
    const [x, y] = toSource(place, toBox(place, [123, 456]));
    assert.ok(Math.abs(x - 123) < 1e-9 && Math.abs(y - 456) < 1e-9, fit);
  }
});

test('outline and shade are closed paths', () => {
  assert.equal(quadPath([[0, 0], [10, 0.04], [10.26, 10], [0, 10]]), 'M0.0 0.0L10.0 0.0L10.3 10.0L0.0 10.0Z');
  assert.match(shadePath(quad(), 400, 300), /^M0 0H400V300H0ZM50\.0 40\.0L/);
});

test('the page seen in the video is used for the still picture only when both have one shape', () => {
  const seen = { corners: quad(), frame: SIZE };
  assert.deepEqual(seenInStill(seen, { width: 800, height: 600 })?.[2], [680, 560]);
  assert.equal(seenInStill(seen, { width: 1600, height: 900 }), null);
  assert.equal(seenInStill(null, SIZE), null);
});
