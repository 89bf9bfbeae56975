// Keeps every page's finished picture up to its look: one job at a time, the page in view first.

/** @typedef {import('./pages_store.js').PagesStore} PagesStore */
/** @typedef {import('./pages_store.js').Page} Page */
/** @typedef {Pick<import('./vision_client.js').VisionClient, 'makePage'>} Maker */

export class Renderer {
  #busy = false;

  /**
   * @param {PagesStore} store
   * @param {Maker} maker
   * @param {() => Page | null} inView
   */
  constructor(store, maker, inView) {
    this.store = store;
    this.maker = maker;
    this.inView = inView;
    store.addEventListener('change', () => this.#next());
  }

  /** @returns {Page | null} */
  #choose() {
    const current = this.inView();
    if (current?.state === 'waiting') return current;
    return this.store.pages.find((page) => page.state === 'waiting') ?? null;
  }

  async #next() {
    if (this.#busy) return;
    const page = this.#choose();
    if (!page) return;
    this.#busy = true;
    const { id, revision, source, look } = page;
    try {
      const picture = await this.maker.makePage({ id, source, look });
      this.#busy = false;
      this.store.finish(id, { ...picture, revision });
    } catch (error) {
      console.error(`Page ${id} could not be made`, error);
      this.#busy = false;
      this.store.fail(id, revision, error instanceof Error ? error.message : String(error));
    }
    this.#next();
  }
}
