// Getting finished pages out of the tab: files, the share sheet, the clipboard.

import { writePdf } from './export_pdf.js';
import { writeZip } from './zip.js';

/** @typedef {import('./pages_store.js').Page} Page */
/** @typedef {import('./export_pdf.js').PaperSize} PaperSize */
/** @typedef {Pick<import('./vision_client.js').VisionClient, 'makePng'>} PngMaker */

/**
 * A name that every file system takes: no separators, no control characters, no leading dots.
 * @param {string} name
 * @returns {string}
 */
export function safeName(name) {
  const cleaned = name.replace(/[\u0000-\u001f\u007f<>:"/\\|?*]+/g, ' ').replace(/\s+/g, ' ').replace(/^[. ]+|[. ]+$/g, '');
  return cleaned.slice(0, 80) || 'scan';
}

/** @param {Date} date @returns {string} scan-2026-11-21 */
export function defaultName(date) {
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  return `scan-${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** @param {number} bytes @returns {string} */
export function readableSize(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/**
 * All pages as one PDF.
 * @param {readonly Page[]} pages all finished
 * @param {{name: string, paper: PaperSize, date: Date}} options
 * @returns {Promise<File>}
 */
export async function pdfOf(pages, { name, paper, date }) {
  const images = await Promise.all(pages.map(async ({ finished, id }) => {
    if (!finished) throw new Error(`${id} is not finished`);
    const { width, height, bits, blob } = finished;
    if (bits) return { kind: /** @type {const} */ ('bits'), bytes: bits, width, height };
    return { kind: /** @type {const} */ ('jpeg'), bytes: new Uint8Array(await blob.arrayBuffer()), width, height };
  }));
  return new File([writePdf(images, { size: paper, title: name, date })], `${name}.pdf`, { type: 'application/pdf' });
}

/** @param {Page} page @param {PngMaker} maker @param {string} name @returns {Promise<File>} */
export async function pngOf({ id, source, look, finished }, maker, name) {
  const blob = look.mode === 'black-white' && finished ? finished.blob : await maker.makePng({ id, source, look });
  return new File([blob], `${name}.png`, { type: 'image/png' });
}

/**
 * All pages as PNG files in one ZIP.
 * @param {readonly Page[]} pages
 * @param {PngMaker} maker
 * @param {{name: string, date: Date, onProgress: (done: number) => void}} options
 * @returns {Promise<File>}
 */
export async function zipOf(pages, maker, { name, date, onProgress }) {
  const files = [];
  const digits = String(pages.length).length;
  for (const [i, page] of pages.entries()) {
    onProgress(i);
    const file = await pngOf(page, maker, `${name}-${String(i + 1).padStart(digits, '0')}`);
    files.push({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) });
  }
  return new File([writeZip(files, date)], `${name}.zip`, { type: 'application/zip' });
}

/** Hands a file to the browser's downloads. @param {File} file */
export function download(file) {
  const url = URL.createObjectURL(file);
  const link = Object.assign(document.createElement('a'), { href: url, download: file.name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);   // some browsers read the file only after a question
}

/** @returns {boolean} whether the share sheet takes files here */
export function canShare() {
  const probe = new File([''], 'scan.pdf', { type: 'application/pdf' });
  return Boolean(navigator.canShare?.({ files: [probe] }));
}

/** @returns {boolean} */
export function canCopy() {
  return typeof ClipboardItem === 'function' && Boolean(navigator.clipboard?.write);
}
