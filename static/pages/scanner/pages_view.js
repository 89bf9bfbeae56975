// The finished pages: one large, all in a strip, and what can be done with the one that is shown.

import { button, part, setText } from './dom.js';
import { PageStrip } from './page_strip.js';
import { normalTurn } from './pages_store.js';

/** @typedef {import('./pages_store.js').PagesStore} PagesStore */
/** @typedef {import('./pages_store.js').Page} Page */
/** @typedef {import('./pages_store.js').Mode} Mode */
/**
 * @typedef {object} PagesEvents
 * @property {(page: Page) => void} onCorners
 * @property {(mode: Mode) => void} onMode the person's latest choice, for pages to come
 * @property {(removed: {page: Page, index: number}) => void} onDeleted
 */

export class PagesView {
  /** @type {string | null} */
  #current = null;

  /** @param {HTMLElement} root @param {PagesStore} store @param {PagesEvents} events */
  constructor(root, store, events) {
    this.store = store;
    this.events = events;
    this.title = part(root, 'pages-title', HTMLElement);
    this.sheet = part(root, 'sheet', HTMLImageElement);
    this.working = part(root, 'working', HTMLElement);
    this.problem = part(root, 'page-problem', HTMLElement);
    this.problemText = part(root, 'page-problem-text', HTMLElement);
    this.spoken = part(root, 'pages-spoken', HTMLElement);
    this.modes = [...root.querySelectorAll('input[name="mode"]')].filter((input) => input instanceof HTMLInputElement);
    this.earlier = button(root, 'earlier');
    this.later = button(root, 'later');
    this.strip = new PageStrip(part(root, 'strip', HTMLOListElement), store, {
      onSelect: (id) => this.select(id),
      onMoved: (id) => this.#sayPlace(id),
      onDelete: (id) => this.#delete(id),
    });
    this.#bind(root);
    store.addEventListener('change', () => this.show());
  }

  /** @param {HTMLElement} root */
  #bind(root) {
    this.modes.forEach((input) => input.addEventListener('change', () => {
      const mode = /** @type {Mode} */ (input.value);
      if (this.#current) this.store.restyle(this.#current, { mode });
      this.events.onMode(mode);
    }));
    button(root, 'turn-left').addEventListener('click', () => this.#turn(-90));
    button(root, 'turn-right').addEventListener('click', () => this.#turn(90));
    button(root, 'edit-corners').addEventListener('click', () => this.current && this.events.onCorners(this.current));
    button(root, 'delete').addEventListener('click', () => this.#current && this.#delete(this.#current));
    button(root, 'page-retry').addEventListener('click', () => this.#current && this.store.retry(this.#current));
    this.earlier.addEventListener('click', () => this.#shift(-1));
    this.later.addEventListener('click', () => this.#shift(1));
  }

  /** @returns {Page | null} */
  get current() {
    return this.store.get(this.#current);
  }

  /** @param {string} id */
  select(id) {
    this.#current = id;
    this.show();
  }

  /** @param {number} degrees */
  #turn(degrees) {
    const page = this.current;
    if (page) this.store.restyle(page.id, { turn: normalTurn(page.look.turn + degrees) });
  }

  /** @param {number} by */
  #shift(by) {
    const page = this.current;
    if (!page) return;
    this.store.move(page.id, this.store.indexOf(page.id) + by);
    this.#sayPlace(page.id);
  }

  /** @param {string} id */
  #sayPlace(id) {
    setText(this.spoken, `Now page ${this.store.indexOf(id) + 1} of ${this.store.length}`);
  }

  /** @param {string} id */
  #delete(id) {
    const removed = this.store.remove(id);
    if (!removed) return;
    if (this.#current === id) {
      const next = this.store.pages[Math.min(removed.index, this.store.length - 1)];
      this.#current = next?.id ?? null;
      this.show();
    }
    this.events.onDeleted(removed);
  }

  show() {
    if (!this.current) this.#current = this.store.pages.at(-1)?.id ?? null;
    this.strip.show(this.#current);
    const page = this.current;
    if (!page) return;
    const index = this.store.indexOf(page.id);
    setText(this.title, `Page ${index + 1} of ${this.store.length}`);
    this.#showSheet(page, index);
    this.modes.forEach((input) => { input.checked = input.value === page.look.mode; });
    this.earlier.disabled = index === 0;
    this.later.disabled = index === this.store.length - 1;
  }

  /** @param {Page} page @param {number} index */
  #showSheet(page, index) {
    this.problem.hidden = page.state !== 'failed';
    setText(this.problemText, page.state === 'failed' ? page.problem : '');
    this.working.hidden = page.state !== 'waiting';
    this.sheet.hidden = !page.finished || page.state === 'failed';
    this.sheet.dataset.state = page.state;
    if (page.finished && this.sheet.getAttribute('src') !== page.finished.url) {
      this.sheet.src = page.finished.url;
      this.sheet.width = page.finished.width;
      this.sheet.height = page.finished.height;
    }
    this.sheet.alt = `Page ${index + 1}, straightened`;
  }
}
