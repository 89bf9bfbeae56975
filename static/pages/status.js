// The status page: asks the server every few seconds while it is looked at, more rarely while it does not answer.

import { createBadge, formatMs } from './badge.js';

const EVERY_MS = 3000;
const MAX_WAIT_MS = 60_000;

/** @typedef {{engine: string, stage: string, steps?: number, seconds?: number, reason?: string}} Building */
/** @typedef {{version: string, ready: boolean, pagesOnly: boolean, reason?: string, engine?: string, building?: Building, loadedAt?: number, loadMs?: number}} Version */
/** @typedef {{name: string, serving: string|null, versions: Version[]}} Model */
/**
 * @typedef {object} Status what /api/status answers
 * @property {string} version
 * @property {number} upSeconds
 * @property {boolean} stopping
 * @property {Model[]} models
 * @property {Record<string, number>} requests by HTTP status
 * @property {Record<string, number>} rejects by reason
 * @property {number} running
 * @property {number} waiting
 * @property {number} processes
 * @property {Record<string, {count: number, p50Ms: number, p95Ms: number}>} stages
 * @property {Record<string, {count: number, meanRows: number}>} batches by model, of engines that run requests together
 */

const STAGE_WORDS = new Map([
  ['queue', 'Waiting for a turn'], ['decode', 'Reading the request'], ['preprocess', 'Preparing the picture'],
  ['infer', 'Running the model'], ['encode', 'Writing the answer'], ['total', 'All but waiting'],
]);
const ENGINE_WORDS = new Map([
  ['tensorrt', 'TensorRT'], ['onnx', 'ONNX Runtime'], ['paddle', 'Paddle Inference'], ['remote', 'another server'],
]);
const REJECT_WORDS = new Map([['busy', 'queue full'], ['rate', 'too often'], ['too_late', 'too late']]);

/** @param {string} id @returns {HTMLElement} */
function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`status.html has no element #${id}`);
  return element;
}

/** @param {string} name @param {string} [text] @param {string} [className] @returns {HTMLElement} */
function make(name, text = '', className = '') {
  const element = document.createElement(name);
  element.textContent = text;
  element.className = className;
  return element;
}

/** Seconds the way people read them. @param {number} seconds @returns {string} */
function duration(seconds) {
  const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

/** @param {Record<string, number>} counts @returns {number} */
const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);

/** @param {string} name @param {string} value @param {string} [note] @returns {HTMLElement} */
function tile(name, value, note = '') {
  const box = make('div', '', 'tile');
  const shown = make('dd', value);
  if (note) shown.append(make('small', note));
  box.append(make('dt', name), shown);
  return box;
}

/** @param {Status} status @returns {HTMLElement[]} */
function tiles({ upSeconds, processes, requests, rejects, running, waiting, version }) {
  const count = (/** @type {number} */ n) => n.toLocaleString('en');
  const failed = sum(Object.fromEntries(Object.entries(requests).filter(([code]) => code.startsWith('5'))));
  const why = Object.entries(rejects).filter(([, n]) => n > 0)
    .map(([reason, n]) => `${count(n)} ${REJECT_WORDS.get(reason) ?? reason}`).join(', ');
  return [
    tile('Up for', duration(upSeconds), version === '0' ? '' : `version ${version}`),
    tile('Processes', count(processes)),
    tile('Model runs asked', count(sum(requests)), failed ? `${count(failed)} failed or too late` : ''),
    tile('Running now', count(running), `${count(waiting)} waiting`),
    tile('Turned away', count(sum(rejects)), why),
  ];
}

/** How far a better engine is. @param {Building} building @returns {string} */
function progress({ engine, stage, steps = 0, seconds = 0, reason }) {
  const name = ENGINE_WORDS.get(engine) ?? engine;
  if (reason) return `${name} is tried again later: ${reason}`;
  return `${name} is being built: ${stage}${steps ? `, ${steps} kernels timed` : ''}, ${duration(seconds)}`;
}

