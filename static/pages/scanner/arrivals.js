// The ways photos come in besides the camera: file pickers, drag and drop, paste.

import { part } from './dom.js';

/** @param {DataTransfer | null} transfer @returns {boolean} */
const carriesFiles = (transfer) => Boolean(transfer?.types.includes('Files'));

export class Arrivals {
  /**
   * @param {HTMLElement} root
   * @param {(files: File[]) => void} onFiles
   */
  constructor(root, onFiles) {
    this.onFiles = onFiles;
    this.picker = part(root, 'file-input', HTMLInputElement);
    this.capture = part(root, 'capture-input', HTMLInputElement);
    this.zone = part(root, 'drop-zone', HTMLElement);
    for (const input of [this.picker, this.capture]) input.addEventListener('change', () => this.#picked(input));
    document.addEventListener('paste', (event) => this.#pasted(event));
    document.addEventListener('dragenter', (event) => this.#dragged(event));
    document.addEventListener('dragover', (event) => this.#dragged(event));
    document.addEventListener('dragleave', (event) => {
      if (event.relatedTarget === null) this.zone.hidden = true;   // left the window
    });
    document.addEventListener('drop', (event) => this.#dropped(event));
  }

  /** Opens the file picker. */
  choose() {
    this.picker.click();
  }

  /** Opens the phone's own camera app. */
  snap() {
    this.capture.click();
  }

  /** @param {HTMLInputElement} input */
  #picked(input) {
    const files = [...(input.files ?? [])];
    input.value = '';   // so that the same file can be chosen again
    if (files.length > 0) this.onFiles(files);
  }

  /** @param {ClipboardEvent} event */
  #pasted(event) {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    this.onFiles(files);
  }

  /** @param {DragEvent} event */
  #dragged(event) {
    if (!carriesFiles(event.dataTransfer)) return;
    event.preventDefault();
    this.zone.hidden = false;
  }

  /** @param {DragEvent} event */
  #dropped(event) {
    this.zone.hidden = true;
    if (!carriesFiles(event.dataTransfer)) return;
    event.preventDefault();
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length > 0) this.onFiles(files);
  }
}
