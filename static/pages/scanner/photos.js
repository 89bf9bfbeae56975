// From a file to a photo that can become a page, or a sentence that says why not.

import { imageSize } from '../../media/image_size.js';
import { pictureKind } from './picture_kind.js';
import { PhotoProblem } from './problems.js';

/** @typedef {import('./quad.js').Size} Size */
/** @typedef {{source: Blob, size: Size, bitmap: ImageBitmap}} Photo upright; the caller closes the bitmap */

/** Decoded, four bytes a pixel: more would take a phone's memory away. */
export const MOST_MEGAPIXELS = 80;
const HEADER_BYTES = 512 * 1024;

/** @param {Blob} file @returns {string} */
function nameOf(file) {
  return 'name' in file && typeof file.name === 'string' && file.name ? `“${file.name}”` : 'The picture';
}

/** @param {number} width @param {number} height @param {string} name */
function refuseTooLarge(width, height, name) {
  const megapixels = width * height / 1e6;
  if (megapixels <= MOST_MEGAPIXELS) return;
  throw new PhotoProblem('too_large', `${name} has ${Math.round(megapixels)} megapixels; up to ${MOST_MEGAPIXELS} work here. `
    + 'Make it smaller and try again.');
}

/**
 * Checks a file by its first bytes, before anything is decoded.
 * @param {Blob} file
 * @returns {Promise<import('./picture_kind.js').PictureKind>}
 * @throws {PhotoProblem}
 */
export async function checkFile(file) {
  const name = nameOf(file);
  if (file.size === 0) throw new PhotoProblem('empty', `${name} is empty (0 bytes). It may not have finished copying.`);
  const head = new Uint8Array(await file.slice(0, HEADER_BYTES).arrayBuffer());
  const kind = pictureKind(head);
  if (!kind) throw new PhotoProblem('not_picture', `${name} is not a photo. JPEG, PNG, WebP, GIF, BMP and AVIF work.`);
  const size = imageSize(head);
  if (size) refuseTooLarge(size.width, size.height, name);
  return kind;
}

/**
 * @param {Blob} file
 * @returns {Promise<Photo>}
 * @throws {PhotoProblem}
 */
export async function openPhoto(file) {
  const kind = await checkFile(file);
  const name = nameOf(file);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch (error) {
    if (kind === 'heic') {
      throw new PhotoProblem('heic', `${name} is a HEIC photo, which this browser cannot open. Export it as JPEG.`, error);
    }
    throw new PhotoProblem('damaged', `${name} cannot be read. The file is damaged, or too large for this device.`, error);
  }
  try {
    refuseTooLarge(bitmap.width, bitmap.height, name);
  } catch (error) {
    bitmap.close();
    throw error;
  }
  return { source: file, size: { width: bitmap.width, height: bitmap.height }, bitmap };
}
