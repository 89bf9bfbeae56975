// What can go wrong here, in the words that the person reads.
import { InPageError } from '../../runtime/index.js';
import { CameraProblem } from '../scanner/problems.js';

/** @typedef {{title: string, text: string}} Words */

/** @type {Readonly<Record<import('../scanner/problems.js').CameraProblemCode, Words>>} */
const CAMERA = Object.freeze({
  insecure: { title: 'The camera needs a secure address', text: 'Browsers allow it only on https:// pages or on localhost.' },
  unsupported: { title: 'This browser offers no camera to pages', text: 'Open this page in a current Chrome, Edge, Firefox or Safari.' },
  refused: { title: 'The camera is blocked for this page', text: 'Allow it with the camera icon in the address bar or in the site settings, then start again.' },
  missing: { title: 'No camera found', text: 'Plug one in and start again.' },
  busy: { title: 'The camera is in use', text: 'Another app or tab seems to hold it. Close that one, then start again.' },
  lost: { title: 'The camera stopped', text: 'It was unplugged or another app took it. This session has ended; its sums are below.' },
  away: { title: 'The camera was switched off', text: 'Start it again when you are ready.' },
});

/** @type {Readonly<Record<string, Words>>} */
const MODELS = Object.freeze({
  no_backend: {
    title: 'This device cannot look for faces itself',
    text: 'That needs WebAssembly with SIMD: Chrome or Edge 91, Firefox 89, Safari 16.4, or newer. This page sends no pictures to a server instead, so it cannot be used here.',
  },
  network: { title: 'The models could not be downloaded', text: 'You may be offline. Connect once; afterwards they are kept on this device.' },
  out_of_memory: { title: 'This device is short of memory', text: 'Close other tabs or apps and start again.' },
});

/** @param {unknown} error @returns {Words} */
export function wordsFor(error) {
  if (error instanceof CameraProblem) return CAMERA[error.code];
  if (error instanceof InPageError && MODELS[error.code]) return MODELS[error.code];
  return { title: 'The models stopped working', text: `Reload the page and start again. ${error instanceof Error ? error.message : String(error)}` };
}
