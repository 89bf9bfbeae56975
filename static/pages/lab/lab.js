// The lab: a model and backends are chosen, each is measured in turn, and what came of it is drawn.
import { createBadge } from '../badge.js';
import { candidates } from '../../runtime/choose.js';
import { drawFacts, drawFirst, drawSteps, drawTable } from './charts.js';
import { bundleOf, filesOf } from './dropped.js';
import { PEERS } from './peers.js';
import { aboutOf, asJson, asTable, factsOf } from './report.js';
import { measureOn, WISHES } from './runs.js';

/** @typedef {import('./runs.js').Outcome} Outcome */
/** @typedef {import('./runs.js').Wish} Wish */
/** @typedef {import('./runs.js').Known} Known */

/** @template {HTMLElement} T @param {string} id @param {new () => T} kind @returns {T} */
function byId(id, kind) {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`lab.html has no ${kind.name} #${id}`);
  return element;
}

const lab = byId('lab', HTMLElement), form = byId('lab-form', HTMLFormElement), select = byId('lab-model', HTMLSelectElement);
const own = byId('lab-own', HTMLOptionElement), files = byId('lab-files', HTMLInputElement), start = byId('lab-start', HTMLButtonElement);
const problem = byId('lab-problem', HTMLElement), results = byId('lab-results', HTMLElement), sort = byId('lab-sort', HTMLInputElement);
const ticks = byId('lab-backends', HTMLElement), badge = createBadge(byId('lab-badge', HTMLElement));
const steps = { legend: byId('lab-legend', HTMLElement), list: byId('lab-steps', HTMLElement), note: byId('lab-steps-note', HTMLElement) };

/** @type {ReturnType<typeof bundleOf>|null} */
let dropped = null;
/** @type {AbortController|null} */
let running = null;
/** @type {{about: ReturnType<typeof aboutOf>, outcomes: Outcome[]}|null} */
let shown = null;

const possible = new Set(candidates()), { peers = '' } = lab.dataset; // where the site keeps other runtimes, if it does
const wishes = peers ? [...WISHES, ...PEERS] : WISHES;
for (const { id, words, backend, precision, peer } of wishes) {
  const label = document.createElement('label'), box = document.createElement('input');
  Object.assign(box, { type: 'checkbox', value: id, checked: possible.has(backend) && precision === 'float32' && !peer, disabled: !possible.has(backend) });
  label.className = 'tick';
  label.append(box, possible.has(backend) ? words : `${words} (not in this browser)`);
  ticks.append(label);
}

/** @param {unknown} thrown */
function tell(thrown) {
  problem.textContent = thrown instanceof Error ? thrown.message : String(thrown);
  problem.hidden = false;
}

/** @param {File[]} list */
function take(list) {
  problem.hidden = true;
  try {
    dropped = bundleOf(list);
    own.textContent = `${dropped.name} · ${(dropped.bytes / 1e6).toFixed(1)} MB, from this device`;
    own.hidden = false;
    select.value = '';
  } catch (thrown) {
    tell(thrown);
  }
}

/** @param {Wish} wish @param {unknown} thrown @returns {Outcome} */
const failed = (wish, thrown) => ({
  wish, problem: thrown instanceof Error ? thrown.message : String(thrown), name: '', inputs: '', precision: wish.precision, note: '', bundle_ms: 0,
  ready_ms: 0, first_ms: 0, times_ms: [], median_ms: 0, p90_ms: 0, best_ms: 0, flight_ms: 0, bytes: 0, difference: null, steps: [],
});

/** @param {AbortSignal} signal */
async function measureAll(signal) {
  const address = select.value || dropped?.source;
  if (!address) throw new Error('Choose a model first, or drop one here.');
  const chosen = new Set([...ticks.querySelectorAll('input:checked')].map((box) => /** @type {HTMLInputElement} */ (box).value));
  if (!chosen.size) throw new Error('Choose at least one backend.');
  const name = select.selectedOptions[0].textContent?.trim() ?? '';
  /** @type {Outcome[]} */
  const outcomes = [];
  /** @type {Known|null} */
  let known = null;
  for (const wish of wishes.filter(({ id }) => chosen.has(id))) {
    try {
      if (wish.peer && !known) throw new Error('Measure one backend of this runtime, too: it says what numbers to give the others.');
      const measured = await measureOn(address, wish, { signal, known, peers, say: (words) => badge.say(words, 'warn') });
      known ??= measured.known;
      outcomes.push(measured.outcome);
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      outcomes.push(failed(wish, thrown));
    }
    show(name, outcomes);
  }
}

/** @param {string} name @param {Outcome[]} outcomes */
function show(name, outcomes) {
  shown = { about: aboutOf(name, outcomes), outcomes };
  drawFacts(byId('lab-what', HTMLElement), factsOf(shown.about));
  drawTable(byId('lab-table', HTMLElement), outcomes);
  drawFirst(byId('lab-first', HTMLElement), outcomes);
  drawSteps(steps, outcomes, sort.checked);
  const notes = outcomes.filter(({ note }) => note).map(({ wish, note }) => `${wish.words}: ${note}.`);
  byId('lab-notes', HTMLElement).textContent = [
    'Measured on this page’s own thread, one backend after the other, each from a fresh load; runs include handing the input over and reading the result back.',
    'Difference: the worst element against the first backend, as a share of the output’s range.',
    ...(outcomes.some(({ wish }) => wish.peer) ? ['ORT Web: ONNX Runtime Web from this site, on one thread, with the same model as ONNX.'] : []), ...notes,
  ].join(' ');
  results.hidden = false;
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  if (running) {
    running.abort();
    return;
  }
  running = new AbortController();
  problem.hidden = true;
  start.textContent = 'Stop';
  try {
    await measureAll(running.signal);
    badge.say('Done', 'ok');
  } catch (thrown) {
    if (!running.signal.aborted) tell(thrown);
    badge.say(running.signal.aborted ? 'Stopped' : 'Not measured', running.signal.aborted ? 'idle' : 'bad');
  } finally {
    running = null;
    start.textContent = 'Measure';
  }
});

files.addEventListener('change', () => take([...(files.files ?? [])]));
document.addEventListener('dragover', (event) => {
  event.preventDefault();
  lab.dataset.over = '';
});
document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) delete lab.dataset.over; });
document.addEventListener('drop', async (event) => {
  event.preventDefault();
  delete lab.dataset.over;
  if (event.dataTransfer) take(await filesOf(event.dataTransfer));
});
sort.addEventListener('change', () => { if (shown) drawSteps(steps, shown.outcomes, sort.checked); });

/** @param {HTMLButtonElement} button @param {(about: ReturnType<typeof aboutOf>, outcomes: Outcome[]) => string} text */
function copies(button, text) {
  const words = button.textContent ?? '';
  button.addEventListener('click', async () => {
    if (!shown) return;
    try {
      await navigator.clipboard.writeText(text(shown.about, shown.outcomes));
      button.textContent = 'Copied';
      setTimeout(() => { button.textContent = words; }, 1500);
    } catch (thrown) {
      tell(thrown);
    }
  });
}
copies(byId('lab-copy-table', HTMLButtonElement), asTable);
copies(byId('lab-copy-json', HTMLButtonElement), asJson);