/** @param {Model} model @param {Version} version @param {{count: number, meanRows: number}} [batches] @returns {HTMLElement} */
function versionItem(model, version, batches) {
  const item = make('li', '', 'version');
  const head = make('div', '', 'version-head');
  const badge = make('span');
  const answers = version.version === model.serving;
  if (version.pagesOnly) createBadge(badge).say('In the page only', 'idle');
  else if (!version.ready) createBadge(badge).say('Not ready', 'bad');
  else createBadge(badge).say(answers ? 'Answering' : 'Ready, by number', version.reason ? 'warn' : 'ok');
  head.append(make('span', `${model.name} · version ${version.version}`, 'version-name'), badge);
  item.append(head);
  if (version.ready) {
    const since = new Date((version.loadedAt ?? 0) * 1000).toLocaleString();
    item.append(make('p', `On ${ENGINE_WORDS.get(version.engine ?? '') ?? version.engine} since ${since}, loaded in ${formatMs(version.loadMs ?? 0)}`));
  }
  if (version.building) item.append(make('p', progress(version.building)));
  if (batches && version.version === model.serving) {
    item.append(make('p', `${batches.count.toLocaleString('en')} batches, ${batches.meanRows} requests in one on average`));
  }
  if (version.pagesOnly) {
    item.append(make('p', 'Runs on the visitor’s device; the bundle has no model.onnx for this server.'));
  } else if (version.reason) {
    const what = version.ready ? 'What lies on disk now was refused' : 'Cannot run here';
    item.append(make('p', `${what}: ${version.reason}`, version.ready ? 'wrong' : ''));
  }
  return item;
}

/** @param {string} name @param {{count: number, p50Ms: number, p95Ms: number}} times @returns {HTMLElement} */
function stageRow(name, { count, p50Ms, p95Ms }) {
  const row = make('tr');
  const title = make('th', STAGE_WORDS.get(name) ?? name);
  title.setAttribute('scope', 'row');
  row.append(title, make('td', formatMs(p50Ms)), make('td', formatMs(p95Ms)), make('td', count.toLocaleString('en')));
  return row;
}

/** @param {Status} status */
function show(status) {
  byId('status-tiles').replaceChildren(...tiles(status));
  const items = status.models.flatMap((model) => model.versions.map((version) => (
    versionItem(model, version, status.batches[model.name])
  )));
  byId('status-models').replaceChildren(...(items.length ? items : [make('li', 'None is installed.', 'muted')]));
  const stages = [...STAGE_WORDS.keys()].filter((name) => status.stages[name]?.count > 0);
  const rows = stages.map((name) => stageRow(name, status.stages[name]));
  byId('status-stages').replaceChildren(...rows);
  byId('status-times').hidden = rows.length === 0;
  byId('status-stages-note').hidden = rows.length > 0;
  const figures = byId('status-figures');
  figures.hidden = false;
  delete figures.dataset.stale;
}

const badge = createBadge(byId('status-badge'));
let key = '';
let failures = 0;
/** @type {ReturnType<typeof setTimeout>|undefined} */
let next;

/** Asks for a key, or says that the one given was not right. */
function askForKey() {
  badge.say('Needs a key', 'warn');
  byId('status-key-form').hidden = false;
  byId('status-figures').hidden = true;
  byId('status-key-note').textContent = key ? 'The server does not know that key.' : '';
}

/** One question, and its answer shown. @returns {Promise<boolean>} whether to ask again */
async function ask() {
  const headers = key ? { 'X-API-Key': key } : undefined;
  const answer = await fetch('/api/status', { headers, cache: 'no-store', signal: AbortSignal.timeout(10_000) });
  if (answer.status === 401) {
    askForKey();
    return false;
  }
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  /** @type {Status} */
  const status = await answer.json();
  byId('status-key-form').hidden = true;
  show(status);
  const refused = status.models.some((model) => model.versions.some((version) => version.ready && version.reason));
  if (status.stopping) badge.say('Stopping', 'warn');
  else badge.say(refused ? 'Ready, with a refused version' : 'Ready', refused ? 'warn' : 'ok');
  return true;
}

async function keepAsking() {
  clearTimeout(next);
  if (document.hidden) return;
  let again = true;
  try {
    again = await ask();
    failures = 0;
  } catch (error) {
    console.info('No status:', error);
    failures += 1;
    badge.say('No answer; trying again', 'bad');
    byId('status-figures').dataset.stale = '';
  }
  if (again) next = setTimeout(keepAsking, Math.min(EVERY_MS * 2 ** failures, MAX_WAIT_MS));
}

byId('status-key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  key = /** @type {HTMLInputElement} */ (byId('status-key')).value.trim();
  keepAsking();
});
document.addEventListener('visibilitychange', keepAsking);
keepAsking();
