// The home page: says what this device can do for a model.

import { capabilities } from '../runtime/choose.js';
import { createBadge } from './badge.js';

const SVG = 'http://www.w3.org/2000/svg';
const MARKS = { yes: 'M5 12.5l4.5 4.5L19 7.5', no: 'M7 12h10' };

/** @typedef {Awaited<ReturnType<typeof capabilities>>} Capabilities */
/** @typedef {{name: string, has: boolean, note: string}} Feature */

/**
 * What to tell a person about each capability.
 * @param {Capabilities} device
 * @returns {Feature[]}
 */
function features(device) {
  const size = [
    device.cores ? `${device.cores} processor core${device.cores === 1 ? '' : 's'}` : '',
    device.memoryGB ? `${device.memoryGB} GB of memory or more` : '',
  ].filter(Boolean).join(', ');
  return [
    { name: 'WebAssembly SIMD', has: device.wasm && device.simd, note: device.simd ? 'Models run here' : 'Needed to run models' },
    { name: 'Threads', has: device.threads, note: size || 'Number of cores not told' },
    { name: 'WebGL 2', has: device.webgl2, note: device.webgl2 ? 'Graphics chip reachable' : 'Graphics chip not reachable' },
    { name: 'WebGPU', has: device.webgpu, note: device.webgpu ? 'Compute on the graphics chip' : 'Not offered by this browser' },
  ];
}

/** @param {Feature} feature @returns {HTMLLIElement} */
function featureItem({ name, has, note }) {
  const item = document.createElement('li');
  item.dataset.state = has ? 'yes' : 'no';
  const mark = document.createElementNS(SVG, 'svg');
  mark.setAttribute('viewBox', '0 0 24 24');
  mark.setAttribute('class', 'feature-mark');
  mark.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', has ? MARKS.yes : MARKS.no);
  mark.append(path);
  const words = document.createElement('div');
  const title = document.createElement('div');
  title.className = 'feature-name';
  title.textContent = name;
  const state = document.createElement('span');
  state.className = 'visually-hidden';
  state.textContent = has ? ': available' : ': not available';
  title.append(state);
  const detail = document.createElement('div');
  detail.className = 'feature-note';
  detail.textContent = note;
  words.append(title, detail);
  item.append(mark, words);
  return item;
}

/** @param {string} id @returns {HTMLElement} */
function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`home.html has no element #${id}`);
  return element;
}

async function showDevice() {
  const badge = createBadge(byId('device-badge'));
  const summary = byId('device-summary');
  try {
    const device = await capabilities();
    byId('device-features').replaceChildren(...features(device).map(featureItem));
    if (device.wasm && device.simd) {
      badge.say('Ready to run models', 'ok');
      summary.textContent = 'Models run in this page, on this device. Nothing is sent anywhere.';
    } else {
      badge.say('Cannot run models', 'bad');
      summary.textContent = 'This browser lacks WebAssembly SIMD, which the models need. A current Chrome, Edge, Firefox or Safari has it.';
    }
  } catch (error) {
    console.error(error);
    badge.say('Could not check', 'warn');
    summary.textContent = 'This browser could not be checked. Reload the page to try again.';
  }
}

showDevice();
