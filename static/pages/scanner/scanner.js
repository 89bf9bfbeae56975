// The document scanner: joins camera, corner editor, pages and export, and decides which of them is in view.

import { Arrivals } from './arrivals.js';
import { isAllowedAlready } from './camera.js';
import { CameraView } from './camera_view.js';
import { CornerEditor } from './corner_editor.js';
import { button, part, setText, Toasts } from './dom.js';
import { ExportDialog } from './export_dialog.js';
import { Finder } from './finder.js';
import { FinderLine } from './finder_line.js';
import { Intake } from './intake.js';
import { PagesStore } from './pages_store.js';
import { PagesView } from './pages_view.js';
import { CAMERA_PROBLEMS, cameraProblem } from './problems.js';
import { Renderer } from './renderer.js';
import { localStorageOrNull, Settings } from './settings.js';
import { VisionClient } from './vision_client.js';

/** @typedef {'start' | 'camera' | 'corners' | 'pages'} View */
/** @typedef {import('./problems.js').CameraProblemCode} CameraProblemCode */

/** In a hidden tab the camera goes off after this long, in another view of this page after the second. */
const HIDDEN_MS = 60_000;
const LINGER_MS = 30_000;

class Scanner {
  /** @type {View} */
  #view = 'start';
  /** @type {any} */
  #cameraTimer = 0;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.settings = new Settings(localStorageOrNull());
    this.store = new PagesStore();
    this.vision = new VisionClient();
    this.toasts = new Toasts(root);
    this.finder = new Finder(() => import('./detect.js'));
    this.finderLine = new FinderLine(root, this.finder, this.toasts);
    this.camera = new CameraView(root, this.finder, this.settings, {
      onShot: (shot) => this.#onShot(shot),
      onShotFailed: (error) => this.#say('The picture could not be taken', error),
      onLost: () => this.#view === 'camera' && this.#cameraFailed('lost'),
    });
    this.pages = new PagesView(root, this.store, {
      onCorners: (page) => this.#editCorners(page),
      onMode: (mode) => this.settings.set('mode', mode),
      onDeleted: (removed) => this.#onDeleted(removed),
    });
    this.renderer = new Renderer(this.store, this.vision, () => this.pages.current);
    this.intake = new Intake({
      finder: this.finder, store: this.store, settings: this.settings, editor: new CornerEditor(root),
      showEditor: () => this.#show('corners'), busy: (text) => this.#busy(text),
    });
    this.arrivals = new Arrivals(root, (files) => this.#addFiles(files));
    this.exporter = new ExportDialog(root, this.store, this.vision, this.settings, {
      current: () => this.pages.current, onSaved: (text) => this.toasts.show(text),
    });
    this.#bindButtons();
    this.#bindPage();
  }

