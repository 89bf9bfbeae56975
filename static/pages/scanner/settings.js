// What the scanner remembers between visits: a few switches, never a picture.

const KEY = 'inpage.scanner';

/** @typedef {import('./pages_store.js').Mode} Mode */
/** @typedef {import('./export_pdf.js').PaperSize} PaperSize */
/** @typedef {{auto: boolean, check: boolean, device: string, mode: Mode, paper: PaperSize}} Values */

/** @type {Values} */
const DEFAULTS = { auto: false, check: true, device: '', mode: 'colour', paper: 'fit' };

/** @type {{[K in keyof Values]: (value: unknown) => boolean}} */
const VALID = {
  auto: (value) => typeof value === 'boolean',
  check: (value) => typeof value === 'boolean',
  device: (value) => typeof value === 'string',
  mode: (value) => ['colour', 'grey', 'black-white'].includes(String(value)),
  paper: (value) => ['fit', 'a4', 'letter'].includes(String(value)),
};

/**
 * What of a stored text can be used; anything else falls back to its default.
 * @param {string | null} text
 * @returns {Values}
 */
export function parseSettings(text) {
  /** @type {Record<string, unknown>} */
  let stored = {};
  try {
    const parsed = JSON.parse(text ?? '{}');
    if (parsed && typeof parsed === 'object') stored = parsed;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    console.warn('Stored settings are damaged, defaults are used', error);
  }
  const usable = Object.entries(stored).filter(([key, value]) => key in VALID && VALID[/** @type {keyof Values} */ (key)](value));
  return { ...DEFAULTS, ...Object.fromEntries(usable) };
}

export class Settings {
  /** @param {Pick<Storage, 'getItem' | 'setItem'> | null} storage null when the browser keeps nothing for this page */
  constructor(storage) {
    this.storage = storage;
    this.values = parseSettings(storage?.getItem(KEY) ?? null);
  }

  /** @template {keyof Values} K @param {K} key @returns {Values[K]} */
  get(key) {
    return this.values[key];
  }

  /** @template {keyof Values} K @param {K} key @param {Values[K]} value */
  set(key, value) {
    this.values[key] = value;
    try {
      this.storage?.setItem(KEY, JSON.stringify(this.values));
    } catch (error) {
      console.warn('Settings last until the page is closed: the browser does not store them', error);
    }
  }
}

/** @returns {Storage | null} null when the person blocks storage for this page */
export function localStorageOrNull() {
  try {
    return window.localStorage;
  } catch (error) {
    console.warn('The browser blocks storage for this page', error);
    return null;
  }
}
