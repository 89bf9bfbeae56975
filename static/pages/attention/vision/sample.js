// Pixels at another size: a whole picture for the detector, squares around faces for the other networks.

/** @typedef {{data: Uint8ClampedArray | Uint8Array, width: number, height: number}} Pixels RGBA, row-major */
/** @typedef {{x: number, y: number, side: number}} Square top-left corner and side, in pixels of the picture */
/** @typedef {{first: Int32Array, count: Int32Array, weight: Float32Array}} Taps per output pixel: where its sources begin, how many they are, and all weights in a row */

/** The networks' deepest cells are this many pixels wide. */
export const MULTIPLE = 32;

/**
 * The whole picture with its longer side scaled to `side`, black to the right and below up to multiples of 32.
 * Shrinking weighs all source pixels (a triangle as wide as two output pixels), so that small faces do not flicker.
 * @param {Pixels} image @param {number} side
 * @returns {{pixels: Pixels, scale: number}} picture pixels × scale = result pixels
 */
export function fitTo(image, side) {
  const scale = side / Math.max(image.width, image.height);
  const width = Math.max(1, Math.round(image.width * scale)), height = Math.max(1, Math.round(image.height * scale));
  const k = Math.floor(1 / scale);
  const source = k > 1 && Math.min(image.width, image.height) >= k ? means(image, { x: 0, y: 0, width: image.width, height: image.height }, k) : image;
  const padded = { width: Math.ceil(width / MULTIPLE) * MULTIPLE, height: Math.ceil(height / MULTIPLE) * MULTIPLE };
  return { pixels: resized(source, { width, height }, padded), scale };
}

/**
 * @param {number} from source pixels @param {number} to output pixels
 * @returns {Taps}
 */
function taps(from, to) {
  const ratio = from / to, reach = Math.max(1, ratio);
  const first = new Int32Array(to), count = new Int32Array(to);
  /** @type {number[]} */
  const weight = [];
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * ratio - 0.5;
    const low = Math.max(0, Math.ceil(centre - reach)), high = Math.min(from - 1, Math.floor(centre + reach));
    const start = weight.length;
    let sum = 0;
    for (let j = low; j <= high; j++) {
      const w = Math.max(0, 1 - Math.abs(j - centre) / reach);
      weight.push(w);
      sum += w;
    }
    for (let j = start; j < weight.length; j++) weight[j] /= sum;
    first[i] = low;
    count[i] = high - low + 1;
  }
  return { first, count, weight: Float32Array.from(weight) };
}

/**
 * @param {Pixels} image @param {{width: number, height: number}} size @param {{width: number, height: number}} padded
 * @returns {Pixels}
 */
function resized(image, size, padded) {
  const data = new Uint8ClampedArray(4 * padded.width * padded.height);
  new Uint32Array(data.buffer).fill(0xff000000); // black, opaque
  if (size.width === image.width && size.height === image.height) {
    for (let y = 0; y < size.height; y++) {
      data.set(image.data.subarray(4 * y * image.width, 4 * (y + 1) * image.width), 4 * y * padded.width);
    }
    return { data, ...padded };
  }
  const columns = taps(image.width, size.width), rows = taps(image.height, size.height);
  const wide = new Float32Array(3 * size.width * image.height);
  for (let y = 0, to = 0; y < image.height; y++) {
    for (let x = 0, tap = 0; x < size.width; x++, to += 3) {
      let red = 0, green = 0, blue = 0, from = 4 * (y * image.width + columns.first[x]);
      for (const end = tap + columns.count[x]; tap < end; tap++, from += 4) {
        const w = columns.weight[tap];
        red += w * image.data[from];
        green += w * image.data[from + 1];
        blue += w * image.data[from + 2];
      }
      wide[to] = red;
      wide[to + 1] = green;
      wide[to + 2] = blue;
    }
  }
  const line = new Float32Array(3 * size.width);
  for (let y = 0, tap = 0; y < size.height; y++) {
    line.fill(0);
    for (let k = 0; k < rows.count[y]; k++, tap++) {
      const w = rows.weight[tap], from = 3 * size.width * (rows.first[y] + k);
      for (let i = 0; i < line.length; i++) line[i] += w * wide[from + i];
    }
    for (let x = 0, i = 0, to = 4 * y * padded.width; x < size.width; x++, i += 3, to += 4) {
      data[to] = line[i];
      data[to + 1] = line[i + 1];
      data[to + 2] = line[i + 2];
    }
  }
  return { data, ...padded };
}

/**
 * Means of k × k pixels of a part of a picture; a last row or column that fills no square is left out.
 * @param {Pixels} image @param {{x: number, y: number, width: number, height: number}} part whole numbers, inside
 * @param {number} k
 * @returns {Pixels}
 */
