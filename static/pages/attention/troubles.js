// What can go wrong here, in the words that the person reads.
import { InPageError } from '../../runtime/index.js';
import { CameraProblem } from '../scanner/problems.js';

/** @typedef {{title: string, text: string, server?: boolean}} Words server: it could help where this device cannot */

/** @type {Readonly<Record<import('../scanner/problems.js').CameraProblemCode, Words>>} */
const CAMERA = Object.freeze({
  insecure: { title: 'The camera needs a secure address', text: 'Browsers allow it only on https:// pages or on localhost.' },
  unsupported: { title: 'This browser offers no camera to pages', text: 'Open this page in a current Chrome, Edge, Firefox or Safari.' },
  refused: { title: 'The camera is blocked for this page', text: 'Nothing was looked at. To use this page, allow the camera with its icon in the address bar or in the site settings, then start again.' },
  missing: { title: 'No camera found', text: 'Plug one in and start again.' },
  busy: { title: 'The camera is in use', text: 'Another app or tab seems to hold it. Close that one, then start again.' },
  lost: { title: 'The camera stopped', text: 'It was unplugged, or another app took it. The session has ended; what it counted, if anything, is below.' },
  away: { title: 'The camera was switched off', text: 'Start it again when you are ready.' },
});

const LOST = Object.freeze({
  title: 'Looking at the pictures broke off', server: true,
  text: 'The browser ended the part of this page that does it; the device may be short of memory. Close other tabs or apps and start again.',
});

/** @type {Readonly<Record<string, Words>>} */
const MODELS = Object.freeze({
  no_backend: {
    title: 'This device cannot look for faces itself', server: true,
    text: 'That needs WebAssembly with SIMD: Chrome or Edge 91, Firefox 89, Safari 16.4, or newer. A newer browser on this device may do.',
  },
  network: { title: 'The page could not be loaded in full', text: 'You may be offline, or the site is away. Connect and start again.' },
  not_found: { title: 'The page has changed meanwhile', text: 'It belongs to an earlier version of this site. Reload it and start again.' },
  damaged: { title: 'The page could not be loaded in full', text: 'A file arrived damaged. Start again; reload the page when that does not help.' },
  out_of_memory: LOST,
  worker_lost: LOST,
  server_busy: { title: 'The server has too much to do', text: 'Nothing more is sent to it. Try again later.' },
  server_failed: { title: 'The server cannot look for you', text: 'Nothing is sent to it. It may not run the models of this page, or may not be asked by you; who runs this site can tell.' },
});

/** Consent was not given: what follows from it. @type {Words} */
export const REFUSED = Object.freeze({
  title: 'Nothing was sent',
  text: 'You said no, and that is fine. Then this device cannot show who faces the screen: there is no live view, no timeline and no summary here. '
    + 'A newer browser or another device can look by itself, without sending anything.',
});

/** @param {number} fps @returns {string} */
export const slowWords = (fps) => `This device is slow at this: ${fps.toFixed(1)} pictures a second. Words come late, and what is short may be missed. `
  + 'It helps to close other tabs, and to let it work harder under Options.';

/** @param {unknown} error @param {boolean} onServer whether the server was looking @returns {Words} */
export function wordsFor(error, onServer) {
  if (error instanceof CameraProblem) return CAMERA[error.code];
  if (error instanceof InPageError && onServer && error.code === 'network') {
    return { title: 'The server does not answer', text: 'Nothing more is sent to it. Check the connection, then start again; you will be asked again.' };
  }
  if (error instanceof InPageError && MODELS[error.code]) return { ...MODELS[error.code], server: MODELS[error.code].server && !onServer };
  return { title: 'This page stopped working', text: `Reload it and start again. ${error instanceof Error ? error.message : String(error)}` };
}
