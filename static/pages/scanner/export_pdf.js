// A small PDF writer: one scanned picture a page. JPEG bytes go in as they are (DCTDecode); black-and-white pages go in
// as one bit a pixel, zlib-compressed (FlateDecode). The same pages give the same bytes. After PDF 1.4 (ISO 32000-1).

/**
 * @typedef {object} PdfImage
 * @property {'jpeg' | 'bits'} kind jpeg: a three-component JFIF file; bits: zlib stream of 1-bit rows, 1 = white
 * @property {Uint8Array<ArrayBuffer>} bytes
 * @property {number} width pixels
 * @property {number} height pixels
 */
/** @typedef {'fit' | 'a4' | 'letter'} PaperSize */

/** @type {Record<Exclude<PaperSize, 'fit'>, [number, number]>} short and long side in points (1/72 inch) */
const PAPER = { a4: [595.276, 841.89], letter: [612, 792] };
const PRODUCER = 'Paddle InPage';

/**
 * The paper and the picture's rectangle on it. Paper is turned to suit the picture; `fit` is paper in the picture's own
 * shape, its long side that of A4.
 * @param {{width: number, height: number}} image pixels
 * @param {PaperSize} size
 * @returns {{paper: [number, number], box: [number, number, number, number]}} points; box = left, bottom, width, height
 */
export function layOut({ width, height }, size) {
  if (size === 'fit') {
    const scale = PAPER.a4[1] / Math.max(width, height);
    return { paper: [width * scale, height * scale], box: [0, 0, width * scale, height * scale] };
  }
  const [short, long] = PAPER[size];
  const paper = /** @type {[number, number]} */ (width > height ? [long, short] : [short, long]);
  const scale = Math.min(paper[0] / width, paper[1] / height);
  const [boxWidth, boxHeight] = [width * scale, height * scale];
  return { paper, box: [(paper[0] - boxWidth) / 2, (paper[1] - boxHeight) / 2, boxWidth, boxHeight] };
}

/** @param {number} value @returns {string} at most three decimals, never an exponent */
function number(value) {
  return String(Math.round(value * 1000) / 1000);
}

/** @param {string} text @returns {string} a PDF text string in UTF-16 */
function textString(text) {
  const units = Array.from({ length: text.length }, (_, i) => text.charCodeAt(i).toString(16).padStart(4, '0'));
  return `<feff${units.join('')}>`;
}

/** @param {Date} date @returns {string} a PDF date in UTC */
function dateString(date) {
  return `(D:${date.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z)`;
}

/** Collects bytes and remembers where each object began. */
class Body {
  constructor() {
    /** @type {Uint8Array<ArrayBuffer>[]} */
    this.parts = [];
    this.length = 0;
    /** @type {number[]} offset of object i at index i; index 0 is unused */
    this.offsets = [0];
  }

  /** @param {string | Uint8Array<ArrayBuffer>} part */
  write(part) {
    const bytes = typeof part === 'string' ? new TextEncoder().encode(part) : part;
    this.parts.push(bytes);
    this.length += bytes.length;
  }

  /** @param {number} id @param {string} dictionary @param {Uint8Array<ArrayBuffer>} [stream] */
  object(id, dictionary, stream) {
    this.offsets[id] = this.length;
    this.write(`${id} 0 obj\n`);
    if (stream) {
      this.write(`<< ${dictionary} /Length ${stream.length} >>\nstream\n`);
      this.write(stream);
      this.write('\nendstream\nendobj\n');
    } else {
      this.write(`<< ${dictionary} >>\nendobj\n`);
    }
  }

  /** @param {number} root @param {number} info */
  close(root, info) {
    const start = this.length;
    const count = this.offsets.length;
    this.write(`xref\n0 ${count}\n0000000000 65535 f \n`);
    for (const offset of this.offsets.slice(1)) this.write(`${String(offset).padStart(10, '0')} 00000 n \n`);
    this.write(`trailer\n<< /Size ${count} /Root ${root} 0 R /Info ${info} 0 R >>\nstartxref\n${start}\n%%EOF\n`);
  }

  /** @returns {Uint8Array<ArrayBuffer>} */
  bytes() {
    const all = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}

/** @param {PdfImage} image @returns {string} */
function imageDictionary({ kind, width, height }) {
  const common = `/Type /XObject /Subtype /Image /Width ${width} /Height ${height}`;
  return kind === 'jpeg'
    ? `${common} /ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /DCTDecode`
    : `${common} /ColorSpace /DeviceGray /BitsPerComponent 1 /Filter /FlateDecode`;
}

/**
 * @param {PdfImage[]} images one a page, in order
 * @param {{size?: PaperSize, title?: string, date?: Date}} [options]
 * @returns {Uint8Array<ArrayBuffer>} the file
 */
export function writePdf(images, { size = 'fit', title = 'Scan', date = new Date(0) } = {}) {
  if (images.length === 0) throw new RangeError('a PDF needs at least one page');
  const [catalog, pages, info, first, perPage] = [1, 2, 3, 4, 3];
  const body = new Body();
  body.write('%PDF-1.4\n');
  body.write(new Uint8Array([0x25, 0xe2, 0xe3, 0xcf, 0xd3, 0x0a]));   // tells programs that the file is binary
  const kids = images.map((_, i) => `${first + i * perPage} 0 R`).join(' ');
  body.object(catalog, `/Type /Catalog /Pages ${pages} 0 R`);
  body.object(pages, `/Type /Pages /Kids [${kids}] /Count ${images.length}`);
  body.object(info, `/Title ${textString(title)} /Producer (${PRODUCER}) /CreationDate ${dateString(date)}`);
  images.forEach((image, i) => {
    const id = first + i * perPage;
    const { paper, box: [left, bottom, width, height] } = layOut(image, size);
    const drawing = `q ${[width, 0, 0, height, left, bottom].map(number).join(' ')} cm /Im0 Do Q`;
    body.object(id, `/Type /Page /Parent ${pages} 0 R /MediaBox [0 0 ${paper.map(number).join(' ')}] `
      + `/Resources << /XObject << /Im0 ${id + 2} 0 R >> >> /Contents ${id + 1} 0 R`);
    body.object(id + 1, '', new TextEncoder().encode(drawing));
    body.object(id + 2, imageDictionary(image), image.bytes);
  });
  body.close(catalog, info);
  return body.bytes();
}
