// The camera view: live picture, outline, hints, shutter. It hands every picture taken to its owner and goes on.

import { createBadge } from '../badge.js';
import { Camera } from './camera.js';
import { button, part, setText } from './dom.js';
import { HINTS, HintLine, hintFor, isWellPlaced } from './hints.js';
import { Overlay } from './overlay.js';
import { FINDER_PROBLEMS } from './problems.js';
import { AutoShutter, Steadiness } from './steadiness.js';

/** @typedef {import('./quad.js').Quad} Quad */
/** @typedef {import('./quad.js').Size} Size */
/** @typedef {import('./hints.js').HintCode} HintCode */
/** @typedef {{blob: Blob, seen: {corners: Quad, frame: Size} | null}} Shot seen: the page in the live video just then */
/**
 * @typedef {object} CameraEvents
 * @property {(shot: Shot) => Promise<void>} onShot
 * @property {(error: unknown) => void} onShotFailed
 * @property {() => void} onLost the camera went away by itself
 */

/** Hints are spoken no more often than this. */
const SPEAK_EVERY_MS = 2500;
const FLASH_MS = 180;
/** The next look comes after this when the video stands still, or does not tell of its frames. */
const IDLE_MS = 150;

export class CameraView {
  #token = 0;
  #taking = false;
  /** @type {{corners: Quad, frame: Size} | null} */
  #seen = null;
  #lostSince = 0;
  #spokenAt = -Infinity;
  #steadiness = new Steadiness();
  #auto = new AutoShutter();
  #hints = new HintLine();

  /**
   * @param {ParentNode} root
   * @param {import('./finder.js').Finder} finder
   * @param {import('./settings.js').Settings} settings
   * @param {CameraEvents} events
   */
  constructor(root, finder, settings, events) {
    this.finder = finder;
    this.settings = settings;
    this.events = events;
    this.video = part(root, 'video', HTMLVideoElement);
    this.camera = new Camera(this.video);
    this.overlay = new Overlay(part(root, 'overlay', SVGElement), this.video);
    this.badge = createBadge(part(root, 'badge', HTMLElement));
    this.shutter = button(root, 'shutter');
    this.ring = part(root, 'ring', SVGElement);
    this.hint = part(root, 'hint', HTMLElement);
    this.spoken = part(root, 'hint-spoken', HTMLElement);
    this.flash = part(root, 'flash', HTMLElement);
    this.torch = button(root, 'torch');
    this.device = part(root, 'device', HTMLSelectElement);
    this.progress = part(root, 'model-progress', HTMLProgressElement);
    this.notice = part(root, 'camera-notice', HTMLElement);
    this.noticeTitle = part(root, 'camera-notice-title', HTMLElement);
    this.noticeText = part(root, 'camera-notice-text', HTMLElement);
    this.retry = button(root, 'camera-retry');
    this.#bind(part(root, 'auto', HTMLInputElement), part(root, 'check', HTMLInputElement));
  }

  get isOpen() {
    return this.#token > 0 && this.camera.stream !== null;
  }

  /** @param {HTMLInputElement} auto @param {HTMLInputElement} check */
  #bind(auto, check) {
    auto.checked = this.settings.get('auto');
    check.checked = this.settings.get('check');
    auto.addEventListener('change', () => this.settings.set('auto', auto.checked));
    check.addEventListener('change', () => this.settings.set('check', check.checked));
    this.shutter.addEventListener('click', () => this.shoot());
    this.torch.addEventListener('click', () => this.#toggleTorch());
    this.device.addEventListener('change', () => this.#changeDevice(this.device.value));
    this.retry.addEventListener('click', () => this.finder.retry());
    this.finder.addEventListener('change', () => this.#showFinder());
    this.camera.addEventListener('lost', () => {
      this.#stopLooking();
      this.events.onLost();
    });
    this.#showFinder();
  }

  /**
   * @throws {import('./problems.js').CameraProblem}
   */
  async open() {
    await this.camera.open(this.settings.get('device'));
    await this.#showDevices();
    this.#startLooking();
  }

  /** Looks again at a camera that is still running. */
  resume() {
    this.#startLooking();
  }

  /** Stops looking; the camera itself goes on until `close`. */
  pause() {
    this.#stopLooking();
  }

  close() {
    this.#stopLooking();
    this.camera.close();
  }

  #startLooking() {
    this.#steadiness.reset();
    this.#lostSince = performance.now();
    this.#hints = new HintLine();
    this.#look(++this.#token);
  }

  #stopLooking() {
    this.#token += 1;
    this.#seen = null;
    this.overlay.stop();
    this.#showProgress(0);
  }

