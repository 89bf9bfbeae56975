// Black-and-white pictures as one bit a pixel, and zlib through the platform's own CompressionStream where it has one.

const LARGEST_STORED = 65535;

/**
 * @param {{data: Uint8Array | Uint8ClampedArray, width: number, height: number}} image RGBA; a pixel is white when its
 *   red is at least 128
 * @returns {Uint8Array<ArrayBuffer>} rows from the top, each padded to a whole byte; leftmost pixel in the highest bit; 1 = white
 */
export function packBits({ data, width, height }) {
  const stride = (width + 7) >> 3;
  const packed = new Uint8Array(stride * height);
  for (let y = 0, at = 0; y < height; y++) {
    const row = y * stride;
    for (let x = 0; x < width; x++, at += 4) {
      if (data[at] >= 128) packed[row + (x >> 3)] |= 0x80 >> (x & 7);
    }
  }
  return packed;
}

/**
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {Promise<Uint8Array<ArrayBuffer>>} a zlib stream (RFC 1950)
 */
export async function deflate(bytes) {
  if (!('CompressionStream' in globalThis)) return store(bytes);
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * A zlib stream without compression, for browsers that cannot compress (Safari before 16.4).
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function store(bytes) {
  const blocks = Math.max(1, Math.ceil(bytes.length / LARGEST_STORED));
  const out = new Uint8Array(2 + blocks * 5 + bytes.length + 4);
  const view = new DataView(out.buffer);
  view.setUint16(0, 0x7801);
  let at = 2;
  for (let block = 0; block < blocks; block++) {
    const part = bytes.subarray(block * LARGEST_STORED, (block + 1) * LARGEST_STORED);
    view.setUint8(at, block === blocks - 1 ? 1 : 0);
    view.setUint16(at + 1, part.length, true);
    view.setUint16(at + 3, ~part.length & 0xffff, true);
    out.set(part, at + 5);
    at += 5 + part.length;
  }
  view.setUint32(at, adler32(bytes));
  return out;
}

/** @param {Uint8Array} bytes @returns {number} */
function adler32(bytes) {
  let [a, b] = [1, 0];
  for (let i = 0; i < bytes.length; i++) {
    a = (a + bytes[i]) % 65521;
    b = (b + a) % 65521;
  }
  return ((b << 16) | a) >>> 0;
}
