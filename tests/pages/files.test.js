import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inflateSync } from 'node:zlib';

import { deflate, packBits, store } from '../../static/pages/scanner/bits.js';
import { layOut, writePdf } from '../../static/pages/scanner/export_pdf.js';
import { checkFile } from '../../static/pages/scanner/photos.js';
import { pictureKind } from '../../static/pages/scanner/picture_kind.js';
import { defaultName, readableSize, safeName } from '../../static/pages/scanner/save.js';
import { crc32, writeZip } from '../../static/pages/scanner/zip.js';

const latin1 = (/** @type {Uint8Array} */ bytes) => Buffer.from(bytes).toString('latin1');
const jpegPage = { kind: /** @type {const} */ ('jpeg'), bytes: Uint8Array.from([0xff, 0xd8, 0xff, 0xd9]), width: 1000, height: 1414 };
const bitsPage = { kind: /** @type {const} */ ('bits'), bytes: Uint8Array.from([1, 2, 3]), width: 300, height: 200 };

test('pixels are packed from the highest bit, rows to whole bytes', () => {
  const data = new Uint8Array(10 * 2 * 4).fill(255);
  for (const black of [0, 9, 12]) data.fill(0, black * 4, black * 4 + 3);
  assert.deepEqual([...packBits({ data, width: 10, height: 2 })], [0b01111111, 0b10000000, 0b11011111, 0b11000000]);
});

test('both zlib writers give back what went in', async () => {
  for (const length of [0, 1, 65535, 65536, 200_000]) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 7) & 255);
    assert.deepEqual(new Uint8Array(inflateSync(store(bytes))), bytes, `stored, ${length} bytes`);
    assert.deepEqual(new Uint8Array(inflateSync(await deflate(bytes))), bytes, `compressed, ${length} bytes`);
  }
});

test('every xref entry of a PDF points at its object, every stream has its length', () => {
  const text = latin1(writePdf([jpegPage, bitsPage], { title: 'Übung', date: new Date(Date.UTC(2026, 10, 21, 14, 5, 6)) }));
  const start = Number(/startxref\n(\d+)\n%%EOF\n$/.exec(text)?.[1]);
  const lines = text.slice(start).split('\n');
  assert.equal(lines[0], 'xref');
  assert.equal(lines[1], '0 10');
  for (let id = 1; id < 10; id++) {
    assert.equal(lines[2 + id].length, 19);
    assert.ok(text.startsWith(`${id} 0 obj\n`, Number(lines[2 + id].slice(0, 10))), `object ${id}`);
  }
  const streams = [...text.matchAll(/\/Length (\d+) >>\nstream\n/g)];
  assert.equal(streams.length, 4);
  for (const match of streams) {
    assert.ok(text.startsWith('\nendstream\nendobj\n', match.index + match[0].length + Number(match[1])));
  }
  assert.match(text, /\/Title <feff00dc00620075006e0067>/);
  assert.match(text, /\/CreationDate \(D:20261121140506Z\)/);
  assert.match(text, /\/Kids \[4 0 R 7 0 R\] \/Count 2/);
});

test('the same pages give the same PDF, no pages give an error', () => {
  assert.deepEqual(writePdf([jpegPage]), writePdf([jpegPage]));
  assert.throws(() => writePdf([]), RangeError);
});

test('paper: fit has the page\'s shape, A4 and Letter are turned to it and centre it', () => {
  const fit = layOut(jpegPage, 'fit');
  assert.equal(fit.paper[1], 841.89);
  assert.ok(Math.abs(fit.paper[0] / fit.paper[1] - 1000 / 1414) < 1e-9);
  assert.deepEqual(layOut(bitsPage, 'a4').paper, [841.89, 595.276]);
  assert.deepEqual(layOut(jpegPage, 'letter').paper, [612, 792]);
  const { paper, box: [left, bottom, width, height] } = layOut({ width: 100, height: 400 }, 'a4');
  assert.ok(Math.abs(width / height - 0.25) < 1e-9);
  assert.ok(Math.abs(2 * left + width - paper[0]) < 1e-9 && Math.abs(2 * bottom + height - paper[1]) < 1e-9);
});

test('CRC-32 of the standard check string', () => {
  assert.equal(crc32(new TextEncoder().encode('123456789')), 0xcbf43926);
});

test('a ZIP names its files and finds its directory', async () => {
  const zip = writeZip([{ name: 'ä-1.png', bytes: Uint8Array.from([1, 2]) }, { name: 'b.png', bytes: new Uint8Array(5) }]);
  const bytes = Buffer.from(await zip.arrayBuffer());
  const end = bytes.length - 22;
  assert.equal(bytes.readUInt32LE(end), 0x06054b50);
  assert.equal(bytes.readUInt16LE(end + 10), 2);
  const directory = bytes.readUInt32LE(end + 16);
  assert.equal(bytes.readUInt32LE(directory), 0x02014b50);
  assert.equal(bytes.readUInt32LE(end + 12), end - directory);
});

test('pictures are known by their first bytes, whatever the file is called', () => {
  const kind = (/** @type {string} */ text) => pictureKind(Uint8Array.from([...text.padEnd(40, '\0')].map((c) => c.charCodeAt(0))));
  assert.equal(kind('\x89PNG\r\n\x1a\n'), 'png');
  assert.equal(kind('\xff\xd8\xff\xe1'), 'jpeg');
  assert.equal(kind('RIFF\x10\n\0\0WEBPVP8 '), 'webp');
  assert.equal(kind('GIF89a'), 'gif');
  assert.equal(kind('BM'), 'bmp');
  assert.equal(kind('\0\0\0\x1cftypavif'), 'avif');
  assert.equal(kind('\0\0\0\x18ftypheic'), 'heic');
  for (const text of ['Hello, world', '', '%PDF-1.7', 'RIFF\x10\0\0\0WAVEfmt ', '\0\0\0\x18ftypisom', '<svg xmlns=']) {
    assert.equal(kind(text), null, text);
  }
  assert.equal(pictureKind(new Uint8Array(0)), null);
});

test('files are refused before they are decoded: empty, no picture, more than 80 megapixels', async () => {
  await assert.rejects(checkFile(new File([], 'a.jpg')), { code: 'empty', message: /“a\.jpg” is empty/ });
  await assert.rejects(checkFile(new File(['plain text, no picture'], 'b.txt')), { code: 'not_picture' });
  const png = Uint8Array.from([...'\x89PNG\r\n\x1a\n'].map((c) => c.charCodeAt(0)).concat([0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0x30, 0, 0, 0, 0x30, 0]));
  await assert.rejects(checkFile(new File([png], 'c.png')), { code: 'too_large', message: /151 megapixels; up to 80/ });
});

test('file names are safe, sizes readable', () => {
  assert.equal(safeName('../../etc/pass:wd?\u0000'), 'etc pass wd');
  assert.equal(safeName('  '), 'scan');
  assert.equal(safeName('Rechnung Müller'), 'Rechnung Müller');
  assert.equal(defaultName(new Date(2026, 0, 5)), 'scan-2026-01-05');
  assert.deepEqual([12, 345_678, 2_345_678].map(readableSize), ['1 kB', '346 kB', '2.3 MB']);
});
