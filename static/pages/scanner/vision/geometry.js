// Plane geometry of a page in a picture: points are [x, y] with y down, pixel centres at +0.5,
// quadrilaterals are TL, TR, BR, BL (clockwise on the screen).

/** @typedef {[number, number]} Point */
/** @typedef {[Point, Point, Point, Point]} Quad */
/** @typedef {{width: number, height: number}} Size */

/** Smallest area of a page, as a share of the picture: below it nothing is worth scanning. */
export const MIN_AREA_SHARE = 0.01;
/** Inner angles of a page seen in perspective, in degrees; sharper ones are a wrong detection. */
export const MIN_ANGLE_DEG = 25;
export const MAX_ANGLE_DEG = 155;
/** A scan is never larger than this: the largest canvas that iOS Safari allows. */
export const MAX_OUTPUT_PIXELS = 4096 * 4096;
/** Long/short sides of ISO A and B, US Letter, and the ID-1 card (ISO/IEC 7810). */
const PAPER_RATIOS = [Math.SQRT2, 11 / 8.5, 85.6 / 53.98];
/** A measured ratio this close to a paper format is taken to be that format. */
const PAPER_SNAP = 0.02;
/**
 * Focal length over the picture's diagonal: phones' main cameras are near 0.6, webcams near 0.8. As the
 * logarithm of its square, with that many of standard deviation.
 */
const FOCAL_PRIOR = Math.log(0.68 ** 2);
const FOCAL_PRIOR_SIGMA = 0.5;
/** Error of the depth ratios below that corners a thousandth of the diagonal off cause. */
const DEPTH_SIGMA = 0.006;

/** @param {Point} a @param {Point} b */
export const distance = (a, b) => Math.hypot(b[0] - a[0], b[1] - a[1]);

/** Area of a polygon, positive when it runs clockwise on the screen. @param {Point[]} points */
export function signedArea(points) {
  let twice = 0;
  for (let i = 0; i < points.length; i++) {
    const [ax, ay] = points[i];
    const [bx, by] = points[(i + 1) % points.length];
    twice += ax * by - bx * ay;
  }
  return twice / 2;
}

/** @param {Point[]} points */
export const polygonArea = (points) => Math.abs(signedArea(points));

/**
 * Four points in any order → TL, TR, BR, BL by their position in the picture: clockwise around the
 * centroid, starting where each corner best matches its own diagonal direction.
 * @param {Point[]} points @returns {Quad}
 */
export function orderCorners(points) {
  const cx = points.reduce((sum, p) => sum + p[0], 0) / 4;
  const cy = points.reduce((sum, p) => sum + p[1], 0) / 4;
  const ring = points.map((p) => /** @type {Point} */ ([p[0], p[1]]));
  ring.sort((a, b) => Math.atan2(a[1] - cy, a[0] - cx) - Math.atan2(b[1] - cy, b[0] - cx));
  let best = 0;
  let bestMatch = -Infinity;
  for (let start = 0; start < 4; start++) {
    const [tl, tr, br, bl] = [0, 1, 2, 3].map((k) => ring[(start + k) % 4]);
    const match = -tl[0] - tl[1] + tr[0] - tr[1] + br[0] + br[1] - bl[0] + bl[1];
    if (match > bestMatch) [best, bestMatch] = [start, match];
  }
  return /** @type {Quad} */ ([0, 1, 2, 3].map((k) => ring[(best + k) % 4]));
}

/**
 * Sutherland-Hodgman: the part of `subject` inside the convex, clockwise `clip`.
 * @param {Point[]} subject @param {Point[]} clip @returns {Point[]}
 */
function clipConvex(subject, clip) {
  let output = subject;
  for (let i = 0; i < clip.length && output.length; i++) {
    const a = clip[i];
    const b = clip[(i + 1) % clip.length];
    /** @param {Point} p */
    const side = (p) => (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]);
    const input = output;
    output = [];
    for (let j = 0; j < input.length; j++) {
      const p = input[j];
      const q = input[(j + 1) % input.length];
      const sp = side(p);
      const sq = side(q);
      if (sp >= 0) output.push(p);
      if ((sp > 0 && sq < 0) || (sp < 0 && sq > 0)) {
        const t = sp / (sp - sq);
        output.push([p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])]);
      }
    }
  }
  return output;
}

/**
 * Intersection over union (Jaccard) of two convex polygons, either direction.
 * @param {Point[]} a @param {Point[]} b @returns {number} 0..1
 */
export function convexIoU(a, b) {
  const p = signedArea(a) < 0 ? [...a].reverse() : a;
  const q = signedArea(b) < 0 ? [...b].reverse() : b;
  const shared = polygonArea(clipConvex(p, q));
  const union = polygonArea(p) + polygonArea(q) - shared;
  return union > 0 ? shared / union : 0;
}

/**
 * Where the line through a, b meets the line through c, d; null when they are (nearly) parallel.
 * @param {Point} a @param {Point} b @param {Point} c @param {Point} d @returns {Point | null}
 */
