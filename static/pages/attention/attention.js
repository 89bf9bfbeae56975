// The page of who faces the screen: start, live view, end. Everything is forgotten when it stops.
import { hasSimd } from '../../runtime/choose.js';
import { InPageError } from '../../runtime/index.js';
import { Camera } from '../scanner/camera.js';
import { CameraProblem } from '../scanner/problems.js';
import { button, part, setText, Toasts } from '../scanner/dom.js';
import { Board } from './board.js';
import { drawTimeline, Stage, timelinePicture } from './draw.js';
import { Reminders } from './reminders.js';
import { SentCounter } from './sent.js';
import { Session } from './session.js';
import { size, toCsv } from './summary.js';
import { REFUSED, slowWords, wordsFor } from './troubles.js';

/** @typedef {import('./summary.js').Mode} Mode */
/** @typedef {import('./eyes.js').Eyes} Eyes */
/** @typedef {'start' | 'live' | 'end'} View */

/** Fewer pictures a second than these, for a while in the foreground, are too few. */
const SLOW_FPS = Object.freeze({ solo: 5, room: 2 });
const SLOW_AFTER_MS = 10_000;
const WANTED = { width: { ideal: 1280 }, height: { ideal: 720 } };

const root = /** @type {HTMLElement} */ (document.getElementById('attention'));
const onServer = root.dataset.place === 'server';
const video = part(root, 'video', HTMLVideoElement);
const camera = new Camera(video, 'user', WANTED);
const session = new Session(video);
const stage = new Stage(part(root, 'overlay', HTMLCanvasElement));
const board = new Board(root);
const toasts = new Toasts(root);
const sent = new SentCounter();
const canvas = (/** @type {string} */ name) => part(root, name, HTMLCanvasElement);
const options = {
  device: part(root, 'device', HTMLSelectElement), budget: part(root, 'budget', HTMLSelectElement),
  break: part(root, 'break', HTMLSelectElement), nudge: part(root, 'nudge', HTMLInputElement),
  coarse: part(root, 'coarse', HTMLInputElement), coloured: part(root, 'coloured', HTMLInputElement),
};
const reminders = new Reminders(toasts, () => ({ breakMinutes: Number(options.break.value), nudges: options.nudge.checked }));
const title = document.title;
/** @type {{log: import('./summary.js').Log, mode: Mode} | null} what the last session left: sums alone */
let left = null;
let slowSince = NaN;

/** @param {View} view */
function show(view) {
  root.dataset.view = view;
  for (const name of ['start', 'live', 'end']) part(root, name, HTMLElement).hidden = name !== view;
}

/** @param {import('./troubles.js').Words} words */
function tell({ title: what, text, server = false }) {
  board.say('problem-title', what);
  board.say('problem-text', text);
  part(root, 'problem-server', HTMLElement).hidden = !server;
  const card = part(root, 'problem', HTMLElement);
  card.hidden = false;
  card.scrollIntoView({ block: 'nearest' });
}

/** @returns {Mode} */
const chosenMode = () => (root.querySelector('input[name="mode"][value="room"]:checked') ? 'room' : 'solo');

/** How far the start is; null: it is over. @param {string} words @param {number | null} share of a download, null: unknown */
function starting(words, share = null) {
  const bar = part(root, 'progress-bar', HTMLProgressElement);
  part(root, 'starting', HTMLElement).hidden = !words;
  if (share === null) bar.removeAttribute('value');
  else bar.value = share;
  board.say('progress', words);
}

/** Asks whether pictures may leave this device; for one session, and remembered nowhere. @returns {Promise<boolean>} */
async function agreed() {
  const dialog = part(root, 'server-dialog', HTMLDialogElement);
  dialog.returnValue = 'no';
  dialog.showModal();
  await new Promise((resolve) => { dialog.addEventListener('close', resolve, { once: true }); });
  return dialog.returnValue === 'yes';
}

/** @param {Mode} mode @returns {Promise<Eyes | null>} null: the person does not want the server to look */
async function openEyes(mode) {
  if (!onServer) {
    if (!hasSimd()) throw new InPageError('no_backend', 'This browser has no WebAssembly SIMD');
    const { WorkerEyes } = await import('./eyes.js');
    return new WorkerEyes();
  }
  const { ServerEyes, serverCanLook } = await import('./eyes_server.js');
  if (!await serverCanLook(mode)) throw new InPageError('server_failed', 'The server does not run the models of this page');
  if (!await agreed()) return null;
  return new ServerEyes(({ state, retry_ms }) => {
    const seconds = Math.ceil(retry_ms / 1000);
    board.say('server-words', state === 'ok' ? '' : `It ${state === 'busy' ? 'is busy' : 'does not answer'}; asked again in ${seconds} s.`);
  });
}

async function begin() {
  const start = button(root, 'begin'), mode = chosenMode();
  /** @type {Eyes | null} */
  let eyes = null;
  start.disabled = true;
  part(root, 'problem', HTMLElement).hidden = true;
  try {
    starting('Loading…');
    eyes = await openEyes(mode);
    if (!eyes) return tell(REFUSED);
    await eyes.prepare({ mode, onProgress: ({ loaded, total }) => starting('Loading the models…', loaded / Math.max(1, total)) });
    starting('Your browser asks whether this page may use the camera. Allow it to go on.');
    await camera.open(options.device.value);
    starting('Getting ready…');
    await eyes.warm(video);
    if (!camera.stream) throw new CameraProblem('lost');
  } catch (error) {
    eyes?.close();
    camera.close();
    return fail(error);
  } finally {
    start.disabled = false;
    starting('');
  }
  await live(mode, eyes);
}

