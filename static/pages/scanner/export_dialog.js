// The save dialog: name, format, paper; then a download, the share sheet or the clipboard.

import { button, part } from './dom.js';
import { canCopy, canShare, defaultName, download, pdfOf, pngOf, readableSize, safeName, zipOf } from './save.js';

/** @typedef {import('./pages_store.js').PagesStore} PagesStore */
/** @typedef {import('./pages_store.js').Page} Page */
/** @typedef {import('./export_pdf.js').PaperSize} PaperSize */

export class ExportDialog {
  #working = false;

  /**
   * @param {HTMLElement} root
   * @param {PagesStore} store
   * @param {import('./save.js').PngMaker} maker
   * @param {import('./settings.js').Settings} settings
   * @param {{current: () => Page | null, onSaved: (text: string) => void}} page
   */
  constructor(root, store, maker, settings, page) {
    this.store = store;
    this.maker = maker;
    this.settings = settings;
    this.page = page;
    this.dialog = part(root, 'export-dialog', HTMLDialogElement);
    this.form = part(root, 'export-form', HTMLFormElement);
    this.name = part(root, 'export-name', HTMLInputElement);
    this.paper = part(root, 'export-paper', HTMLSelectElement);
    this.paperField = part(root, 'export-paper-field', HTMLElement);
    this.pdfNote = part(root, 'export-pdf-note', HTMLElement);
    this.pageNote = part(root, 'export-page-note', HTMLElement);
    this.zip = part(root, 'export-zip', HTMLElement);
    this.status = part(root, 'export-status', HTMLElement);
    this.save = button(root, 'save');
    this.share = button(root, 'share');
    this.copy = button(root, 'copy');
    this.#bind(root);
  }

  /** @param {HTMLElement} root */
  #bind(root) {
    this.share.hidden = !canShare();
    this.copy.hidden = !canCopy();
    this.paper.value = this.settings.get('paper');
    this.paper.addEventListener('change', () => this.settings.set('paper', /** @type {PaperSize} */ (this.paper.value)));
    this.form.addEventListener('change', () => this.#showChoice());
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#work('Saved', async (file) => download(file));
    });
    this.share.addEventListener('click', () => this.#work('Shared', (file) => navigator.share({ files: [file], title: file.name })));
    this.copy.addEventListener('click', () => this.#copyPage());
    button(root, 'export-close').addEventListener('click', () => this.dialog.close());
    this.store.addEventListener('change', () => this.#showReady());
  }

  open() {
    const current = this.page.current();
    const count = this.store.length;
    this.name.value ||= defaultName(new Date());
    this.pdfNote.textContent = count === 1 ? 'one page' : `all ${count} pages in one file`;
    this.pageNote.textContent = current ? `page ${this.store.indexOf(current.id) + 1} as a picture` : '';
    this.zip.hidden = count < 2;
    if (count < 2 && this.format === 'zip') this.#choose('pdf');
    this.#showChoice();
    this.dialog.showModal();
    this.#showReady();
  }

  get format() {
    return String(new FormData(this.form).get('format'));
  }

  /** @param {string} format */
  #choose(format) {
    const input = this.form.querySelector(`input[value="${format}"]`);
    if (input instanceof HTMLInputElement) input.checked = true;
  }

  #showChoice() {
    this.paperField.hidden = this.format !== 'pdf';
    this.#showReady();
  }

  /** Pages still being made, or that failed, hold the buttons back and say why. */
  #showReady() {
    if (!this.dialog.open || this.#working) return;
    const failed = this.store.pages.findIndex((page) => page.state === 'failed');
    const blocked = !this.store.allReady;
    if (failed >= 0) this.status.textContent = `Page ${failed + 1} could not be made. Retry or delete it first.`;
    else this.status.textContent = blocked ? 'Straightening the last pages…' : '';
    for (const action of [this.save, this.share, this.copy]) action.disabled = blocked;
  }

  /** @returns {Promise<File>} */
  async #makeFile() {
    const date = new Date();
    const name = safeName(this.name.value);
    const current = this.page.current();
    if (this.format === 'page' && current) {
      const number = this.store.length > 1 ? `-${this.store.indexOf(current.id) + 1}` : '';
      return pngOf(current, this.maker, `${name}${number}`);
    }
    if (this.format === 'zip') {
      const onProgress = (/** @type {number} */ done) => {
        this.status.textContent = `Making page ${done + 1} of ${this.store.length}…`;
      };
      return zipOf(this.store.pages, this.maker, { name, date, onProgress });
    }
    return pdfOf(this.store.pages, { name, paper: /** @type {PaperSize} */ (this.paper.value), date });
  }

  /** @param {string} verb @param {(file: File) => Promise<void>} handOver */
  async #work(verb, handOver) {
    const isComplete = this.format !== 'page' || this.store.length === 1;
    await this.#guard(async () => {
      const file = await this.#makeFile();
      await handOver(file);
      if (isComplete) this.store.markSaved();
      return `${verb} ${file.name}, ${readableSize(file.size)}`;
    });
  }

  #copyPage() {
    const current = this.page.current();
    if (!current) return;
    this.#guard(async () => {
      // Safari wants the promise itself, so that the write still counts as part of the click.
      const png = pngOf(current, this.maker, 'page');
      await navigator.clipboard.write([new ClipboardItem({ 'image/png': png })]);
      return `Page ${this.store.indexOf(current.id) + 1} copied`;
    });
  }

  /** Runs one action with the buttons held back; its sentence becomes the page's message. @param {() => Promise<string>} action */
  async #guard(action) {
    if (this.#working) return;
    this.#working = true;
    for (const control of [this.save, this.share, this.copy]) control.disabled = true;
    this.status.textContent = 'Making the file…';
    let problem = '';
    try {
      const text = await action();
      this.dialog.close();
      this.page.onSaved(text);
    } catch (error) {
      if (!(error instanceof DOMException && error.name === 'AbortError')) {   // the person closed the share sheet
        console.error('Export failed', error);
        problem = `That did not work: ${error instanceof Error ? error.message : error}`;
      }
    } finally {
      this.#working = false;
      this.#showReady();
      if (problem) this.status.textContent = problem;
    }
  }
}
