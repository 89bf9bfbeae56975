import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Looker } from '../../static/pages/attention/looker.js';
import { Budget, Pictures } from '../../static/pages/attention/pace.js';
import { Reminders } from '../../static/pages/attention/reminders.js';
import { Log, toCsv } from '../../static/pages/attention/summary.js';

/** @typedef {import('../../static/pages/attention/detect.js').Face} Face */

/** @param {number} x @returns {Face} */
const faceAt = (x) => ({
  box: [x, 0, 40, 40], landmarks: [], score: 0.9, pose: { yaw: 0, pitch: 0, roll: 0 }, eyes: { left: 1, right: 1 },
  eyeWidth: { left: 8, right: 8 }, points: [[x, 0], [x + 40, 40]], spread: 3,
});

const CADENCE = { side: 640, everyMs: 500, emptyMs: 200, most: 40, bodyMs: Infinity, frameMs: 30 };

/** A looker at people who stand at these places; `calls` tells what it asked for. @param {number[]} places @param {number} headMs @param {number} detectMs */
function lookerAt(places, headMs = 1, detectMs = 10) {
  /** @type {string[]} */
  const calls = [];
  const looker = new Looker({
    async detectFaces(frame, { onTimes } = {}) {
      calls.push('find');
      onTimes?.({ read: 0, detect: detectMs, crop: 0, head: headMs * places.length });
      return places.map(faceAt);
    },
    async readFaces(frame, boxes, { onTimes } = {}) {
      calls.push(`read ${boxes.length}`);
      onTimes?.({ read: 0, detect: 0, crop: 0, head: headMs * boxes.length });
      return boxes.map(([x]) => (places.some((at) => Math.abs(at - x) < 20) ? faceAt(x) : null));
    },
    async readUpperBody() {
      calls.push('body');
      return /** @type {any} */ ({});
    },
  }, CADENCE);
  return { looker, calls, look: (/** @type {number} */ at) => looker.look(/** @type {any} */ ({}), at) };
}

test('faces are found now and then and followed in between; an empty room is searched less often than a frame', async () => {
  const places = [10, 100];
  const { look, calls } = lookerAt(places);
  for (const at of [0, 100, 200, 499, 500]) assert.equal((await look(at)).heads.length, 2);
  assert.deepEqual(calls, ['find', 'read 2', 'read 2', 'read 2', 'find']);
  places.length = 0;
  assert.equal((await look(600)).heads.length, 0);
  calls.length = 0;
  for (const at of [650, 699, 700, 750, 899, 900]) await look(at);
  assert.deepEqual(calls, ['find', 'find'], 'at 700 and 900');
});

test('where a search is slow, it takes an eighth of the time and no more', async () => {
  const { look, calls } = lookerAt([10, 100], 5, 110);
  for (const at of [0, 500, 900, 959, 960]) await look(at);
  assert.deepEqual(calls, ['find', 'read 2', 'read 2', 'read 2', 'find']);
});

test('of a crowd as many heads are read as a frame has time for, all of them in turn', async () => {
  const { look, calls, looker } = lookerAt(Array.from({ length: 20 }, (_, k) => 100 * k), 5);
  await look(0);
  for (let at = 1; at < 60; at += 1) await look(at);
  calls.length = 0;
  /** @type {Set<number>} */
  const read = new Set();
  for (let at = 60; at < 65; at += 1) {
    looker.known.slice(0, 6).forEach(({ head }) => read.add(head.box[0]));
    assert.equal((await look(at)).heads.length, 20);
  }
  assert.ok(calls.every((call) => /^read [56]$/.test(call)), calls.join());
  assert.ok(read.size >= 20, `${read.size} of 20 in five frames`);
});

test('work is paid for by rest, and a slow frame now and then costs no other', () => {
  const budget = new Budget(0.5);
  let now = 0, worked = 0;
  for (let k = 0; k < 200; k += 1) {
    const began = now, work = k % 10 ? 10 : 40;
    worked += work;
    now += work;
    now += budget.restAfter(began, now);
  }
  assert.ok(Math.abs(worked / now - 0.5) < 0.02, `${worked / now}`);
  assert.equal(new Budget(1).restAfter(0, 500), 0);
  assert.equal(new Budget(0.5).restAfter(0, 20), 0, 'a little may be owed');
});

test('a picture that comes while the last one is looked at is kept in mind, and waited for otherwise', async () => {
  /** @type {Map<number, () => void>} */
  const waiting = new Map();
  let handles = 0;
  const shows = () => [...waiting].forEach(([handle, tell]) => {
    waiting.delete(handle);
    tell();
  });
  const pictures = new Pictures(/** @type {any} */ ({
    requestVideoFrameCallback: (/** @type {() => void} */ tell) => waiting.set(handles += 1, tell) && handles,
    cancelVideoFrameCallback: (/** @type {number} */ handle) => waiting.delete(handle),
  }));
  assert.equal(pictures.take(), false);
  shows();
  assert.ok(pictures.came);
  assert.equal(pictures.take(), true);
  assert.equal(pictures.came, false, 'looked at once');
  const never = new Promise(() => {}), next = pictures.next(never);
  shows();
  await next;
  assert.equal(pictures.take(), true);
  await pictures.next(Promise.resolve());
  assert.equal(pictures.take(), false, 'a while went by without one');
  pictures.end();
  assert.equal(waiting.size, 0);
});

test('a break is due after its time at the screen, and being away is one', () => {
  /** @type {string[]} */
  const said = [];
  const reminders = new Reminders({ show: (text) => said.push(text) }, () => ({ breakMinutes: 20, nudges: false }));
  /** @param {number} from minutes @param {number} to @param {'facing' | 'away' | 'turned'} state */
  const sit = (from, to, state) => {
    for (let s = from * 60; s < to * 60; s += 1) reminders.look(/** @type {any} */ ({ alone: { state }, postureNow: 'upright', elapsed: s * 1000 }));
  };
  sit(0, 15, 'facing');
  sit(15, 18, 'away');
  sit(18, 37, 'facing');
  assert.deepEqual(said, []);
  sit(37, 39, 'facing');
  assert.equal(said.length, 1);
  sit(39, 45, 'turned');
  assert.equal(said.length, 1, 'nudges were not asked for');
});

test('the numbers that are saved are shares of ten seconds, without persons', () => {
  const log = new Log();
  for (let at = 0; at < 25_000; at += 100) log.add(at < 12_000 ? ['facing', 'facing', 'turned'] : ['down', 'facing', 'turned'], at);
  const lines = toCsv(log.seconds, 'room').trimEnd().split('\r\n');
  assert.equal(lines[0], 'seconds since start,facing the screen (share),looking down (share),turned away (share),eyes closed (share),not clear (share),faces');
  assert.equal(lines[1], '0,0.667,0.000,0.333,0.000,0.000,3.0');
  assert.deepEqual(lines.slice(2).map((line) => line.split(',')[0]), ['10', '20']);
  assert.match(toCsv(log.seconds, 'solo'), /posture slumped \(share\)/);
});
