// A ZIP file of pictures that are compressed already: entries are stored, names are UTF-8. After PKWARE's APPNOTE 6.3.

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/**
 * @param {Uint8Array} bytes
 * @returns {number} CRC-32 (ISO 3309)
 */
export function crc32(bytes) {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = TABLE[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** @param {Date} date @returns {[number, number]} DOS time and date; the format begins in 1980 */
function dosTime(date) {
  if (date.getFullYear() < 1980) return [0, (1 << 5) | 1];
  return [
    (date.getHours() << 11) | (date.getMinutes() << 5) | (date.getSeconds() >> 1),
    ((date.getFullYear() - 1980) << 9) | ((date.getMonth() + 1) << 5) | date.getDate(),
  ];
}

/** Fields that the local and the central header share, little-endian, from "version needed" on.
 * @param {number} crc @param {number} size @param {number} nameLength @param {Date} date @returns {number[]} */
function sharedFields(crc, size, nameLength, date) {
  const utf8Names = 0x0800;
  const stored = 0;
  return [...u16(20, utf8Names, stored, ...dosTime(date)), ...u32(crc, size, size), ...u16(nameLength, 0)];
}

/** @param {number[]} values @returns {number[]} */
const u16 = (...values) => values.flatMap((v) => [v & 255, (v >>> 8) & 255]);
/** @param {number[]} values @returns {number[]} */
const u32 = (...values) => values.flatMap((v) => [v & 255, (v >>> 8) & 255, (v >>> 16) & 255, (v >>> 24) & 255]);

/**
 * @param {{name: string, bytes: Uint8Array<ArrayBuffer>}[]} files
 * @param {Date} [date]
 * @returns {Blob}
 */
export function writeZip(files, date = new Date(1980, 0, 1)) {
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const parts = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const directory = [];
  let offset = 0;
  for (const { name, bytes } of files) {
    const encoded = new TextEncoder().encode(name);
    const fields = sharedFields(crc32(bytes), bytes.length, encoded.length, date);
    const local = Uint8Array.from([...u32(0x04034b50), ...fields]);
    directory.push(Uint8Array.from([...u32(0x02014b50), ...u16(20), ...fields, ...u16(0, 0, 0), ...u32(0, offset)]), encoded);
    parts.push(local, encoded, bytes);
    offset += local.length + encoded.length + bytes.length;
  }
  const directorySize = directory.reduce((sum, part) => sum + part.length, 0);
  const count = files.length;
  const end = Uint8Array.from([...u32(0x06054b50), ...u16(0, 0, count, count), ...u32(directorySize, offset), ...u16(0)]);
  return new Blob([...parts, ...directory, end], { type: 'application/zip' });
}
