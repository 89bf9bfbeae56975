import assert from 'node:assert/strict';
import { test } from 'node:test';

import { HintLine, HINTS, hintFor, isWellPlaced, placement } from '../../static/pages/scanner/hints.js';
import { AutoShutter, Steadiness } from '../../static/pages/scanner/steadiness.js';

/** @typedef {import('../../static/pages/scanner/quad.js').Quad} Quad */

const FRAME = { width: 1000, height: 750 };
/** @param {number} [dx] @param {number} [dy] @returns {Quad} */
const page = (dx = 0, dy = 0) => [[200 + dx, 100 + dy], [800 + dx, 120 + dy], [780 + dx, 650 + dy], [220 + dx, 640 + dy]];

test('a still page becomes steady after the hold, a trembling one too', () => {
  const steadiness = new Steadiness({ holdMs: 1000 });
  let result = steadiness.push(page(), FRAME, 0);
  assert.equal(result.progress, 0);
  for (let t = 50; t < 1000; t += 50) {
    result = steadiness.push(page(t % 100 ? 3 : -3, 2), FRAME, t);
    assert.ok(result.progress < 1, `at ${t} ms`);
  }
  assert.ok(result.progress > 0.9);
  assert.equal(steadiness.push(page(), FRAME, 1000).progress, 1);
});

test('moving the page starts the hold again, even when it moves slowly', () => {
  const steadiness = new Steadiness({ holdMs: 500 });
  for (let t = 0; t <= 3000; t += 50) {
    const { progress } = steadiness.push(page(t / 20), FRAME, t);
    assert.ok(progress < 0.9, `at ${t} ms: ${progress}`);
  }
});

test('one missed or one wild frame changes nothing, a longer loss does', () => {
  const steadiness = new Steadiness({ holdMs: 1000, missMs: 400 });
  for (let t = 0; t <= 600; t += 100) steadiness.push(page(), FRAME, t);
  assert.ok(steadiness.push(null, FRAME, 700).corners);
  assert.equal(steadiness.push(page(300), FRAME, 800).progress, 0.8);
  assert.equal(steadiness.push(page(), FRAME, 1000).progress, 1);
  assert.equal(steadiness.push(null, FRAME, 1401).corners, null);
  assert.equal(steadiness.push(page(), FRAME, 1450).progress, 0);
});

test('a page that really jumped is believed in the second frame, without gliding', () => {
  const steadiness = new Steadiness();
  steadiness.push(page(), FRAME, 0);
  assert.deepEqual(steadiness.push(page(300), FRAME, 50).corners, page());
  assert.deepEqual(steadiness.push(page(300), FRAME, 100).corners, page(300));
});

test('small trembling is smoothed, large movement is followed', () => {
  const steadiness = new Steadiness();
  steadiness.push(page(), FRAME, 0);
  const small = steadiness.push(page(4), FRAME, 33).corners;
  assert.ok(small && small[0][0] > 200 && small[0][0] < 203);
  const large = steadiness.push(page(60), FRAME, 66).corners;
  assert.ok(large && large[0][0] === 260);
});

test('the shutter goes off once per page', () => {
  const auto = new AutoShutter({ goneMs: 500 });
  const still = { corners: page(), progress: 1, moving: false };
  const none = { corners: null, progress: 0, moving: false };
  assert.equal(auto.push({ ...still, progress: 0.9 }, true, FRAME, 0), false);
  assert.equal(auto.push(still, false, FRAME, 10), false, 'not while a hint asks for something');
  assert.equal(auto.push(still, true, FRAME, 20), true);
  auto.took(page());
  assert.equal(auto.push(still, true, FRAME, 30), false, 'the same page is not taken twice');
  assert.equal(auto.push(none, false, FRAME, 100), false);
  assert.equal(auto.push(still, true, FRAME, 200), false, 'it was gone for a moment only');
  auto.push(none, false, FRAME, 300);
  auto.push(none, false, FRAME, 801);
  assert.equal(auto.push(still, true, FRAME, 900), true, 'another page after a pause');
  auto.took(page());
  assert.equal(auto.push({ ...still, corners: page(90) }, true, FRAME, 940), false, 'the hand drifted');
  assert.equal(auto.push({ ...still, corners: page(160) }, true, FRAME, 950), true, 'moved away: another page');
});

test('placement: too small, cut off, tilted, fine', () => {
  assert.equal(placement([[400, 300], [600, 300], [600, 500], [400, 500]], FRAME), 'closer');
  assert.equal(placement([[0, 100], [800, 100], [800, 650], [0, 650]], FRAME), 'cut');
  assert.equal(placement([[350, 100], [550, 100], [850, 700], [150, 700]], FRAME), 'tilted');
  assert.equal(placement(page(), FRAME), null);
});

test('every situation has its hint', () => {
  const seen = { corners: page(), frame: FRAME, progress: 0.5, taken: false, searchingMs: 0 };
  assert.equal(hintFor(seen), 'hold');
  assert.equal(hintFor({ ...seen, progress: 1 }), 'ready');
  assert.equal(hintFor({ ...seen, taken: true }), 'next');
  assert.equal(hintFor({ ...seen, corners: null }), 'searching');
  assert.equal(hintFor({ ...seen, corners: null, searchingMs: 5000 }), 'none');
  assert.ok(isWellPlaced('hold') && isWellPlaced('ready') && !isWellPlaced('closer') && !isWellPlaced('none'));
  assert.ok(Object.values(HINTS).every((text) => text.length > 5));
});

test('a hint must last before it replaces another', () => {
  const line = new HintLine(350);
  assert.equal(line.push('searching', 0), 'searching');
  assert.equal(line.push('hold', 100), 'searching');
  assert.equal(line.push('closer', 200), 'searching');
  assert.equal(line.push('hold', 300), 'searching');
  assert.equal(line.push('hold', 649), 'searching');
  assert.equal(line.push('hold', 650), 'hold');
});
