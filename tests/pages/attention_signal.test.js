import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OneEuro } from '../../static/pages/attention/signal/one_euro.js';
import { commonNeutral, Person } from '../../static/pages/attention/signal/person.js';
import { facing, Perclos, RULES, USUAL } from '../../static/pages/attention/signal/rules.js';
import { Tracker } from '../../static/pages/attention/signal/tracks.js';

const FPS = 15;

/** @typedef {{yaw?: number, pitch?: number, open?: number, x?: number, size?: number, spread?: number}} Looks */

/** A face as the detector gives it, with noise that repeats. @param {Looks} [looks] @param {number} [n] */
function faceOf({ yaw = 0, pitch = -5, open = 0.85, x = 300, size = 120, spread = 4 } = {}, n = 0) {
  const noise = (/** @type {number} */ k) => Math.sin(n * 12.9898 + k * 78.233) * 1.5;
  const landmarks = /** @type {[number, number][]} */ ([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.37, 0.8], [0.63, 0.8]].map(([u, v]) => [x + u * size, 200 + v * size]));
  return {
    box: /** @type {[number, number, number, number]} */ ([x, 200, size, size]), landmarks, score: 0.9, pose: { yaw: yaw + noise(1), pitch: pitch + noise(2), roll: 0 },
    eyes: { left: open + noise(3) / 50, right: open + noise(4) / 50 }, eyeWidth: { left: size / 5, right: size / 5 }, points: [], spread,
  };
}

/**
 * Plays a script of [seconds, face or null] and returns [{at, state}] for every frame.
 * @param {Person} person @param {[number, Looks | null][]} script
 */
function play(person, script) {
  const seen = [];
  let n = 0;
  for (const [seconds, face] of script) {
    for (let k = 0; k < seconds * FPS; k += 1, n += 1) {
      const at = (n * 1000) / FPS;
      seen.push({ at, state: person.add(face && faceOf(face, n), at) });
    }
  }
  return seen;
}

/** @param {{at: number, state: string}[]} seen @returns {[string, number][]} */
const changes = (seen) => seen.filter(({ state }, k) => k && state !== seen[k - 1].state).map(({ at, state }) => [state, at / 1000]);

test('every word comes after its time and not a quarter of a second later', () => {
  const person = new Person();
  const seen = play(person, [
    [5, {}], [6, { yaw: 45 }], [4, {}], [5, { pitch: -32 }], [4, {}], [5, { open: 0.08 }], [4, {}], [5, null], [4, {}],
  ]);
  /** @type {[string, number][]} */
  const wanted = [
    ['facing', 0 + 0.5], ['turned', 5 + 3], ['facing', 11 + 0.5], ['down', 15 + 1.5], ['facing', 20 + 0.5],
    ['closed', 24 + 2], ['facing', 29 + 0.5], ['away', 33 + 2], ['facing', 38 + 0.5],
  ];
  const found = changes(seen);
  assert.deepEqual(found.map(([state]) => state), wanted.map(([state]) => state));
  found.forEach(([state, at], k) => assert.ok(at >= wanted[k][1] - 0.1 && at <= wanted[k][1] + 0.25, `${state} at ${at} s`));
});

test('blinks, glances and slips of the detector change nothing', () => {
  /** @type {[number, Looks | null][]} */
  const script = [[3, {}]];
  for (let k = 0; k < 12; k += 1) script.push([0.25, { open: 0.05 }], [2, {}], [1.2, { yaw: 40 }], [2, {}], [0.3, null], [2, {}]);
  assert.deepEqual(changes(play(new Person(), script)).map(([state]) => state), ['facing']);
});

test('a word near its limit does not flicker', () => {
  /** @type {[number, Looks | null][]} */
  const script = [[4, { yaw: 40 }]];
  for (let k = 0; k < 40; k += 1) script.push([0.3, { yaw: RULES.turned - 3 }], [0.3, { yaw: RULES.turned + 3 }]);
  assert.ok(changes(play(new Person(), script)).length <= 2);
});

