// Outcomes as a table and as bars; lengths are set on elements, the rest is in the style sheet.
import { formatMs } from '../badge.js';
import { COLUMNS } from './report.js';

/** @typedef {import('./runs.js').Outcome} Outcome */
/** @typedef {{name: string, kind: string, ms: (number|null)[]}} Row a step on every backend that told it */

/** @param {string} name @param {string} [text] @param {string} [className] @returns {HTMLElement} */
function make(name, text = '', className = '') {
  const element = document.createElement(name);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

/** @param {HTMLElement} list @param {[string, string][]} facts */
export function drawFacts(list, facts) {
  list.replaceChildren(...facts.map(([name, value]) => {
    const box = make('div');
    box.append(make('dt', name), make('dd', value));
    return box;
  }));
}

/** @param {HTMLElement} table @param {Outcome[]} outcomes */
export function drawTable(table, outcomes) {
  const head = make('tr'), body = make('tbody'), sound = outcomes.filter(({ problem }) => !problem);
  head.append(...['Backend', ...COLUMNS.map(([title]) => title)].map((title) => {
    const cell = make('th', title);
    cell.setAttribute('scope', 'col');
    return cell;
  }));
  body.append(...outcomes.map((outcome) => {
    const row = make('tr'), first = make('th', outcome.wish.words);
    first.setAttribute('scope', 'row');
    row.append(first);
    if (outcome.problem) {
      const cell = /** @type {HTMLTableCellElement} */ (make('td', outcome.problem, 'wrong'));
      cell.colSpan = COLUMNS.length;
      row.append(cell);
      return row;
    }
    row.append(...COLUMNS.map(([, words, low]) => {
      const cell = make('td', words(outcome));
      if (low && sound.length > 1 && sound.every((other) => low(other) >= low(outcome))) cell.dataset.best = '';
      return cell;
    }));
    return row;
  }));
  const top = make('thead');
  top.append(head);
  table.replaceChildren(top, body);
}

/** @param {HTMLElement} box @param {Outcome[]} outcomes */
export function drawFirst(box, outcomes) {
  const sound = outcomes.filter(({ problem }) => !problem), longest = Math.max(...sound.map(({ first_ms }) => first_ms));
  box.replaceChildren(...sound.map(({ wish, bundle_ms, ready_ms, first_ms }) => {
    const row = make('div', '', 'bar-row'), track = make('div', '', 'bar-track');
    const parts = /** @type {[string, number][]} */ ([['bundle', bundle_ms], ['prepare', ready_ms - bundle_ms], ['first run', first_ms - ready_ms]]);
    parts.forEach(([, ms], i) => {
      const part = make('span', '', `part-${i}`);
      part.style.width = `${100 * ms / longest}%`;
      track.append(part);
    });
    track.setAttribute('aria-hidden', 'true');
    const words = parts.map(([name, ms]) => `${name} ${formatMs(ms)}`).join(' + ');
    row.append(make('span', wish.words), track, make('span', `${formatMs(first_ms)} = ${words}`, 'bar-words'));
    return row;
  }));
}

/**
 * Steps of all backends side by side: the same operators share a row.
 * @param {Outcome[]} outcomes those with steps @returns {Row[]}
 */
export function rowsOf(outcomes) {
  /** @type {Map<string, Row>} */
  const rows = new Map();
  outcomes.forEach(({ steps }, column) => {
    /** @type {Map<string, number>} */
    const met = new Map();
    for (const { where, kind, ms } of steps) {
      const nth = (met.get(`${kind} ${where}`) ?? 0) + 1, key = `${kind} ${where} ${nth}`;
      met.set(`${kind} ${where}`, nth);
      const row = rows.get(key) ?? { name: where, kind, ms: outcomes.map(() => null) };
      row.ms[column] = ms;
      rows.set(key, row);
    }
  });
  return [...rows.values()];
}

/** @param {Row} row */
const slowest = ({ ms }) => Math.max(...ms.map((n) => n ?? 0));

/**
 * @param {{legend: HTMLElement, list: HTMLElement, note: HTMLElement}} places @param {Outcome[]} outcomes
 * @param {boolean} sorted the slowest first
 */
export function drawSteps({ legend, list, note }, outcomes, sorted) {
  const timed = outcomes.filter(({ steps }) => steps.length), rows = rowsOf(timed), longest = Math.max(...rows.map(slowest), 1e-6);
  const silent = outcomes.filter(({ problem, steps }) => !problem && !steps.length).map(({ wish }) => wish.words);
  const sums = timed.map(({ wish, steps }) => `${wish.words}: ${steps.length} steps, ${formatMs(steps.reduce((sum, { ms }) => sum + ms, 0))} of computing`);
  if (silent.length) sums.push(`${silent.join(' and ')} ${silent.length > 1 ? 'run' : 'runs'} as one call and ${silent.length > 1 ? 'have' : 'has'} no clock for steps`);
  note.textContent = `${sums.join(' · ')}.`;
  legend.replaceChildren(...timed.map(({ wish }, i) => make('li', wish.words, `tone-${i}`)));
  if (sorted) rows.sort((p, q) => slowest(q) - slowest(p));
  list.replaceChildren(...rows.map(({ name, kind, ms }) => {
    const row = make('li', '', 'step'), title = make('div', name, 'step-name'), bars = make('div', '', 'step-bars');
    title.title = name;
    title.append(make('small', kind));
    ms.forEach((value, i) => {
      if (value === null) return;
      const bar = make('div', `${value < 0.1 ? value.toFixed(3) : value.toFixed(2)} ms`, `step-bar tone-${i}`);
      bar.style.setProperty('--share', String(value / longest));
      bars.append(bar);
    });
    row.append(title, bars);
    return row;
  }));
}
