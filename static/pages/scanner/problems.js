// Everything that can go wrong on this page, in the words that the person reads: what happened and what to do.

/** @typedef {{title: string, text: string}} Words */

export const CAMERA_PROBLEMS = Object.freeze({
  insecure: {
    title: 'The camera needs a secure address',
    text: 'Browsers allow the camera only on https:// pages or on localhost. Photos that you choose or take work here too.',
  },
  unsupported: {
    title: 'This browser offers no camera to pages',
    text: 'Choose photos instead, or open this page in a current version of Chrome, Edge, Firefox or Safari.',
  },
  refused: {
    title: 'The camera is blocked for this page',
    text: 'Allow it with the camera icon in the address bar or in the site settings, then try again. Photos work without it.',
  },
  missing: {
    title: 'No camera found',
    text: 'Plug one in and try again, or choose photos from this device.',
  },
  busy: {
    title: 'The camera is in use',
    text: 'Another app or tab seems to hold it. Close that one, then try again.',
  },
  lost: {
    title: 'The camera stopped',
    text: 'It was unplugged or another app took it. Connect it and try again; your pages are still here.',
  },
  away: {
    title: 'The camera was switched off while you were away',
    text: 'Start it again when you are ready; your pages are still here.',
  },
});

export const FINDER_PROBLEMS = Object.freeze({
  no_simd: {
    title: 'Pages cannot be found automatically here',
    text: 'That needs WebAssembly SIMD: Chrome or Edge 91, Firefox 89, Safari 16.4, or newer. Camera and photos work; you '
      + 'set the corners by hand, and there is no automatic shutter.',
  },
  server: {
    title: 'The server cannot find pages now',
    text: 'Try again later. Photos work meanwhile, and you set the corners by hand.',
  },
  download: {
    title: 'The page finder could not be downloaded',
    text: 'You may be offline. Photos work meanwhile, and you set the corners by hand.',
  },
  lost: {
    title: 'The page finder stopped twice',
    text: 'The device may be short of memory: closing other tabs helps. Meanwhile you set the corners by hand.',
  },
  broken: {
    title: 'The page finder does not work here',
    text: 'Photos work, and you set the corners by hand.',
  },
});

/** @typedef {keyof typeof CAMERA_PROBLEMS} CameraProblemCode */
/** @typedef {keyof typeof FINDER_PROBLEMS} FinderProblemCode */

export class CameraProblem extends Error {
  /** @param {CameraProblemCode} code @param {unknown} [cause] */
  constructor(code, cause) {
    super(CAMERA_PROBLEMS[code].title, { cause });
    this.name = 'CameraProblem';
    this.code = code;
  }
}

/** A photo that cannot become a page; the message is a sentence for the person. */
export class PhotoProblem extends Error {
  /** @param {'empty' | 'not_picture' | 'heic' | 'too_large' | 'damaged'} code @param {string} message @param {unknown} [cause] */
  constructor(code, message, cause) {
    super(message, { cause });
    this.name = 'PhotoProblem';
    this.code = code;
  }
}

/** @type {Record<string, CameraProblemCode>} names of getUserMedia's errors (W3C Media Capture and Streams) */
const BY_NAME = {
  NotAllowedError: 'refused', SecurityError: 'refused', PermissionDeniedError: 'refused',
  NotFoundError: 'missing', DevicesNotFoundError: 'missing', OverconstrainedError: 'missing',
  NotReadableError: 'busy', TrackStartError: 'busy', AbortError: 'busy',
  TypeError: 'unsupported', NotSupportedError: 'unsupported',
};

/** @param {unknown} thrown by getUserMedia @returns {CameraProblem} */
export function cameraProblem(thrown) {
  if (thrown instanceof CameraProblem) return thrown;
  const name = thrown instanceof Error || thrown instanceof DOMException ? thrown.name : '';
  return new CameraProblem(BY_NAME[name] ?? 'busy', thrown);
}

/** @param {unknown} thrown by the page finder @returns {FinderProblemCode} */
export function finderProblem(thrown) {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : '';
  if (code === 'no_backend') return 'no_simd';
  if (code === 'network' || code === 'not_found' || code === 'damaged') return 'download';
  if (code === 'server_failed') return 'server';
  if (code === 'worker_lost' || code === 'out_of_memory' || code === 'device_lost') return 'lost';
  // A module that cannot be fetched rejects import() with a TypeError that has no code.
  return thrown instanceof TypeError && /fetch|import|load/i.test(thrown.message) ? 'download' : 'broken';
}
