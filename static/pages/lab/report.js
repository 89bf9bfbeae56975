// What was measured, as words, rows and text to copy.
import { formatMs } from '../badge.js';

/** @typedef {import('./runs.js').Outcome} Outcome */
/** @typedef {{model: string, inputs: string, when: string, browser: string, gpu: string, cores: string}} About */

/** @param {number|null} n @returns {string} */
const megabytes = (n) => (n === null ? '–' : `${(n / 2 ** 20).toFixed(1)} MB`);

/** @param {number|null} share @returns {string} */
const deviation = (share) => (share === null ? 'reference' : share === 0 ? '0' : share.toExponential(1));

/** @type {[string, (outcome: Outcome) => string, ((outcome: Outcome) => number)?][]} title, words, and what is best when low */
export const COLUMNS = [
  ['Precision', ({ precision }) => precision],
  ['First result', ({ first_ms }) => formatMs(first_ms), ({ first_ms }) => first_ms],
  ['Median run', ({ median_ms }) => formatMs(median_ms), ({ median_ms }) => median_ms],
  ['90 % within', ({ p90_ms }) => formatMs(p90_ms)],
  ['Best', ({ best_ms }) => formatMs(best_ms)],
  ['Per frame, 8 at once', ({ flight_ms }) => formatMs(flight_ms), ({ flight_ms }) => flight_ms],
  ['Memory', ({ bytes }) => megabytes(bytes)],
  ['Difference', (outcome) => deviation(outcome.difference)],
];

/** The name that the graphics driver gives itself. @returns {string} */
function gpuName() {
  const gl = document.createElement('canvas').getContext('webgl2'), info = gl?.getExtension('WEBGL_debug_renderer_info');
  const name = gl ? String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER)) : 'none that WebGL knows';
  gl?.getExtension('WEBGL_lose_context')?.loseContext();
  return name;
}

/** @param {string} model @param {Outcome[]} outcomes @returns {About} */
export function aboutOf(model, outcomes) {
  const isolated = globalThis.crossOriginIsolated ? '' : ', not isolated';
  return {
    model, inputs: outcomes.find(({ problem }) => !problem)?.inputs ?? '', when: `${new Date().toISOString().slice(0, 19).replace('T', ' ')} UTC`,
    browser: navigator.userAgent, gpu: gpuName(), cores: `${navigator.hardwareConcurrency}${isolated}`,
  };
}

/** @param {About} about @returns {[string, string][]} */
export const factsOf = ({ model, inputs, when, browser, gpu, cores }) => [
  ['Model', model], ['Inputs', inputs], ['When', when], ['Cores', cores], ['Graphics', gpu], ['Browser', browser],
];

/** Lines of tab-separated cells, for a spreadsheet. @param {About} about @param {Outcome[]} outcomes @returns {string} */
export function asTable(about, outcomes) {
  const head = ['Backend', ...COLUMNS.map(([title]) => title)].join('\t');
  const rows = outcomes.map((outcome) => [outcome.wish.words, ...(outcome.problem ? [outcome.problem] : COLUMNS.map(([, words]) => words(outcome)))].join('\t'));
  return [...factsOf(about).map((pair) => pair.join('\t')), '', head, ...rows, ''].join('\n');
}

/** @param {About} about @param {Outcome[]} outcomes @returns {string} */
export function asJson(about, outcomes) {
  const rounded = (/** @type {string} */ key, /** @type {unknown} */ value) => (typeof value === 'number' && key.endsWith('ms') ? Number(value.toFixed(4)) : value);
  return JSON.stringify({ about, outcomes: outcomes.map(({ wish, ...rest }) => ({ runtime: wish.words, backend: wish.backend, asked: wish.precision, ...rest })) }, rounded, 2);
}
