// The pages of this visit, in order. They live in memory only: a reload forgets them.

/** @typedef {import('./quad.js').Quad} Quad */
/** @typedef {import('./quad.js').Size} Size */
/** @typedef {'colour' | 'grey' | 'black-white'} Mode */
/** @typedef {0 | 90 | 180 | 270} Turn clockwise degrees */
/**
 * @typedef {object} Look what decides how a page comes out
 * @property {Quad} corners in pixels of the source picture
 * @property {Mode} mode
 * @property {Turn} turn
 */
/**
 * @typedef {object} Page
 * @property {string} id
 * @property {Blob} source the photo as it was taken or chosen
 * @property {Size} size of the photo, upright
 * @property {Quad | null} detected corners that the page finder found, null when it found none
 * @property {Look} look
 * @property {number} revision grows with every change of the look
 * @property {'waiting' | 'ready' | 'failed'} state of the finished picture
 * @property {Finished | null} finished the latest finished picture, perhaps of an earlier look
 * @property {string} problem why the picture could not be made, when the state is failed
 */
/**
 * @typedef {object} Finished
 * @property {number} revision of the look it shows
 * @property {number} width
 * @property {number} height
 * @property {Blob} blob JPEG, or PNG when black and white
 * @property {Uint8Array<ArrayBuffer> | null} bits black and white: one bit a pixel, rows padded to bytes, zlib-compressed
 * @property {string} url of the blob, revoked by the store
 */

/** @param {number} turn @returns {Turn} */
export function normalTurn(turn) {
  return /** @type {Turn} */ (((turn % 360) + 360) % 360);
}

export class PagesStore extends EventTarget {
  /** @param {{makeUrl: (blob: Blob) => string, dropUrl: (url: string) => void}} [urls] */
  constructor(urls = { makeUrl: (blob) => URL.createObjectURL(blob), dropUrl: (url) => URL.revokeObjectURL(url) }) {
    super();
    this.urls = urls;
    /** @type {Page[]} */
    this.pages = [];
    this.next = 1;
    this.unsaved = false;
  }

  get length() {
    return this.pages.length;
  }

  /** @param {string | null} id @returns {Page | null} */
  get(id) {
    return this.pages.find((page) => page.id === id) ?? null;
  }

  /** @param {string} id @returns {number} */
  indexOf(id) {
    return this.pages.findIndex((page) => page.id === id);
  }

  /**
   * @param {{source: Blob, size: Size, detected: Quad | null, look: Look}} photo
   * @returns {Page} the new last page
   */
  add({ source, size, detected, look }) {
    /** @type {Page} */
    const page = {
      id: `page-${this.next++}`, source, size, detected, look, revision: 1, state: 'waiting', finished: null, problem: '',
    };
    this.pages.push(page);
    this.#changed('add', page.id);
    return page;
  }

  /**
   * Changes how a page comes out.
   * @param {string} id
   * @param {Partial<Look>} change
   */
  restyle(id, change) {
    const page = this.get(id);
    if (!page) return;
    page.look = { ...page.look, ...change };
    page.revision += 1;
    page.state = 'waiting';
    this.#changed('restyle', id);
  }

  /**
   * Takes the finished picture, unless the page is gone or its look has moved on.
   * @param {string} id
   * @param {Omit<Finished, 'url'>} finished
   */
  finish(id, finished) {
    const page = this.get(id);
    if (!page || finished.revision !== page.revision) return;
    if (page.finished) this.urls.dropUrl(page.finished.url);
    page.finished = { ...finished, url: this.urls.makeUrl(finished.blob) };
    page.state = 'ready';
    this.#changed('finish', id);
  }

  /**
   * @param {string} id
   * @param {number} revision of the look that could not be made
   * @param {string} problem
   */
  fail(id, revision, problem) {
    const page = this.get(id);
    if (!page || revision !== page.revision) return;
    page.state = 'failed';
    page.problem = problem;
    this.#changed('fail', id);
  }

  /** Asks for a failed page once more. @param {string} id */
  retry(id) {
    this.restyle(id, {});
  }

  /**
   * @param {string} id
   * @returns {{page: Page, index: number} | null} what `restore` needs to undo it
   */
  remove(id) {
    const index = this.indexOf(id);
    if (index < 0) return null;
    const [page] = this.pages.splice(index, 1);
    this.#changed('remove', id);
    return { page, index };
  }

  /** @param {{page: Page, index: number}} removed */
  restore({ page, index }) {
    this.pages.splice(Math.min(index, this.pages.length), 0, page);
    this.#changed('restore', page.id);
  }

  /** Forgets a removed page for good. @param {Page} page */
  discard(page) {
    if (page.finished && this.indexOf(page.id) < 0) this.urls.dropUrl(page.finished.url);
  }

  /**
   * @param {string} id
   * @param {number} index where it goes, counted after it was taken out
   */
  move(id, index) {
    const from = this.indexOf(id);
    const to = Math.max(0, Math.min(index, this.pages.length - 1));
    if (from < 0 || to === from) return;
    const [page] = this.pages.splice(from, 1);
    this.pages.splice(to, 0, page);
    this.#changed('move', id);
  }

  /** Every page's picture is the one its look asks for. */
  get allReady() {
    return this.pages.length > 0 && this.pages.every((page) => page.state === 'ready');
  }

  /** The person has saved the pages as they are now. */
  markSaved() {
    this.unsaved = false;
    this.dispatchEvent(new CustomEvent('change', { detail: { kind: 'saved', id: '' } }));
  }

  /** @param {string} kind @param {string} id */
  #changed(kind, id) {
    if (kind !== 'finish' && kind !== 'fail') this.unsaved = this.pages.length > 0;
    this.dispatchEvent(new CustomEvent('change', { detail: { kind, id } }));
  }
}
