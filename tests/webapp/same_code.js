// Whether pairs of files hold the same code: node same_code.js PAIRS.json; says where they part, exit 1.
import { readFileSync } from 'node:fs';
import ts from 'typescript';

/** @param {string} path */
const parse = (path) => ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, false, ts.ScriptKind.JS);

/** @param {ts.Node} node @returns {ts.Node[]} */
function children(node) {
  /** @type {ts.Node[]} */
  const found = [];
  ts.forEachChild(node, (child) => void found.push(child));
  return found;
}

/**
 * What a node is, its children left aside: kind, text (names, literals), operator, const or let, optional chain.
 * @param {ts.Node} node
 */
function identity(node) {
  const { text, rawText, operator } = /** @type {any} */ (node);
  const flags = node.flags & (ts.NodeFlags.BlockScoped | ts.NodeFlags.OptionalChain);
  return JSON.stringify([ts.SyntaxKind[node.kind], ts.isSourceFile(node) ? '' : text, rawText, operator, flags]);
}

/** @param {ts.Node} a @param {ts.Node} b @returns {string | null} */
function difference(a, b) {
  if (identity(a) !== identity(b)) return `${identity(a)} is ${identity(b)}`;
  const [left, right] = [children(a), children(b)];
  if (left.length !== right.length) return `${identity(a)} has ${left.length} parts, not ${right.length}`;
  for (let k = 0; k < left.length; k++) {
    const found = difference(left[k], right[k]);
    if (found) return found;
  }
  return null;
}

const pairs = JSON.parse(readFileSync(process.argv[2], 'utf8'));
for (const [first, second] of pairs) {
  const found = difference(parse(first), parse(second));
  if (found) {
    console.error(`${first}: ${found}`);
    process.exitCode = 1;
  }
}
