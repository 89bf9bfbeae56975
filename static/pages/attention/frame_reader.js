// A camera's frame as pixels, without the way over a canvas where the browser converts frames itself.

/** @typedef {import('../../media/image.js').Drawable} Drawable */
/** @typedef {import('../../media/image.js').Pixels} Pixels */

/** Larger frames are reduced on a canvas: no network looks that closely. */
const MOST = 1280;

export class FrameReader {
  #data = new Uint8ClampedArray(0);
  #converts = true;

  /**
   * @param {VideoFrame | ImageBitmap} frame
   * @returns {Promise<Pixels | Drawable>} pixels, which the next call overwrites; or the frame itself, to be drawn
   */
  async read(frame) {
    if (!this.#converts || !('copyTo' in frame) || !isPlain(frame)) return frame;
    const { displayWidth: width, displayHeight: height } = frame;
    if (this.#data.length !== 4 * width * height) this.#data = new Uint8ClampedArray(4 * width * height);
    try {
      await frame.copyTo(this.#data, /** @type {VideoFrameCopyToOptions} */ ({ format: 'RGBA' }));
      return { data: this.#data, width, height };
    } catch (error) {
      this.#converts = false; // a browser that only copies frames as the camera made them
      console.info('Frames are drawn to be read', error);
      return frame;
    }
  }
}

/** Whether its pixels lie as they are shown: not turned, cut or stretched. @param {VideoFrame & {rotation?: number, flip?: boolean}} frame */
function isPlain({ displayWidth, displayHeight, visibleRect, rotation = 0, flip = false }) {
  return Math.max(displayWidth, displayHeight) <= MOST && visibleRect?.width === displayWidth
    && visibleRect.height === displayHeight && !rotation && !flip;
}
