// The size of a picture from the first bytes of its file, without decoding it.

/** @typedef {{width: number, height: number}} Size as stored, before any EXIF rotation */

/**
 * @param {Uint8Array} head the first bytes of a file
 * @returns {Size|null} null for another format, or when the size lies beyond `head`
 */
export function imageSize(head) {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  try {
    /** @param {number} at @param {number} length */
    const text = (at, length) => String.fromCharCode(...head.subarray(at, at + length));
    if (text(1, 3) === 'PNG') return { width: view.getUint32(16), height: view.getUint32(20) };
    if (text(0, 4) === 'GIF8') return { width: view.getUint16(6, true), height: view.getUint16(8, true) };
    if (text(0, 2) === 'BM') { // a picture stored from its top row has a negative height
      return { width: Math.abs(view.getInt32(18, true)), height: Math.abs(view.getInt32(22, true)) };
    }
    if (text(0, 4) === 'RIFF' && text(8, 4) === 'WEBP') return webpSize(view, text(12, 4));
    if (view.getUint16(0) === 0xffd8) return jpegSize(view);
    return null;
  } catch (thrown) {
    if (thrown instanceof RangeError) return null; // the header is longer than what was read
    throw thrown;
  }
}

/** @param {DataView} view @param {string} kind @returns {Size|null} */
function webpSize(view, kind) {
  const uint24 = (/** @type {number} */ at) => view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
  if (kind === 'VP8X') return { width: uint24(24) + 1, height: uint24(27) + 1 };
  if (kind === 'VP8 ') return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
  if (kind !== 'VP8L') return null;
  const bits = view.getUint32(21, true);
  return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
}

/** The first start-of-frame segment holds it. @param {DataView} view @returns {Size|null} */
function jpegSize(view) {
  for (let at = 2; at < view.byteLength;) {
    if (view.getUint8(at) !== 0xff) return null;
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) { at++; continue; } // padding
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return { height: view.getUint16(at + 5), width: view.getUint16(at + 7) };
    at += 2 + (marker >= 0xd0 && marker <= 0xd9 ? 0 : view.getUint16(at + 2));
  }
  return null;
}
