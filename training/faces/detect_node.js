// The page's own detector, under Node, for evaluate.py: a line of JSON in, a line of JSON out.
//
//   node training/faces/detect_node.js [FOLDER OF BUNDLES]
//
// {"file", "width", "height", "call": "detect", "options"} or {…, "call": "read", "boxes"} or {…, "call": "upper",
// "boxes"}; file holds RGBA bytes. The answer is what detect.js gives.
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

import { createDetector } from '../../static/pages/attention/detect.js';
import { load } from '../../static/runtime/index.js';

const folder = process.argv[2] && pathToFileURL(`${process.argv[2]}/`);
const detector = createDetector((url, options) => {
  const name = url.pathname.split('/').at(-2);
  return load(folder ? new URL(`${name}/`, folder) : url, { ...options, worker: false });
});

const calls = {
  detect: (image, { options }) => detector.detectFaces(image, options),
  read: (image, { boxes }) => detector.readFaces(image, boxes),
  upper: (image, { boxes }) => Promise.all(boxes.map((box) => detector.readUpperBody(image, box))),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { file, width, height, call, ...rest } = JSON.parse(line);
  const data = new Uint8ClampedArray(await readFile(file));
  process.stdout.write(`${JSON.stringify(await calls[call]({ data, width, height }, rest))}\n`);
}
await detector.release();
