// The page of who faces the screen: start, live view, end. Everything is forgotten when it stops.
import { Camera } from '../scanner/camera.js';
import { CameraProblem } from '../scanner/problems.js';
import { button, part, setText, Toasts } from '../scanner/dom.js';
import { Board } from './board.js';
import { detectFaces, prepare, readFaces, readUpperBody, release } from './detect.js';
import { drawTimeline, Stage } from './draw.js';
import { SentCounter } from './sent.js';
import { Session } from './session.js';
import { duration, toCsv } from './summary.js';
import { wordsFor } from './troubles.js';

/** @typedef {import('./summary.js').Mode} Mode */
/** @typedef {'start' | 'live' | 'end'} View */

const NUDGE_AFTER_MS = 30_000;
const root = part(document, 'start', HTMLElement).closest('#attention') ?? document.body;
const video = part(root, 'video', HTMLVideoElement);
const page = /** @type {HTMLElement} */ (root);
const camera = new Camera(video, 'user');
const session = new Session({ detectFaces, readFaces, readUpperBody }, video);
const stage = new Stage(part(root, 'overlay', HTMLCanvasElement));
const board = new Board(root);
const toasts = new Toasts(root);
const sent = new SentCounter();
const timeline = part(root, 'timeline', HTMLCanvasElement), endTimeline = part(root, 'end-timeline', HTMLCanvasElement);
const problem = part(root, 'problem', HTMLElement);
const options = {
  device: part(root, 'device', HTMLSelectElement), budget: part(root, 'budget', HTMLSelectElement),
  break: part(root, 'break', HTMLSelectElement), nudge: part(root, 'nudge', HTMLInputElement),
  coarse: part(root, 'coarse', HTMLInputElement),
};
/** @type {import('./summary.js').Log | null} what the last session left: sums alone */
let left = null;
let breakAt = Infinity, turnedSince = NaN;

/** @param {View} view */
function show(view) {
  page.dataset.view = view;
  for (const name of ['start', 'live', 'end']) part(root, name, HTMLElement).hidden = name !== view;
}

/** @returns {Mode} */
const chosenMode = () => (root.querySelector('input[name="mode"][value="room"]:checked') ? 'room' : 'solo');

async function begin() {
  const start = button(root, 'begin'), mode = chosenMode();
  start.disabled = true;
  problem.hidden = true;
  try {
    board.say('progress', 'Loading the models…');
    await prepare({
      upperBody: mode === 'solo',
      onProgress: ({ loaded, total }) => board.say('progress', `Loading the models… ${Math.round((100 * loaded) / Math.max(1, total))} %`),
    });
    board.say('progress', 'Waiting for the camera…');
    await camera.open(options.device.value);
  } catch (error) {
    stopped(error);
    return;
  } finally {
    start.disabled = false;
    board.say('progress', '');
  }
  page.dataset.mode = mode;
  left = null;
  turnedSince = NaN;
  setBreak();
  await listDevices();
  show('live');
  sent.start();
  session.start(mode);
  setText(button(root, 'pause'), 'Pause');
  if (mode === 'solo') calibrate();
  button(root, 'stop').focus({ preventScroll: true });
}

function calibrate() {
  session.calibrate();
  board.say('calibration', 'Look at the screen as you usually do for five seconds.');
}

async function listDevices() {
  const devices = await camera.devices();
  options.device.replaceChildren(...devices.map(({ id, name }) => new Option(name, id, false, id === camera.deviceId)));
}

/** Ends the session, with or without something wrong. @param {unknown} [error] */
function stopped(error) {
  const { mode } = session, had = session.log.seconds.length > 0;
  const log = session.stop();
  camera.close();
  sent.stop();
  stage.clear();
  toasts.hide();
  if (error !== undefined) {
    const words = wordsFor(error);
    board.say('problem-title', words.title);
    board.say('problem-text', words.text);
    problem.hidden = false;
    void release();
  }
  if (!had) return show('start');
  left = log;
  show('end');
  board.showEnd(log, mode);
  drawTimeline(endTimeline, log.seconds, 30);
  part(root, 'end-title', HTMLElement).focus();
}

function togglePause() {
  const pausing = session.running !== 0;
  if (pausing) session.pause();
  else session.resume();
  video[pausing ? 'pause' : 'play']();
  camera.track && (camera.track.enabled = !pausing); // the lamp of many cameras goes out
  setText(button(root, 'pause'), pausing ? 'Go on' : 'Pause');
  board.say('stage-note', pausing ? 'Paused: nothing is looked at.' : '');
}

function onFrame() {
  board.show(session);
  if (session.mode === 'solo') stage.outline(video, session.seen);
  else stage.draw(video, session.seen, { picture: options.coarse.checked ? 'coarse' : 'none' });
  if (session.mode === 'solo') remind();
}

function onSecond() {
  drawTimeline(timeline, session.log.seconds);
  board.showSecond(session);
}

function setBreak() {
  const minutes = Number(options.break.value);
  breakAt = minutes ? session.elapsed + minutes * 60_000 : Infinity;
}

/** Two quiet notes, each of which can be switched off. */
function remind() {
  const now = session.elapsed;
  if (now > breakAt) {
    toasts.show(`${duration(Number(options.break.value) * 60)} have passed. Look into the distance for a moment, or stand up.`, { ms: 15_000 });
    setBreak();
  }
  if (session.alone.state !== 'turned') turnedSince = NaN;
  else if (Number.isNaN(turnedSince)) turnedSince = now;
  else if (options.nudge.checked && now - turnedSince > NUDGE_AFTER_MS) {
    toasts.show('You have been turned away for half a minute.', { ms: 6000 });
    turnedSince = now;
  }
}

/** @param {Blob | null} blob @param {string} name */
function save(blob, name) {
  if (!blob) throw new RangeError('The browser could not make the file');
  const address = URL.createObjectURL(blob);
  const link = Object.assign(document.createElement('a'), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

button(root, 'begin').addEventListener('click', () => void begin());
button(root, 'calibrate').addEventListener('click', calibrate);
button(root, 'pause').addEventListener('click', togglePause);
button(root, 'stop').addEventListener('click', () => stopped());
button(root, 'csv').addEventListener('click', () => left && save(new Blob([toCsv(left.seconds, session.mode)], { type: 'text/csv' }), 'facing-the-screen.csv'));
button(root, 'png').addEventListener('click', () => endTimeline.toBlob((blob) => save(blob, 'facing-the-screen.png')));
button(root, 'again').addEventListener('click', () => {
  left?.clear();
  left = null;
  problem.hidden = true;
  show('start');
  button(root, 'begin').focus();
});
options.budget.addEventListener('change', () => { session.budget = Number(options.budget.value); });
options.break.addEventListener('change', setBreak);
options.device.addEventListener('change', () => { camera.open(options.device.value).catch(stopped); });
camera.addEventListener('lost', () => stopped(new CameraProblem('lost')));
session.addEventListener('frame', onFrame);
session.addEventListener('second', onSecond);
session.addEventListener('failed', () => stopped(session.error));
sent.addEventListener('change', () => board.say('sent', sent.words));
