// Even grey → black and white: Sauvola's local threshold, then specks removed.

/** Window of the threshold, as a share of the shorter side: a few letters. */
const WINDOW_SHARE = 1 / 36;
const MIN_RADIUS = 7;
/**
 * T = mean · (1 + K · (deviation / R − 1)), Sauvola & Pietikäinen 2000, where R is 128: theirs is for raw
 * scans; on evened paper the deviation of text is 30 to 70, and thin grey strokes need the higher threshold.
 */
const K = 0.17;
const R = 64;
/** Whatever the surroundings: filled areas stay black, bare paper stays white. */
const ALWAYS_BLACK = 80;
const ALWAYS_WHITE = 220;
/** A sheet darker than this is printed in white: black up to this share of the way from the sheet to white. */
const DARK_SHEET = 140;
const INK_SHARE = 0.35;
/** A speck: at most (longer side / 1100)² pixels; when nowhere darker than FAINT, up to four times that. */
const SPECK_SIDE = 1 / 1100;
const FAINT = 130;

/**
 * @param {Uint8ClampedArray} grey one byte a pixel, even light @param {number} width @param {number} height
 * @param {number} [level] grey level of the bare sheet
 * @returns {Uint8Array} 0 or 255
 */
export function binarise(grey, width, height, level = 255) {
  const out = threshold(grey, width, height, level < DARK_SHEET ? level + INK_SHARE * (255 - level) : ALWAYS_BLACK);
  removeSpecks(out, grey, width, height);
  return out;
}

/**
 * Sums over the window come from running column sums: exact integers, and memory for one row only.
 * @param {Uint8ClampedArray} grey @param {number} width @param {number} height
 * @param {number} black whatever is darker than this is black
 */
function threshold(grey, width, height, black) {
  const radius = Math.max(MIN_RADIUS, Math.round((Math.min(width, height) * WINDOW_SHARE) / 2));
  const out = new Uint8Array(width * height);
  const sum = new Float64Array(width);
  const squares = new Float64Array(width);
  /** @param {number} y @param {number} sign */
  const addRow = (y, sign) => {
    for (let x = 0, at = y * width; x < width; x++, at++) {
      const v = grey[at];
      sum[x] += sign * v;
      squares[x] += sign * v * v;
    }
  };
  for (let y = 0; y < Math.min(radius, height); y++) addRow(y, 1);
  for (let y = 0; y < height; y++) {
    if (y + radius < height) addRow(y + radius, 1);
    if (y - radius - 1 >= 0) addRow(y - radius - 1, -1);
    const tall = Math.min(height - 1, y + radius) - Math.max(0, y - radius) + 1;
    let s = 0;
    let q = 0;
    for (let x = 0; x < Math.min(radius, width); x++) [s, q] = [s + sum[x], q + squares[x]];
    for (let x = 0, at = y * width; x < width; x++, at++) {
      if (x + radius < width) {
        s += sum[x + radius];
        q += squares[x + radius];
      }
      if (x - radius - 1 >= 0) {
        s -= sum[x - radius - 1];
        q -= squares[x - radius - 1];
      }
      const n = tall * (Math.min(width - 1, x + radius) - Math.max(0, x - radius) + 1);
      const mean = s / n;
      const limit = mean * (1 + K * (Math.sqrt(Math.max(0, q / n - mean * mean)) / R - 1));
      out[at] = grey[at] < Math.min(ALWAYS_WHITE, Math.max(black, limit)) ? 0 : 255;
    }
  }
  return out;
}

/**
 * Turns tiny black components (8-neighbours) white, in place.
 * @param {Uint8Array} bits @param {Uint8ClampedArray} grey @param {number} width @param {number} height
 */
function removeSpecks(bits, grey, width, height) {
  const tiny = (Math.max(width, height) * SPECK_SIDE) ** 2;
  const most = Math.ceil(4 * tiny);
  // Larger components are flooded no further than `most` pixels from each start, and their pixels marked as kept.
  const seen = new Uint8Array(bits.length);
  const stack = new Int32Array(bits.length ? most * 9 + 16 : 0);
  const part = new Int32Array(most + 1);
  for (let start = 0; start < bits.length; start++) {
    if (bits[start] || seen[start]) continue;
    const { count, darkest, touched } = flood(bits, grey, seen, width, height, start, most, stack, part);
    if (!touched && (count <= tiny || (count <= most && darkest > FAINT))) for (let i = 0; i < count; i++) bits[part[i]] = 255;
  }
}

/**
 * Collects one component into `part` until it is larger than `most`. A pixel seen earlier in a component
 * that was cut short means this one is part of it: `touched`.
 * @param {Uint8Array} bits @param {Uint8ClampedArray} grey @param {Uint8Array} seen @param {number} width @param {number} height
 * @param {number} start @param {number} most @param {Int32Array} stack @param {Int32Array} part
 */
function flood(bits, grey, seen, width, height, start, most, stack, part) {
  let depth = 0;
  let count = 0;
  let darkest = 255;
  let touched = false;
  stack[depth++] = start;
  seen[start] = 1;
  while (depth > 0 && count <= most) {
    const at = stack[--depth];
    part[count++] = at;
    darkest = Math.min(darkest, grey[at]);
    const x = at % width;
    const y = (at - x) / width;
    for (let ny = Math.max(0, y - 1); ny <= Math.min(height - 1, y + 1); ny++) {
      for (let nx = Math.max(0, x - 1); nx <= Math.min(width - 1, x + 1); nx++) {
        const next = ny * width + nx;
        if (bits[next]) continue;
        if (seen[next] === 2) touched = true;
        if (seen[next]) continue;
        seen[next] = 1;
        stack[depth++] = next;
      }
    }
  }
  // Cut short: what was collected and what still waits belong to a large component.
  if (count > most || touched) {
    for (let i = 0; i < count; i++) seen[part[i]] = 2;
    for (let i = 0; i < depth; i++) seen[stack[i]] = 2;
  }
  return { count, darkest, touched };
}