export function intersectLines(a, b, c, d) {
  const rx = b[0] - a[0];
  const ry = b[1] - a[1];
  const sx = d[0] - c[0];
  const sy = d[1] - c[1];
  const cross = rx * sy - ry * sx;
  if (Math.abs(cross) < 1e-6 * Math.hypot(rx, ry) * Math.hypot(sx, sy)) return null;
  const t = ((c[0] - a[0]) * sy - (c[1] - a[1]) * sx) / cross;
  return [a[0] + t * rx, a[1] + t * ry];
}

/** Do three of the four points lie on one line, to a millionth of their spread? @param {Point[]} points */
function anyCollinear(points) {
  const spread = Math.max(...points.map((p) => distance(p, points[0])), distance(points[1], points[2]));
  return !points.every((_, i) => {
    const three = points.filter((_, k) => k !== i);
    return polygonArea(three) > 1e-6 * spread * spread;
  });
}

/** Solves the square system in place by elimination with partial pivoting. @param {number[][]} rows n × (n + 1) */
function solve(rows) {
  const n = rows.length;
  for (let col = 0; col < n; col++) {
    let pivot = col;
    for (let r = col + 1; r < n; r++) if (Math.abs(rows[r][col]) > Math.abs(rows[pivot][col])) pivot = r;
    [rows[col], rows[pivot]] = [rows[pivot], rows[col]];
    for (let r = 0; r < n; r++) {
      if (r === col) continue;
      const factor = rows[r][col] / rows[col][col];
      for (let k = col; k <= n; k++) rows[r][k] -= factor * rows[col][k];
    }
  }
  return rows.map((row, i) => row[n] / row[i]);
}

/** The similarity that moves the points' centroid to 0 and their mean distance to √2. @param {Point[]} points */
function normaliser(points) {
  const cx = points.reduce((s, p) => s + p[0], 0) / points.length;
  const cy = points.reduce((s, p) => s + p[1], 0) / points.length;
  const spread = points.reduce((s, p) => s + Math.hypot(p[0] - cx, p[1] - cy), 0) / points.length;
  const k = Math.SQRT2 / (spread || 1);
  return [k, 0, -k * cx, 0, k, -k * cy, 0, 0, 1];
}

/** 3×3 product a·b, row-major. @param {ArrayLike<number>} a @param {ArrayLike<number>} b @returns {number[]} */
export function multiply(a, b) {
  const out = new Array(9);
  for (let r = 0; r < 3; r++) {
    for (let c = 0; c < 3; c++) out[3 * r + c] = a[3 * r] * b[c] + a[3 * r + 1] * b[3 + c] + a[3 * r + 2] * b[6 + c];
  }
  return out;
}

/** Inverse of a 3×3 matrix, row-major; RangeError when it is singular. @param {ArrayLike<number>} m @returns {number[]} */
export function invert(m) {
  const a = m[4] * m[8] - m[5] * m[7];
  const b = m[5] * m[6] - m[3] * m[8];
  const c = m[3] * m[7] - m[4] * m[6];
  const det = m[0] * a + m[1] * b + m[2] * c;
  if (!(Math.abs(det) > 0)) throw new RangeError('homography: the matrix has no inverse');
  return [
    a, m[2] * m[7] - m[1] * m[8], m[1] * m[5] - m[2] * m[4],
    b, m[0] * m[8] - m[2] * m[6], m[2] * m[3] - m[0] * m[5],
    c, m[1] * m[6] - m[0] * m[7], m[0] * m[4] - m[1] * m[3],
  ].map((v) => v / det);
}

/** @param {ArrayLike<number>} h 3×3, row-major @param {Point} p @returns {Point} */
export function applyHomography(h, p) {
  const w = h[6] * p[0] + h[7] * p[1] + h[8];
  return [(h[0] * p[0] + h[1] * p[1] + h[2]) / w, (h[3] * p[0] + h[4] * p[1] + h[5]) / w];
}

/**
 * The projective map that takes from[i] to to[i] (4 points each), 3×3 row-major.
 * Both sides are normalised first (Hartley 1997), so that pixels of large photos stay well conditioned.
 * @param {Point[]} from @param {Point[]} to @returns {number[]}
 * @throws {RangeError} when three points of one side lie on one line
 */
export function homography(from, to) {
  if (anyCollinear(from) || anyCollinear(to)) throw new RangeError('homography: three of the four points lie on one line');
  const nf = normaliser(from);
  const nt = normaliser(to);
  const rows = [];
  for (let i = 0; i < 4; i++) {
    const [x, y] = applyHomography(nf, from[i]);
    const [u, v] = applyHomography(nt, to[i]);
    rows.push([x, y, 1, 0, 0, 0, -u * x, -u * y, u], [0, 0, 0, x, y, 1, -v * x, -v * y, v]);
  }
  return multiply(invert(nt), multiply([...solve(rows), 1], nf));
}

