// The few things every view does with the document: find its parts, speak to screen readers, show a passing message.

/**
 * The element marked data-part="name".
 * @template {Element} T
 * @param {ParentNode} root
 * @param {string} name
 * @param {abstract new (...args: any[]) => T} type
 * @returns {T}
 */
export function part(root, name, type) {
  const found = root.querySelector(`[data-part="${name}"]`);
  if (!(found instanceof type)) throw new Error(`The page has no ${type.name} called "${name}"`);
  return found;
}

/** @param {ParentNode} root @param {string} name */
export const button = (root, name) => part(root, name, HTMLButtonElement);

/** Writes text only when it differs, so that live regions are not read twice. @param {Element} element @param {string} text */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Messages that come and go, with at most one action; each is read out too.
 */
export class Toasts {
  /** @type {any} */
  #timer = 0;
  /** @type {() => void} */
  #after = () => {};

  /** @param {ParentNode} root */
  constructor(root) {
    this.box = part(root, 'toast', HTMLElement);
    this.text = part(root, 'toast-text', HTMLElement);
    this.action = button(root, 'toast-action');
    this.action.addEventListener('click', () => this.#act());
    this.onAction = () => {};
  }

  /**
   * @param {string} text
   * @param {{action?: string, onAction?: () => void, after?: () => void, ms?: number}} [options] after: called when the
   *   message goes without its action
   */
  show(text, { action = '', onAction = () => {}, after = () => {}, ms = 6000 } = {}) {
    this.hide();
    this.onAction = onAction;
    this.#after = after;
    this.action.textContent = action;
    this.action.hidden = !action;
    this.box.hidden = false;
    this.text.textContent = text;
    if (Number.isFinite(ms)) this.#timer = setTimeout(() => this.hide(), ms);
  }

  hide() {
    clearTimeout(this.#timer);
    this.box.hidden = true;
    this.text.textContent = '';
    const after = this.#after;
    this.#after = () => {};
    after();
  }

  #act() {
    this.#after = () => {};
    this.hide();
    this.onAction();
  }
}
