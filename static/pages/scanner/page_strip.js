// The strip of small pages: choose one, drag it to another place, or move it with Alt and the arrow keys.

/** @typedef {import('./pages_store.js').PagesStore} PagesStore */
/** @typedef {import('./pages_store.js').Page} Page */
/** @typedef {{onSelect: (id: string) => void, onMoved: (id: string) => void, onDelete: (id: string) => void}} StripEvents */

export class PageStrip {
  /** @type {Map<string, HTMLLIElement>} */
  #items = new Map();
  /** @type {string | null} the page being dragged */
  #dragged = null;

  /** @param {HTMLOListElement} list @param {PagesStore} store @param {StripEvents} events */
  constructor(list, store, events) {
    this.list = list;
    this.store = store;
    this.events = events;
    list.addEventListener('dragover', (event) => this.#dragOver(event));
    list.addEventListener('drop', (event) => {
      if (this.#dragged) event.preventDefault();
    });
  }

  /** @param {string | null} current */
  show(current) {
    const { pages } = this.store;
    for (const [id, item] of this.#items) {
      if (this.store.get(id)) continue;
      item.remove();
      this.#items.delete(id);
    }
    pages.forEach((page, i) => {
      const item = this.#items.get(page.id) ?? this.#make(page);
      this.#update(item, page, i, page.id === current);
      if (this.list.children[i] !== item) this.#place(item, i);
    });
  }

  /** Moves an item without losing the focus inside it. @param {HTMLLIElement} item @param {number} index */
  #place(item, index) {
    const focused = item.contains(document.activeElement) ? document.activeElement : null;
    this.list.insertBefore(item, this.list.children[index] ?? null);
    if (focused instanceof HTMLElement) focused.focus();
  }

  /** @param {Page} page @returns {HTMLLIElement} */
  #make(page) {
    const item = document.createElement('li');
    item.draggable = true;
    const choose = document.createElement('button');
    choose.type = 'button';
    choose.className = 'thumb';
    choose.append(Object.assign(document.createElement('img'), { alt: '', draggable: false }), document.createElement('span'));
    item.append(choose);
    choose.addEventListener('click', () => this.events.onSelect(page.id));
    choose.addEventListener('keydown', (event) => this.#key(event, page.id));
    item.addEventListener('dragstart', (event) => {
      this.#dragged = page.id;
      event.dataTransfer?.setData('text/plain', '');
    });
    item.addEventListener('dragend', () => {
      if (this.#dragged) this.events.onMoved(this.#dragged);
      this.#dragged = null;
    });
    this.#items.set(page.id, item);
    return item;
  }

  /** @param {HTMLLIElement} item @param {Page} page @param {number} index @param {boolean} isCurrent */
  #update(item, page, index, isCurrent) {
    const choose = /** @type {HTMLButtonElement} */ (item.firstElementChild);
    const [picture, label] = /** @type {[HTMLImageElement, HTMLElement]} */ ([...choose.children]);
    choose.setAttribute('aria-current', isCurrent ? 'page' : 'false');
    choose.setAttribute('aria-label', `Page ${index + 1}${page.detected ? '' : ', no page was found in the photo'}`);
    choose.title = 'Alt + arrow keys move the page';
    choose.dataset.state = page.state;
    label.textContent = String(index + 1);
    label.dataset.unsure = String(page.detected === null);
    if (page.finished && picture.getAttribute('src') !== page.finished.url) picture.src = page.finished.url;
    if (isCurrent && item.dataset.current !== 'true') item.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    item.dataset.current = String(isCurrent);
  }

  /** @param {KeyboardEvent} event @param {string} id */
  #key(event, id) {
    const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (event.key === 'Delete') {
      this.events.onDelete(id);
    } else if (by && event.altKey) {
      event.preventDefault();
      this.store.move(id, this.store.indexOf(id) + by);
      this.events.onMoved(id);
    } else if (by) {
      event.preventDefault();
      const next = this.store.pages[this.store.indexOf(id) + by];
      const target = next && this.#items.get(next.id)?.firstElementChild;
      if (next && target instanceof HTMLElement) {
        target.focus();
        this.events.onSelect(next.id);
      }
    }
  }

  /** @param {DragEvent} event */
  #dragOver(event) {
    if (!this.#dragged) return;
    event.preventDefault();
    const over = event.target instanceof Element ? event.target.closest('li') : null;
    const index = over ? [...this.list.children].indexOf(over) : -1;
    if (index >= 0) this.store.move(this.#dragged, index);
  }
}