/** Inner angles in degrees, at TL, TR, BR, BL. @param {Quad} quad @returns {number[]} */
export function innerAngles(quad) {
  return quad.map((p, i) => {
    const a = quad[(i + 3) % 4];
    const b = quad[(i + 1) % 4];
    const cross = (b[0] - p[0]) * (a[1] - p[1]) - (b[1] - p[1]) * (a[0] - p[0]);
    const dot = (b[0] - p[0]) * (a[0] - p[0]) + (b[1] - p[1]) * (a[1] - p[1]);
    return (Math.atan2(cross, dot) * 180) / Math.PI;
  });
}

/**
 * Could this be a page? Finite, convex, clockwise, large enough, no needle angles.
 * @param {Quad} quad @param {Size} picture
 */
export function isValidQuad(quad, picture) {
  if (!quad.every((p) => Number.isFinite(p[0]) && Number.isFinite(p[1]))) return false;
  if (signedArea(quad) < MIN_AREA_SHARE * picture.width * picture.height) return false;
  return innerAngles(quad).every((angle) => angle >= MIN_ANGLE_DEG && angle <= MAX_ANGLE_DEG);
}

/** Mean opposite sides, width over height: right for a page seen frontally. @param {Quad} quad */
function sideRatio([tl, tr, br, bl]) {
  return (distance(tl, tr) + distance(bl, br)) / Math.max(distance(tl, bl) + distance(tr, br), 1e-9);
}

/** @param {number[]} a @param {number[]} b */
const cross3 = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
/** @param {number[]} a @param {number[]} b */
const dot3 = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

/**
 * Squared focal length, in diagonals: what the two vanishing points tell, weighed against what cameras have.
 * Sides that are nearly parallel tell nothing.
 * @param {number[]} n2 @param {number[]} n3
 */
function focalSquared(n2, n3) {
  const squared = -(n2[0] * n3[0] + n2[1] * n3[1]) / (n2[2] * n3[2]);
  if (!(squared > 0) || !Number.isFinite(squared)) return Math.exp(FOCAL_PRIOR);
  const told = 1 / ((DEPTH_SIGMA / n2[2]) ** 2 + (DEPTH_SIGMA / n3[2]) ** 2);
  const prior = 1 / FOCAL_PRIOR_SIGMA ** 2;
  return Math.exp((told * Math.log(squared) + prior * FOCAL_PRIOR) / (told + prior));
}

/**
 * Width over height of the flat rectangle whose perspective picture is `quad`
 * (Zhang & He, "Whiteboard scanning and image enhancement", 2007, section 4), the principal point at
 * the picture's centre. The plain ratio of the sides where that is degenerate.
 * @param {Quad} quad @param {Size} picture @returns {number}
 */
export function aspectRatio(quad, picture) {
  const diagonal = Math.hypot(picture.width, picture.height);
  // Unit = the diagonal, so that focal lengths are plain numbers.
  const [m1, m2, m4, m3] = quad.map((p) => [(p[0] - picture.width / 2) / diagonal, (p[1] - picture.height / 2) / diagonal, 1]);
  const k2 = dot3(cross3(m1, m4), m3) / dot3(cross3(m2, m4), m3);
  const k3 = dot3(cross3(m1, m4), m2) / dot3(cross3(m3, m4), m2);
  // The page's two directions in space, before the focal length: the third parts are depth ratios minus 1.
  const n2 = [0, 1, 2].map((i) => k2 * m2[i] - m1[i]);
  const n3 = [0, 1, 2].map((i) => k3 * m3[i] - m1[i]);
  const focal2 = focalSquared(n2, n3);
  const ratio = Math.sqrt(
    ((n2[0] ** 2 + n2[1] ** 2) / focal2 + n2[2] ** 2) / ((n3[0] ** 2 + n3[1] ** 2) / focal2 + n3[2] ** 2),
  );
  const plain = sideRatio(quad);
  return ratio > plain / 3 && ratio < plain * 3 ? ratio : plain;
}

/** The nearest paper format when the measured ratio is within its error, else the ratio itself. @param {number} ratio */
export function snapRatio(ratio) {
  const long = Math.max(ratio, 1 / ratio);
  const paper = PAPER_RATIOS.find((format) => Math.abs(long / format - 1) <= PAPER_SNAP);
  if (paper === undefined) return ratio;
  return ratio >= 1 ? paper : 1 / paper;
}

/**
 * Size of the straightened page at the photo's own resolution: the nearer (longer) of opposite sides
 * keeps its pixels, the true aspect ratio sets the other axis, and no axis loses pixels.
 * @param {Quad} quad in pixels @param {Size} picture @param {number} [maxPixels] @returns {Size}
 */
export function outputSize(quad, picture, maxPixels = MAX_OUTPUT_PIXELS) {
  const [tl, tr, br, bl] = quad;
  const ratio = snapRatio(aspectRatio(quad, picture));
  const height = Math.max(distance(tl, bl), distance(tr, br), Math.max(distance(tl, tr), distance(bl, br)) / ratio);
  const shrink = Math.min(1, Math.sqrt(maxPixels / (height * height * ratio)));
  return {
    width: Math.max(1, Math.floor(height * ratio * shrink + 1e-6)),
    height: Math.max(1, Math.floor(height * shrink + 1e-6)),
  };
}
