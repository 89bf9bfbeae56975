// What kind of picture a file is, by its first bytes: names and types that come with a file are often wrong.

/** @typedef {'png' | 'jpeg' | 'webp' | 'gif' | 'bmp' | 'avif' | 'heic'} PictureKind */

/** @type {[PictureKind, number, RegExp][]} kind, bytes to look at, what they are as Latin-1 */
const KINDS = [
  ['png', 8, /^\x89PNG\r\n\x1a\n$/],
  ['jpeg', 3, /^\xff\xd8\xff$/],
  ['webp', 12, /^RIFF[^]{4}WEBP$/],
  ['gif', 6, /^GIF8[79]a$/],
  ['bmp', 2, /^BM$/],
  ['avif', 12, /^[^]{4}ftypavi[fs]$/],
  ['heic', 12, /^[^]{4}ftyp(hei[cxms]|hev[cm]|mif1|msf1)$/],
];

/**
 * @param {Uint8Array} head the file's first bytes, at least 12 of them
 * @returns {PictureKind | null} null when it is no picture that browsers show
 */
export function pictureKind(head) {
  const text = String.fromCharCode(...head.subarray(0, 12));
  return KINDS.find(([, length, pattern]) => pattern.test(text.slice(0, length)))?.[0] ?? null;
}