  /** One look after another, each at the newest frame, none while the tab is hidden. @param {number} token */
  async #look(token) {
    while (token === this.#token) {
      await this.#nextFrame();
      if (token !== this.#token) return;
      if (document.hidden || this.#taking || this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) continue;
      if (this.finder.state !== 'ready') {
        this.#show(this.finder.state === 'failed' ? 'by_hand' : 'loading');
        if (this.finder.state === 'idle') this.finder.prepare();
        continue;
      }
      const frame = { width: this.video.videoWidth, height: this.video.videoHeight };
      const found = await this.finder.find(this.video);
      if (token !== this.#token || this.#taking || this.finder.state !== 'ready') continue;
      if (this.finder.away) this.#showAway(this.finder.away);
      else this.#take(found?.corners ?? null, frame, performance.now());
    }
  }

  /** Resolves with the next video frame, or after a while when the video stands still. @returns {Promise<void>} */
  #nextFrame() {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, IDLE_MS);
      if (!('requestVideoFrameCallback' in this.video)) return;
      this.video.requestVideoFrameCallback(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** @param {Quad | null} found @param {Size} frame @param {number} now */
  #take(found, frame, now) {
    const steady = this.#steadiness.push(found, frame, now);
    const { corners, progress } = steady;
    this.#seen = corners && { corners, frame };
    if (corners) this.#lostSince = now;
    const taken = this.#auto.taken !== null && corners !== null;
    const hint = hintFor({ corners, frame, progress, taken: taken && this.settings.get('auto'), searchingMs: now - this.#lostSince });
    const auto = this.settings.get('auto');
    const wellPlaced = isWellPlaced(hint);
    this.overlay.aim(corners, wellPlaced && progress >= 1);
    this.#showProgress(wellPlaced && !(taken && auto) ? progress : 0);
    this.#show(this.#hints.push(hint, now));
    const { place, backend, ms } = this.finder;
    this.badge.show(place === 'server' ? { where: 'On the server', ms } : { backend, ms });
    if (this.#auto.push(steady, wellPlaced, frame, now) && auto) this.shoot();
  }

  /** Takes the picture; does nothing while one is being taken. */
  async shoot() {
    if (this.#taking || !this.camera.stream) return;
    this.#taking = true;
    this.shutter.disabled = true;
    const seen = this.#seen;
    this.#show('taking');
    this.#flash();
    try {
      const blob = await this.camera.takeStill();
      this.#auto.took(seen?.corners ?? null);
      await this.events.onShot({ blob, seen });
    } catch (error) {
      this.events.onShotFailed(error);
    } finally {
      this.#taking = false;
      this.shutter.disabled = false;
      this.#steadiness.reset();
    }
  }

  #flash() {
    this.flash.hidden = false;
    setTimeout(() => { this.flash.hidden = true; }, FLASH_MS);
  }

  /** @param {number} progress 0..1 */
  #showProgress(progress) {
    this.ring.style.strokeDashoffset = String(1 - progress);
    this.shutter.dataset.state = progress >= 1 ? 'ready' : '';
  }

  /** @param {HintCode} code */
  #show(code) {
    if (this.hint.dataset.code === code) return;
    this.hint.dataset.code = code;
    setText(this.hint, HINTS[code]);
    const now = performance.now();
    if (now - this.#spokenAt < SPEAK_EVERY_MS) return;
    this.#spokenAt = now;
    setText(this.spoken, HINTS[code]);
  }

  /** The server finds nothing now: no outline, and how long until it is asked again. @param {import('./finder.js').Away} away */
  #showAway({ state, until }) {
    this.overlay.aim(null, false);
    this.#seen = null;
    this.#steadiness.reset();
    this.#showProgress(0);
    this.#show(state === 'busy' ? 'server_busy' : 'server_away');
    this.badge.say(`Server ${state} · again in ${Math.max(1, Math.ceil((until - performance.now()) / 1000))} s`, 'warn');
  }

  #showFinder() {
    const { state, progress, problem } = this.finder;
    this.progress.hidden = state !== 'loading';
    this.progress.value = progress;
    this.notice.hidden = state !== 'failed';
    if (state === 'loading') this.badge.say(`Loading ${Math.round(progress * 100)} %`, 'idle');
    if (state === 'ready' && !this.finder.ms) this.badge.say(this.finder.place === 'server' ? 'On the server' : 'On this device', 'ok');
    if (state !== 'failed' || !problem) return;
    this.badge.say('By hand', 'warn');
    this.overlay.stop();
    this.#showProgress(0);
    setText(this.noticeTitle, FINDER_PROBLEMS[problem].title);
    setText(this.noticeText, FINDER_PROBLEMS[problem].text);
    this.retry.hidden = problem === 'no_simd';
  }

  async #showDevices() {
    const devices = await this.camera.devices();
    this.device.hidden = devices.length < 2;
    this.device.replaceChildren(...devices.map(({ id, name }) => new Option(name, id, false, id === this.camera.deviceId)));
    this.torch.hidden = !this.camera.hasTorch;
    this.torch.setAttribute('aria-pressed', 'false');
  }

  /** @param {string} id */
  async #changeDevice(id) {
    this.#stopLooking();
    this.settings.set('device', id);
    try {
      await this.open();
    } catch (error) {
      console.error('The camera could not be changed', error);
      this.events.onLost();
    }
  }

  async #toggleTorch() {
    try {
      await this.camera.setTorch(!this.camera.torch);
    } catch (error) {
      console.error('The torch did not answer', error);
      this.torch.hidden = true;
    }
    this.torch.setAttribute('aria-pressed', String(this.camera.torch));
  }
}