test('calibration learns the angles of a camera at the side, and refuses a moving head', () => {
  const aside = new Person();
  aside.calibrate();
  play(aside, [[6, { yaw: 30, pitch: -14, open: 0.6 }]]);
  assert.ok(Math.abs(aside.neutral.yaw - 30) < 1.5 && Math.abs(aside.neutral.pitch + 14) < 1.5);
  assert.ok(Math.abs(Number(aside.neutral.open) - 0.6) < 0.05);
  assert.equal(play(aside, [[6, { yaw: 30, pitch: -14, open: 0.6 }]]).at(-1)?.state, 'facing');
  const moving = new Person();
  moving.calibrate();
  play(moving, [[1, { yaw: -30 }], [1, { yaw: 30 }], [1, { yaw: -30 }], [1, { yaw: 30 }], [2, { yaw: -30 }]]);
  assert.equal(moving.neutral, USUAL);
  assert.equal(moving.calibrationFailed, true);
  assert.deepEqual(commonNeutral([{ yaw: 20, pitch: -8, open: 0.7 }, { yaw: 30, pitch: -9, open: null }, { yaw: 28, pitch: 0, open: null }]), { yaw: 28, pitch: -8, open: null });
  assert.equal(commonNeutral([]), USUAL);
});

test('what cannot be judged is unknown: tiny faces, unsure angles; and small eyes are never closed', () => {
  assert.equal(play(new Person(), [[4, { size: 10 }]]).at(-1)?.state, 'unknown');
  assert.equal(play(new Person(), [[4, { spread: 20 }]]).at(-1)?.state, 'unknown');
  assert.equal(play(new Person(), [[6, { size: 60, open: 0.02 }]]).at(-1)?.state, 'facing');
});

test('facing falls from 1 at neutral to 0 at the limits', () => {
  const at = (/** @type {number} */ yaw, /** @type {number} */ pitch) => facing({ yaw, pitch, open: null, spread: 0, size: 100 }, { yaw: 10, pitch: 0, open: null });
  assert.equal(at(10, 0), 1);
  assert.equal(at(10 + RULES.yawLimit, 0), 0);
  assert.equal(at(10, -RULES.pitchLimit / 2), 0.5);
  assert.equal(at(-60, 50), 0);
});

test('PERCLOS is a share of the time that could be judged, over a minute', () => {
  const perclos = new Perclos();
  for (let at = 0; at <= 19_000; at += 100) perclos.add(1, at);
  assert.equal(perclos.share, null);
  for (let at = 19_100; at <= 60_000; at += 100) perclos.add(at % 1000 < 300 ? 0.1 : 1, at);
  assert.ok(Math.abs(Number(perclos.share) - 0.3 * (41 / 60)) < 0.02);
  for (let at = 60_100; at <= 130_000; at += 100) perclos.add(null, at);
  assert.equal(perclos.share, null);
});

test('the filter is still on noise and follows a turn within a quarter of a second', () => {
  const filter = new OneEuro();
  let worst = 0;
  for (let n = 0; n < 150; n += 1) {
    const value = filter.add(n < 75 ? Math.sin(n * 12.9898) * 2 : 40, (n * 1000) / FPS);
    if (n > 30 && n < 75) worst = Math.max(worst, Math.abs(value));
    if (n === 75 + 4) assert.ok(value > 30, `${value} after a quarter of a second`);
  }
  assert.ok(worst < 1.5, `${worst}`);
});

test('tracks keep their numbers while people move, cross the picture and hide for a moment', () => {
  const tracker = new Tracker();
  for (let n = 0; n < 60; n += 1) {
    const a = faceOf({ x: 100 + n * 8 }, n), b = faceOf({ x: 700 - n * 2 }, n);
    const tracks = tracker.update(n > 20 && n < 40 ? [b] : [a, b], n * 66);
    if (n > 45) assert.equal(tracks.filter(({ id }) => id === 2).length, 1);
    if (n === 15) assert.deepEqual(tracks.map(({ id }) => id), [1, 2]);
  }
});

test('a face counts from its second frame, and is forgotten after its time', () => {
  const tracker = new Tracker({ keepMs: 1000 });
  assert.equal(tracker.update([faceOf()], 0).length, 0);
  assert.equal(tracker.update([faceOf()], 66).length, 1);
  assert.equal(tracker.update([], 900).length, 1);
  assert.equal(tracker.update([], 1100).length, 0);
  assert.equal(tracker.update([faceOf()], 1200).length, 0);
  assert.deepEqual(tracker.update([faceOf()], 1266).map(({ id }) => id), [2]);
});