  #bindButtons() {
    const { root } = this;
    /** @type {Record<string, () => void>} */
    const actions = {
      'start-camera': () => this.startCamera(),
      'choose': () => this.arrivals.choose(),
      'snap': () => this.arrivals.snap(),
      'resume': () => this.#show('pages'),
      'camera-close': () => this.#leaveCamera(),
      'camera-choose': () => this.arrivals.choose(),
      'pile': () => this.#show('pages'),
      'add-camera': () => this.startCamera(),
      'add-photos': () => this.arrivals.choose(),
      'export': () => this.exporter.open(),
      'start-over': () => this.#startOver(),
      'pages-notice-close': () => this.#notice([]),
    };
    for (const [name, action] of Object.entries(actions)) button(root, name).addEventListener('click', action);
    button(root, 'snap').hidden = !window.matchMedia('(pointer: coarse)').matches;
    part(root, 'drop-tip', HTMLElement).hidden = window.matchMedia('(pointer: coarse)').matches;
  }

  #bindPage() {
    this.store.addEventListener('change', () => this.#showPile());
    document.addEventListener('keydown', (event) => this.#key(event));
    document.addEventListener('visibilitychange', () => this.#visibility());
    window.addEventListener('pagehide', () => this.camera.close());
    window.addEventListener('pageshow', (event) => {
      if (event.persisted && this.#view === 'camera') this.#cameraFailed('away');
    });
    window.addEventListener('beforeunload', (event) => {
      if (this.store.unsaved) event.preventDefault();
    });
  }

  /** What happens without a click: the finder gets ready, and the camera starts if it was allowed before. */
  async begin() {
    const saving = /** @type {{connection?: {saveData?: boolean}}} */ (navigator).connection?.saveData;
    const whenIdle = window.requestIdleCallback ?? ((/** @type {() => void} */ run) => setTimeout(run, 200));
    if (!saving) whenIdle(() => this.finder.prepare());
    if (await isAllowedAlready() && this.#view === 'start' && !document.hidden) await this.startCamera();
  }

  /** @param {View} view */
  #show(view) {
    if (view !== 'camera' && this.#view === 'camera') this.camera.pause();
    this.#view = view;
    document.documentElement.dataset.scanner = view;
    for (const section of this.root.querySelectorAll('[data-view]')) {
      if (section instanceof HTMLElement) section.hidden = section.dataset.view !== view;
    }
    if (view === 'pages') this.pages.show();
    this.#planCameraOff();
    const focus = { start: 'start-title', camera: 'shutter', corners: 'corners-title', pages: 'pages-title' }[view];
    part(this.root, focus, HTMLElement).focus({ preventScroll: true });
  }

  async startCamera() {
    if (this.camera.isOpen) {
      this.#show('camera');
      this.camera.resume();
      return;
    }
    const start = button(this.root, 'start-camera');
    const label = part(this.root, 'start-camera-label', HTMLElement);
    start.disabled = true;
    try {
      await this.finderLine.beforeUse();
      label.textContent = 'Waiting for the camera…';
      await this.camera.open();
      this.#problem(null);
      this.#show('camera');
    } catch (error) {
      console.warn('The camera did not start', error);
      this.#cameraFailed(cameraProblem(error).code);
    } finally {
      start.disabled = false;
      label.textContent = 'Start camera';
    }
  }

  /** @param {CameraProblemCode} code */
  #cameraFailed(code) {
    this.camera.close();
    this.#problem(code);
    this.#show('start');
  }

  /** @param {CameraProblemCode | null} code */
  #problem(code) {
    part(this.root, 'start-problem', HTMLElement).hidden = code === null;
    if (!code) return;
    setText(part(this.root, 'start-problem-title', HTMLElement), CAMERA_PROBLEMS[code].title);
    setText(part(this.root, 'start-problem-text', HTMLElement), CAMERA_PROBLEMS[code].text);
  }

  #leaveCamera() {
    this.camera.close();
    this.#show(this.store.length > 0 ? 'pages' : 'start');
  }

  /** The camera stays on only while it is looked at, or shortly after. */
  #planCameraOff() {
    clearTimeout(this.#cameraTimer);
    if (!this.camera.isOpen) return;
    if (this.#view !== 'camera') this.#cameraTimer = setTimeout(() => this.camera.close(), LINGER_MS);
    else if (document.hidden) this.#cameraTimer = setTimeout(() => this.#cameraFailed('away'), HIDDEN_MS);
  }

  #visibility() {
    this.#planCameraOff();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (this.#view !== 'camera' || event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === 'Escape') this.#leaveCamera();
    const onControl = event.target instanceof Element && event.target.closest('button, a, input, select, dialog');
    if (onControl || event.repeat || (event.key !== ' ' && event.key !== 'Enter')) return;
    event.preventDefault();
    this.camera.shoot();
  }

  /** @param {import('./camera_view.js').Shot} shot */
  async #onShot(shot) {
    const { page, edited } = await this.intake.takeShot(shot);
    if (page) this.pages.select(page.id);
    if (page && edited) this.#show('pages');
    else if (edited) await this.startCamera();
    else if (page) this.toasts.show(`Page ${this.store.length} taken`, { ms: 2500 });
  }

  /** @param {File[]} files */
  async #addFiles(files) {
    if (this.#view === 'corners') {
      this.toasts.show('Finish the corners of this page first');
      return;
    }
    const before = this.#view;
    try {
      await this.finderLine.beforeUse();
      const { added, problems } = await this.intake.takeFiles(files);
      if (added.length > 0) this.pages.select(added[0].id);
      const unsure = files.length > 1 ? added.filter((page) => !page.detected) : [];
      const messages = [...problems, ...unsure.map((page) => `No page was found in page ${this.store.indexOf(page.id) + 1}’s photo; `
        + 'the whole photo is used. Set its corners if needed.')];
      if (added.length > 0) this.#show('pages');
      else if (before === 'camera') await this.startCamera();
      else this.#show(before);
      if (this.#view === 'pages') this.#notice(messages);
      else if (messages.length > 0) this.toasts.show(messages.join(' '), { ms: 12_000 });
    } catch (error) {
      this.#show(this.store.length > 0 ? 'pages' : 'start');
      this.#say('The photos could not be added', error);
    }
  }

  /** @param {import('./pages_store.js').Page} page */
  async #editCorners(page) {
    try {
      await this.intake.edit(page);
    } catch (error) {
      this.#say('The photo could not be opened again', error);
    }
    this.#show('pages');
  }

  /** @param {{page: import('./pages_store.js').Page, index: number}} removed */
  #onDeleted(removed) {
    this.toasts.show(`Page ${removed.index + 1} deleted`, {
      action: 'Undo',
      onAction: () => {
        this.store.restore(removed);
        this.pages.select(removed.page.id);
        this.#show('pages');
      },
      after: () => this.store.discard(removed.page),
      ms: 8000,
    });
    if (this.store.length === 0) this.#show('start');
  }

  async #startOver() {
    if (this.store.unsaved) {
      const dialog = part(this.root, 'confirm-dialog', HTMLDialogElement);
      dialog.returnValue = '';
      dialog.showModal();
      await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }));
      if (dialog.returnValue !== 'discard') return;
    }
    for (const page of [...this.store.pages]) {
      this.store.remove(page.id);
      this.store.discard(page);
    }
    this.#show('start');
  }

  /** @param {string[]} messages */
  #notice(messages) {
    const list = messages.map((text) => Object.assign(document.createElement('p'), { textContent: text }));
    part(this.root, 'pages-notice-text', HTMLElement).replaceChildren(...list);
    part(this.root, 'pages-notice', HTMLElement).hidden = messages.length === 0;
  }

  /** @param {string} text */
  #busy(text) {
    part(this.root, 'busy', HTMLElement).hidden = !text;
    setText(part(this.root, 'busy-text', HTMLElement), text);
  }

  /** @param {string} what @param {unknown} error */
  #say(what, error) {
    console.error(what, error);
    this.toasts.show(`${what}. ${error instanceof Error ? error.message : error}`, { ms: 10_000 });
  }

  #showPile() {
    const { length, pages } = this.store;
    const last = pages.at(-1)?.finished;
    const picture = part(this.root, 'pile-picture', HTMLImageElement);
    picture.hidden = !last;
    if (last) picture.src = last.url;
    button(this.root, 'pile').disabled = length === 0;
    setText(part(this.root, 'pile-label', HTMLElement), length === 1 ? '1 page' : `${length || 'No'} pages`);
    const resume = button(this.root, 'resume');
    resume.hidden = length === 0;
    setText(resume, length === 1 ? 'Back to your page' : `Back to your ${length} pages`);
  }
}

const root = document.getElementById('scanner');
if (!root) throw new Error('The scanner script needs an element with the id "scanner"');
new Scanner(root).begin();
