// What a picture file says of itself in its first bytes, read before anything is decoded: its kind and its size.

/** @typedef {{kind: string, width: number, height: number}} Header width and height are 0 when the file does not say soon enough */

/** @param {Uint8Array} bytes @param {number} at @param {string} text @returns {boolean} */
function has(bytes, at, text) {
  return [...text].every((char, i) => bytes[at + i] === char.charCodeAt(0));
}

/** @param {DataView} view @returns {Header} */
function readPng(view) {
  return { kind: 'png', width: view.getUint32(16), height: view.getUint32(20) };
}

/** Walks the markers up to the frame header. @param {DataView} view @returns {Header} */
function readJpeg(view) {
  for (let at = 2; at + 9 <= view.byteLength;) {
    if (view.getUint8(at) !== 0xff) break;
    const marker = view.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return { kind: 'jpeg', width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  return { kind: 'jpeg', width: 0, height: 0 };
}

/** @param {DataView} view @param {Uint8Array} bytes @returns {Header} */
function readWebp(view, bytes) {
  const u24 = (/** @type {number} */ at) => view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
  if (has(bytes, 12, 'VP8X')) return { kind: 'webp', width: u24(24) + 1, height: u24(27) + 1 };
  if (has(bytes, 12, 'VP8L')) {
    const packed = view.getUint32(21, true);
    return { kind: 'webp', width: (packed & 0x3fff) + 1, height: ((packed >>> 14) & 0x3fff) + 1 };
  }
  return { kind: 'webp', width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
}

/**
 * @param {Uint8Array<ArrayBuffer>} bytes the file's beginning; 64 KiB find the size of nearly every photo
 * @returns {Header | null} null when these bytes are no picture of a known kind
 */
export function readHeader(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length >= 24 && has(bytes, 0, '\x89PNG\r\n\x1a\n')) return readPng(view);
  if (bytes.length >= 4 && bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return readJpeg(view);
  if (bytes.length >= 30 && has(bytes, 0, 'RIFF') && has(bytes, 8, 'WEBP')) return readWebp(view, bytes);
  if (bytes.length >= 10 && has(bytes, 0, 'GIF8')) {
    return { kind: 'gif', width: view.getUint16(6, true), height: view.getUint16(8, true) };
  }
  if (bytes.length >= 26 && has(bytes, 0, 'BM')) {
    return { kind: 'bmp', width: view.getUint32(18, true), height: Math.abs(view.getInt32(22, true)) };
  }
  if (bytes.length >= 12 && has(bytes, 4, 'ftyp')) {
    const brand = String.fromCharCode(...bytes.subarray(8, 12));
    return { kind: brand.startsWith('avi') ? 'avif' : 'heic', width: 0, height: 0 };
  }
  return null;
}
