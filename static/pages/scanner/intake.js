// From a photo, taken or chosen, to a page in the store: read it, find the page in it, let the person set the corners.

import { openPhoto } from './photos.js';
import { PhotoProblem } from './problems.js';
import { rescale, wholePicture } from './quad.js';

/** @typedef {import('./quad.js').Quad} Quad */
/** @typedef {import('./quad.js').Size} Size */
/** @typedef {import('./photos.js').Photo} Photo */
/** @typedef {import('./pages_store.js').Page} Page */
/** @typedef {import('./camera_view.js').Shot} Shot */
/**
 * @typedef {object} Tools
 * @property {import('./finder.js').Finder} finder
 * @property {import('./pages_store.js').PagesStore} store
 * @property {import('./settings.js').Settings} settings
 * @property {import('./corner_editor.js').CornerEditor} editor
 * @property {() => void} showEditor
 * @property {(text: string) => void} busy what is being done, empty when nothing is
 */
/** @typedef {{added: Page[], problems: string[]}} Result */

/** Larger photos are reduced before a page is looked for: corners move by less than a pixel, memory does not double. */
const MOST_SEARCHED_PIXELS = 12e6;
/** Shapes of video and photo that differ by less than this show the same view. */
const SAME_SHAPE = 0.02;

/**
 * The page seen in the live video, placed in the still picture, when both show the same view.
 * @param {{corners: Quad, frame: Size} | null} seen
 * @param {Size} size of the still picture
 * @returns {Quad | null}
 */
export function seenInStill(seen, size) {
  if (!seen) return null;
  const change = (size.width / size.height) / (seen.frame.width / seen.frame.height);
  return Math.abs(change - 1) < SAME_SHAPE ? rescale(seen.corners, seen.frame, size) : null;
}

export class Intake {
  /** @type {Promise<unknown>} one batch at a time */
  #last = Promise.resolve();

  /** @param {Tools} tools */
  constructor(tools) {
    this.tools = tools;
  }

  /**
   * @param {Shot} shot
   * @returns {Promise<{page: Page | null, edited: boolean}>} page: null when the person wants to retake it
   * @throws {PhotoProblem}
   */
  async takeShot({ blob, seen }) {
    const photo = await openPhoto(blob);
    try {
      const detected = await this.#find(photo) ?? seenInStill(seen, photo.size);
      const edited = this.tools.settings.get('check') || detected === null;
      const corners = edited ? await this.#edit(photo, detected, 'Retake') : detected;
      return { page: corners && this.#add(photo, detected, corners), edited };
    } finally {
      photo.bitmap.close();
    }
  }

  /**
   * Several photos become pages at once; a single one goes through the corner editor.
   * @param {readonly Blob[]} files
   * @returns {Promise<Result>}
   */
  takeFiles(files) {
    const result = this.#last.then(() => this.#takeFiles(files));
    this.#last = result.catch(() => {});   // the caller hears of it; the next batch must not
    return result;
  }

  /** @param {readonly Blob[]} files @returns {Promise<Result>} */
  async #takeFiles(files) {
    /** @type {Result} */
    const result = { added: [], problems: [] };
    for (const [i, file] of files.entries()) {
      this.tools.busy(files.length > 1 ? `Reading photo ${i + 1} of ${files.length}…` : 'Reading the photo…');
      try {
        const page = await this.#takeFile(file, files.length === 1);
        if (page) result.added.push(page);
      } catch (error) {
        if (!(error instanceof PhotoProblem)) throw error;
        console.warn('A photo was refused', error);
        result.problems.push(error.message);
      } finally {
        this.tools.busy('');
      }
    }
    return result;
  }

  /** @param {Blob} file @param {boolean} edit @returns {Promise<Page | null>} */
  async #takeFile(file, edit) {
    const photo = await openPhoto(file);
    try {
      const detected = await this.#find(photo);
      this.tools.busy('');
      const corners = edit ? await this.#edit(photo, detected, 'Cancel') : detected ?? wholePicture(photo.size);
      return corners && this.#add(photo, detected, corners);
    } finally {
      photo.bitmap.close();
    }
  }

  /** Lets the person change the corners of a page that exists. @param {Page} page */
  async edit(page) {
    const photo = await openPhoto(page.source);
    try {
      this.tools.showEditor();
      const { bitmap, size } = photo;
      const corners = await this.tools.editor.edit({ bitmap, size, corners: page.look.corners, detected: page.detected, cancel: 'Cancel' });
      if (corners) this.tools.store.restyle(page.id, { corners });
    } finally {
      photo.bitmap.close();
    }
  }

  /** @param {Photo} photo @returns {Promise<Quad | null>} */
  async #find({ bitmap, size }) {
    const shrink = Math.sqrt(MOST_SEARCHED_PIXELS / (size.width * size.height));
    if (shrink >= 1) return (await this.tools.finder.find(bitmap))?.corners ?? null;
    const reduced = { width: Math.round(size.width * shrink), height: Math.round(size.height * shrink) };
    const small = await createImageBitmap(bitmap, { resizeWidth: reduced.width, resizeHeight: reduced.height, resizeQuality: 'medium' });
    try {
      const found = await this.tools.finder.find(small);
      return found && rescale(found.corners, reduced, size);
    } finally {
      small.close();
    }
  }

  /** @param {Photo} photo @param {Quad | null} detected @param {string} cancel @returns {Promise<Quad | null>} */
  #edit({ bitmap, size }, detected, cancel) {
    this.tools.showEditor();
    return this.tools.editor.edit({ bitmap, size, corners: detected ?? wholePicture(size), detected, cancel });
  }

  /** @param {Photo} photo @param {Quad | null} detected @param {Quad} corners @returns {Page} */
  #add({ source, size }, detected, corners) {
    return this.tools.store.add({ source, size, detected, look: { corners, mode: this.tools.settings.get('mode'), turn: 0 } });
  }
}