function means(image, part, k) {
  if (k <= 16 && (k & (k - 1)) === 0 && image.data.byteOffset % 4 === 0) return packedMeans(image, part, k);
  const width = Math.floor(part.width / k), height = Math.floor(part.height / k);
  const data = new Uint8ClampedArray(4 * width * height), sums = new Uint32Array(3 * width);
  for (let y = 0, to = 0; y < height; y++) {
    sums.fill(0);
    for (let row = 0; row < k; row++) {
      let from = 4 * ((part.y + y * k + row) * image.width + part.x);
      for (let x = 0, i = 0; x < width; x++, i += 3) {
        for (let n = 0; n < k; n++, from += 4) {
          sums[i] += image.data[from];
          sums[i + 1] += image.data[from + 1];
          sums[i + 2] += image.data[from + 2];
        }
      }
    }
    for (let x = 0, i = 0; x < width; x++, i += 3, to += 4) {
      data[to] = sums[i] / (k * k);
      data[to + 1] = sums[i + 1] / (k * k);
      data[to + 2] = sums[i + 2] / (k * k);
      data[to + 3] = 255;
    }
  }
  return { data, width, height };
}

/**
 * The same for k = 2, 4, 8, 16, two colours at a time in one number: three times as fast. Rounded as a clamped array does,
 * halves to the even neighbour.
 * @param {Pixels} image @param {{x: number, y: number, width: number, height: number}} part @param {number} k
 * @returns {Pixels}
 */
function packedMeans(image, part, k) {
  const width = Math.floor(part.width / k), height = Math.floor(part.height / k);
  const source = new Uint32Array(image.data.buffer, image.data.byteOffset, image.width * image.height);
  const out = new Uint32Array(width * height), even = new Uint32Array(width), odd = new Uint32Array(width);
  const shift = 2 * Math.log2(k), half = (k * k / 2 - 1) * 0x10001;
  for (let y = 0, to = 0; y < height; y++) {
    even.fill(0);
    odd.fill(0);
    for (let row = 0; row < k; row++) {
      let from = (part.y + y * k + row) * image.width + part.x;
      for (let x = 0; x < width; x++) {
        let a = even[x], b = odd[x];
        for (let n = 0; n < k; n++) {
          const pixel = source[from++];
          a += pixel & 0xff00ff;
          b += (pixel >>> 8) & 0xff00ff;
        }
        even[x] = a;
        odd[x] = b;
      }
    }
    for (let x = 0; x < width; x++) {
      const a = ((even[x] + half + ((even[x] >>> shift) & 0x10001)) >>> shift) & 0xff00ff;
      const b = ((odd[x] + half + ((odd[x] >>> shift) & 0x10001)) >>> shift) & 0xff00ff;
      out[to++] = a | (b << 8) | 0xff000000;
    }
  }
  return { data: new Uint8ClampedArray(out.buffer), width, height };
}

/**
 * The square around a box, as the networks were taught: `times` the longer side of the box.
 * @param {readonly number[]} box x, y, width, height @param {number} times
 * @returns {Square}
 */
export function squareAround([x, y, width, height], times) {
  const side = times * Math.max(width, height);
  return { x: x + width / 2 - side / 2, y: y + height / 2 - side / 2, side };
}

/**
 * A square of a picture, scaled to outSide × outSide, as planes R, G, B of (v / 255 − 0.5) / 0.5; black outside.
 * @param {Pixels} image @param {Square} square @param {number} outSide
 * @param {Float32Array} out @param {number} [offset] where in `out` the red plane begins
 */
export function cropInto(image, square, outSide, out, offset = 0) {
  const k = Math.floor(square.side / outSide);
  if (k > 1) {
    const part = {
      x: Math.max(0, Math.floor(square.x)), y: Math.max(0, Math.floor(square.y)), width: 0, height: 0,
    };
    part.width = Math.min(image.width, Math.ceil(square.x + square.side)) - part.x;
    part.height = Math.min(image.height, Math.ceil(square.y + square.side)) - part.y;
    if (part.width >= k && part.height >= k) {
      const small = means(image, part, k);
      return bilinear(small, { x: (square.x - part.x) / k, y: (square.y - part.y) / k, side: square.side / k }, outSide, out, offset);
    }
  }
  bilinear(image, square, outSide, out, offset);
}

/** @param {Pixels} image @param {Square} square @param {number} outSide @param {Float32Array} out @param {number} offset */
function bilinear({ data, width, height }, { x: left, y: top, side }, outSide, out, offset) {
  const plane = outSide * outSide, step = side / outSide;
  for (let j = 0, to = offset; j < outSide; j++) {
    const y = top + (j + 0.5) * step;
    if (y <= 0 || y >= height) {
      for (let i = 0; i < outSide; i++, to++) out[to] = out[to + plane] = out[to + 2 * plane] = -1;
      continue;
    }
    const sy = Math.min(height - 1, Math.max(0, y - 0.5)), y0 = Math.floor(sy), fy = sy - y0;
    const above = 4 * y0 * width, below = 4 * Math.min(height - 1, y0 + 1) * width;
    for (let i = 0; i < outSide; i++, to++) {
      const x = left + (i + 0.5) * step;
      if (x <= 0 || x >= width) {
        out[to] = out[to + plane] = out[to + 2 * plane] = -1;
        continue;
      }
      const sx = Math.min(width - 1, Math.max(0, x - 0.5)), x0 = Math.floor(sx), fx = sx - x0;
      const a = 4 * x0, b = 4 * Math.min(width - 1, x0 + 1);
      for (let c = 0; c < 3; c++) {
        const high = data[above + a + c] + fx * (data[above + b + c] - data[above + a + c]);
        const low = data[below + a + c] + fx * (data[below + b + c] - data[below + a + c]);
        out[to + c * plane] = (high + fy * (low - high)) * (2 / 255) - 1;
      }
    }
  }
}
