// One camera stream: opened on demand, with device choice, torch and the best still picture; closed when not needed.

import { CameraProblem, cameraProblem } from './problems.js';

/** @typedef {{torch?: boolean}} TorchCapabilities not in every browser's type library */

/** A photo that takes longer than this is replaced by the video's own frame. */
const PHOTO_TIMEOUT_MS = 5000;
const STILL_QUALITY = 0.95;
const WANTED = { width: { ideal: 1920 }, height: { ideal: 1080 } };

/** @returns {Promise<boolean>} whether the person allowed the camera before, so that it may start by itself */
export async function isAllowedAlready() {
  if (!navigator.mediaDevices || !navigator.permissions) return false;
  try {
    const status = await navigator.permissions.query({ name: /** @type {PermissionName} */ ('camera') });
    return status.state === 'granted';
  } catch (error) {
    if (error instanceof TypeError) return false;   // Firefox before 127 knows no such permission
    throw error;
  }
}

/** Fires `lost` when the stream ends without having been closed. */
export class Camera extends EventTarget {
  /** @type {MediaStream | null} */
  stream = null;
  torch = false;

  /**
   * @param {HTMLVideoElement} video @param {'environment' | 'user'} [facing] the camera to prefer where none is chosen
   * @param {MediaTrackConstraints} [wanted] size of the picture; default: fine enough to scan a page
   */
  constructor(video, facing = 'environment', wanted = WANTED) {
    super();
    this.video = video;
    this.facing = facing;
    this.wanted = wanted;
  }

  /** @returns {MediaStreamTrack | null} */
  get track() {
    return this.stream?.getVideoTracks()[0] ?? null;
  }

  get deviceId() {
    return this.track?.getSettings().deviceId ?? '';
  }

  get hasTorch() {
    const track = this.track;
    return Boolean(track?.getCapabilities && /** @type {TorchCapabilities} */ (track.getCapabilities()).torch);
  }

  /**
   * Starts the camera; the browser asks the person when it has not been allowed yet.
   * @param {string} [deviceId] any that looks the preferred way when empty
   * @throws {CameraProblem}
   */
  async open(deviceId = '') {
    if (!window.isSecureContext) throw new CameraProblem('insecure');
    if (!navigator.mediaDevices?.getUserMedia) throw new CameraProblem('unsupported');
    this.close();
    const stream = await this.#request(deviceId);
    this.stream = stream;
    stream.getVideoTracks()[0].addEventListener('ended', () => {
      if (this.stream !== stream) return;
      this.close();
      this.dispatchEvent(new Event('lost'));
    });
    this.video.srcObject = stream;
    try {
      await this.video.play();
    } catch (error) {
      if (this.stream !== stream) throw new CameraProblem('lost', error);   // closed or changed meanwhile
      this.close();
      throw cameraProblem(error);
    }
  }

  /** @param {string} deviceId @returns {Promise<MediaStream>} */
  async #request(deviceId) {
    const choice = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: { ideal: this.facing } };
    try {
      return await navigator.mediaDevices.getUserMedia({ video: { ...this.wanted, ...choice }, audio: false });
    } catch (error) {
      const problem = cameraProblem(error);
      // The remembered camera may be unplugged; any other will do.
      if (deviceId && problem.code === 'missing') return this.#request('');
      throw problem;
    }
  }

  close() {
    const { stream } = this;
    this.stream = null;
    this.torch = false;
    stream?.getTracks().forEach((track) => track.stop());
    this.video.srcObject = null;
  }

  /** @returns {Promise<{id: string, name: string}[]>} the cameras of this device */
  async devices() {
    const all = await navigator.mediaDevices.enumerateDevices();
    return all.filter(({ kind }) => kind === 'videoinput')
      .map(({ deviceId, label }, i) => ({ id: deviceId, name: label || `Camera ${i + 1}` }));
  }

  /** @param {boolean} on */
  async setTorch(on) {
    await this.track?.applyConstraints({ advanced: [/** @type {MediaTrackConstraintSet} */ ({ torch: on })] });
    this.torch = on;
  }

  /**
   * The best picture the camera can give: a photo where the browser offers one that is larger than the video, else the
   * video's frame.
   * @returns {Promise<Blob>}
   */
  async takeStill() {
    const frame = this.#grabFrame();
    const photo = await this.#takePhoto();
    return photo ?? frame;
  }

  /** @returns {Promise<Blob>} */
  #grabFrame() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!width) throw new CameraProblem('lost');
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    const context = canvas.getContext('2d');
    if (!context) throw new RangeError('The browser refused a canvas for the picture');
    context.drawImage(this.video, 0, 0);
    return new Promise((resolve, reject) => {
      canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new RangeError('The browser could not encode the picture'))),
        'image/jpeg', STILL_QUALITY);
    });
  }

  /** @returns {Promise<Blob | null>} null when there is no photo, or none better than the frame */
  async #takePhoto() {
    const Capture = /** @type {any} */ (globalThis).ImageCapture;
    const track = this.track;
    if (!Capture || !track) return null;
    try {
      const capture = new Capture(track);
      const { imageWidth, imageHeight } = await within(capture.getPhotoCapabilities(), PHOTO_TIMEOUT_MS);
      const [width, height] = [imageWidth?.max ?? 0, imageHeight?.max ?? 0];
      if (width * height <= this.video.videoWidth * this.video.videoHeight) return null;
      return await within(capture.takePhoto({ imageWidth: width, imageHeight: height }), PHOTO_TIMEOUT_MS);
    } catch (error) {
      // Many drivers offer photos and then fail; the frame is there already.
      console.warn('The camera gave no photo, its video frame is used', error);
      return null;
    }
  }
}

/** @template T @param {Promise<T>} promise @param {number} ms @returns {Promise<T>} */
function within(promise, ms) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new DOMException(`no answer in ${ms} ms`, 'TimeoutError')), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