/** @param {unknown} error */
function fail(error) {
  console.warn('The session could not go on', error);
  tell(wordsFor(error, onServer));
}

/** @param {Mode} mode @param {Eyes} eyes */
async function live(mode, eyes) {
  root.dataset.mode = mode;
  left = null;
  slowSince = NaN;
  if (!onServer) part(root, 'slow', HTMLElement).hidden = true;
  await listDevices();
  show('live');
  board.start(mode);
  showPaused(false);
  reminders.start();
  sent.start();
  session.start(mode, eyes);
  if (mode === 'solo') session.calibrate();
  showSent();
  button(root, 'stop').focus({ preventScroll: true });
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
  document.title = title;
  if (error !== undefined) fail(error);
  if (!had) {
    show('start');
    button(root, 'begin').focus();
    return;
  }
  left = { log, mode };
  show('end');
  board.showEnd(log, mode);
  drawEnd();
  part(root, 'end-title', HTMLElement).focus();
}

function drawEnd() {
  if (left) drawTimeline(canvas('end-timeline'), canvas('end-strip'), left.log.seconds, 1);
}

/** A pause switches the camera off; going on switches it on again. */
async function togglePause() {
  if (session.running) {
    session.pause();
    camera.close();
    stage.clear();
    showPaused(true);
    return;
  }
  button(root, 'pause').disabled = true;
  try {
    await camera.open(options.device.value);
  } catch (error) {
    return stopped(error);
  } finally {
    button(root, 'pause').disabled = false;
  }
  if (root.dataset.view !== 'live') return camera.close(); // stopped meanwhile
  showPaused(false);
  session.resume();
}

/** @param {boolean} paused */
function showPaused(paused) {
  root.dataset.paused = String(paused);
  setText(button(root, 'pause'), paused ? 'Go on' : 'Pause');
  button(root, 'calibrate').disabled = paused;
  if (paused) board.rest('Paused', 'Paused: the camera is off, nothing is looked at.');
  else board.say('stage-note', '');
  document.title = `${paused ? 'Paused' : '● Camera on'} · ${title}`;
}

function onFrame() {
  board.show(session);
  showSent();
  if (document.hidden) return;
  if (session.blind) stage.clear();
  else if (session.mode === 'solo') stage.outline(video, session.seen);
  else stage.room(video, session.seen, { picture: options.coarse.checked, coloured: options.coloured.checked });
}

function onSecond() {
  if (!document.hidden) drawTimeline(canvas('timeline'), canvas('strip'), session.log.seconds);
  board.showSecond(session);
  if (session.mode === 'solo') reminders.look(session);
  watchSpeed();
}

/** What was sent, honestly: requests that nobody expected would be told, too. */
function showSent() {
  if (onServer) {
    board.say('sent', size(session.sent));
    board.say('server-sent', size(session.sent));
    return;
  }
  const requests = sent.requests + session.requests;
  board.say('sent', requests ? `${requests} request${requests > 1 ? 's were' : ' was'} made` : '0 bytes');
}

function watchSpeed() {
  if (onServer) return;
  const { fps, mode, elapsed } = session, card = part(root, 'slow', HTMLElement);
  if (document.hidden || fps >= SLOW_FPS[mode]) slowSince = NaN;
  else if (Number.isNaN(slowSince)) slowSince = elapsed;
  else if (elapsed - slowSince > SLOW_AFTER_MS && card.hidden) {
    card.hidden = false;
    board.say('slow-words', slowWords(fps));
  }
}

/** @param {Blob} blob @param {string} name */
function save(blob, name) {
  const address = URL.createObjectURL(blob);
  Object.assign(document.createElement('a'), { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

function forget() {
  left?.log.clear();
  left = null;
  for (const name of ['timeline', 'strip', 'end-timeline', 'end-strip']) Object.assign(canvas(name), { width: 1, height: 1 });
  part(root, 'problem', HTMLElement).hidden = true;
  show('start');
}

button(root, 'begin').addEventListener('click', () => void begin());
button(root, 'calibrate').addEventListener('click', () => session.calibrate());
button(root, 'pause').addEventListener('click', () => void togglePause());
button(root, 'stop').addEventListener('click', () => stopped());
button(root, 'csv').addEventListener('click', () => left && save(new Blob([toCsv(left.log.seconds, left.mode)], { type: 'text/csv' }), 'facing-the-screen.csv'));
button(root, 'png').addEventListener('click', async () => left && save(await timelinePicture(left.log.seconds, left.mode), 'facing-the-screen.png'));
button(root, 'again').addEventListener('click', () => {
  forget();
  button(root, 'begin').focus();
});
options.budget.addEventListener('change', () => { session.budget.share = Number(options.budget.value); });
options.break.addEventListener('change', () => reminders.start(session.elapsed));
options.device.addEventListener('change', () => {
  if (session.running) camera.open(options.device.value).catch(stopped);
});
camera.addEventListener('lost', () => session.eyes && stopped(new CameraProblem('lost')));
session.addEventListener('frame', onFrame);
session.addEventListener('second', onSecond);
session.addEventListener('failed', () => stopped(session.error));
addEventListener('resize', drawEnd);
addEventListener('pagehide', () => { // a page that is kept for the way back keeps nothing
  if (session.eyes) stopped();
  forget();
});
if (onServer) {
  button(root, 'server-stop').addEventListener('click', () => stopped());
  for (const place of root.querySelectorAll('[data-part="server-host"]')) setText(place, location.host);
}
button(root, 'begin').disabled = false; // a click before all this would have been lost
