import assert from 'node:assert/strict';
import { test } from 'node:test';

import { judgedScore, worthALook } from '../../static/pages/attention/vision/judge.js';

const judge = { detector: 2, head: 0.5, bias: -1, sure: 6, look: 0.3 };

test('both opinions count, the head\'s only up to its limit', () => {
  assert.ok(Math.abs(judgedScore(judge, 0.5, 2) - 0.5) < 1e-12); // 2 · 0 + 0.5 · 2 − 1 = 0
  assert.ok(judgedScore(judge, 0.6, 2) > judgedScore(judge, 0.5, 2));
  assert.ok(judgedScore(judge, 0.5, 3) > judgedScore(judge, 0.5, 2));
  assert.equal(judgedScore(judge, 0.5, 60), judgedScore(judge, 0.5, 6));
  assert.equal(judgedScore(judge, 0.5, -60), judgedScore(judge, 0.5, -6));
});

test('what no head could confirm needs no look, what the surest could does', () => {
  for (const least of [0.8, 0.95]) {
    const lowest = worthALook(judge, least);
    assert.ok(Math.abs(judgedScore(judge, lowest, 100) - least) < 1e-9);
    assert.ok(judgedScore(judge, lowest - 0.001, 100) < least);
  }
});

test('unsure places are looked at only for a low limit', () => {
  assert.equal(worthALook(judge, 0.55), 0.3);
  assert.ok(worthALook(judge, 0.1) < 0.12);
});
