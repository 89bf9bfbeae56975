// node refine_photos.js WORKDIR: how the refinement changes guessed corners of real photos.
// Reads WORKDIR/index.json, [{file, width, height, corners}] (file: raw RGBA beside it; corners in its pixels), and
// prints [{file, before, after, worse, runs}]: mean IoU with the given corners, and how many runs lost more than 0.01.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { convexIoU } from '../../static/pages/scanner/vision/geometry.js';
import { refineCorners } from '../../static/pages/scanner/vision/refine.js';
import { seeded } from './draw.js';
import { perturbed } from './scenes.js';

const SIGMAS = [0.003, 0.006, 0.009, 0.012, 0.015];
const RUNS = 8;

/** @param {string} folder @param {{file: string, width: number, height: number, corners: import('./draw.js').Quad}} photo */
function measure(folder, { file, width, height, corners }) {
  const data = new Uint8ClampedArray(readFileSync(join(folder, file)));
  const random = seeded(11);
  const result = { file, before: 0, after: 0, worse: 0, runs: SIGMAS.length * RUNS };
  for (let run = 0; run < result.runs; run++) {
    const guess = perturbed(corners, SIGMAS[run % SIGMAS.length], random, Math.hypot(width, height));
    const before = convexIoU(guess, corners);
    const after = convexIoU(refineCorners({ data, width, height }, guess), corners);
    result.before += before / result.runs;
    result.after += after / result.runs;
    if (after < before - 0.01) result.worse++;
  }
  return result;
}

const folder = process.argv[2];
const photos = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8'));
console.log(JSON.stringify(photos.map((/** @type {any} */ photo) => measure(folder, photo))));
