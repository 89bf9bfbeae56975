// Which tensors lie in blocks of four channels: chosen once per plan, so that the fewest elements are converted.
import { count, OpNode, stored } from './ops/node.js';

/** @typedef {import('./ops/node.js').Value} Value */
/** @typedef {import('./ops/node.js').Layout} Layout */
/** @typedef {import('./plan.js').Planned} Planned */

/**
 * The minimum cut: nodes on the plain side hang on the source, those on the blocked side on the sink, and a tensor that
 * crosses costs its size once. Every `either` operator falls on the side that the cut gives it, hence no choice of
 * layouts converts fewer elements.
 */
class Cut {
  constructor() {
    /** @type {number[][]} edges of each node; edge e ends at `ends[e]`, its opposite is e ^ 1 */
    this.edges = [[], []];
    /** @type {number[]} */
    this.ends = [];
    /** @type {number[]} */
    this.room = [];
  }

  /** @returns {number} */
  node() {
    return this.edges.push([]) - 1;
  }

  /** @param {number} from @param {number} to @param {number} capacity */
  edge(from, to, capacity) {
    this.edges[from].push(this.ends.push(to) - 1);
    this.room.push(capacity);
    this.edges[to].push(this.ends.push(from) - 1);
    this.room.push(0);
  }

  /** Distance of each node from the source over edges with room; -1 where there is no way. @returns {Int32Array} */
  levels() {
    const level = new Int32Array(this.edges.length).fill(-1), queue = [SOURCE];
    level[SOURCE] = 0;
    for (const node of queue) {
      for (const e of this.edges[node]) {
        const end = this.ends[e];
        if (this.room[e] > 0 && level[end] < 0) {
          level[end] = level[node] + 1;
          queue.push(end);
        }
      }
    }
    return level;
  }

  /** Fills one way to the sink. @param {Int32Array} level @param {Int32Array} next the edge of each node to try first @returns {boolean} */
  fill(level, next) {
    /** @type {number[]} */
    const way = [];
    for (let node = SOURCE; node !== SINK;) {
      const e = this.edges[node][next[node]];
      if (e === undefined) { // nothing leads on from here: back, and never here again
        const back = way.pop();
        if (back === undefined) return false;
        node = this.ends[back ^ 1];
        next[node]++;
      } else if (this.room[e] > 0 && level[this.ends[e]] === level[node] + 1) {
        way.push(e);
        node = this.ends[e];
      } else next[node]++;
    }
    const least = Math.min(...way.map((e) => this.room[e]));
    for (const e of way) {
      this.room[e] -= least;
      this.room[e ^ 1] += least;
    }
    return true;
  }

  /** Which nodes are on the source's side of a minimum cut (Dinic). @returns {boolean[]} */
  solve() {
    for (;;) {
      const level = this.levels();
      if (level[SINK] < 0) return Array.from(level, (distance) => distance >= 0);
      const next = new Int32Array(this.edges.length);
      while (this.fill(level, next));
    }
  }
}

const SOURCE = 0, SINK = 1;

/** Whether a value can lie in blocks: no weight, whose elements may be on their way. @param {Value} value */
const canBlock = (value) => value.shape.length === 4 && value.dtype === 'float32' && !value.weight && !value.host;

/** Whether both layouts are the same bytes. @param {Value} value */
const isSame = ({ shape: [N, C, H, W] }) => H * W === 1 && (N === 1 || C % 4 === 0);

/** @param {OpNode} node @returns {Value[]} */
const inputsOf = (node) => [...new Set(Object.values(node.inputs).flat())].filter(canBlock);

/**
 * @param {Planned[]} nodes in order @param {Layout[]} wishes of each @param {Set<Value>} outputs of the graph
 * @returns {{takes: boolean[], gives: boolean[]}} per node whether it takes and gives blocked tensors
 */
function solve(nodes, wishes, outputs) {
  const cut = new Cut(), FOREVER = 2 ** 50;
  const sides = wishes.map((wish) => {
    const both = wish === 'either' ? cut.node() : wish === 'blocked' ? SINK : SOURCE;
    return { takes: wish === 'exit' ? SINK : both, gives: wish === 'entry' ? SINK : both };
  });
  /** @type {Map<Value, number[]>} */
  const readers = new Map();
  nodes.forEach(({ node }, i) => {
    for (const value of inputsOf(node)) readers.set(value, [...(readers.get(value) ?? []), sides[i].takes]);
  });
  for (const value of outputs) if (canBlock(value)) readers.set(value, [...(readers.get(value) ?? []), SOURCE]);
  const makers = new Map(nodes.flatMap(({ node }, i) => node.outputs.map((out) => [out, sides[i].gives])));
  for (const [value, ends] of readers) {
    if (isSame(value)) continue;
    const maker = makers.get(value) ?? SOURCE, size = count(value.shape), toBlocked = cut.node(), toPlain = cut.node();
    cut.edge(maker, toBlocked, size);
    cut.edge(toPlain, maker, size);
    for (const end of ends) {
      cut.edge(toBlocked, end, FOREVER);
      cut.edge(end, toPlain, FOREVER);
    }
  }
  const plain = cut.solve();
  return { takes: sides.map(({ takes }) => !plain[takes]), gives: sides.map(({ gives }) => !plain[gives]) };
}

/** @type {import('./ops/node.js').Lower} */
function relayout(node, to) {
  const x = node.x(), [N, C, H, W] = x.shape;
  to.emit(x.blocked ? 'to_plain' : 'to_blocked', [x, node.out, N, C, H * W], 8 * stored(node.out));
}

/** The step between two layouts of a value. @param {Value} from @returns {Planned} */
function conversion(from) {
  const to = { ...from, blocked: !from.blocked, block: null, offset: 0 };
  const node = new OpNode({ type: 'relayout', attrs: {}, outputs: { Out: [from.name] } }, { X: [from] });
  node.outputs = [to];
  const rule = { attrs: [], types: {}, shape: () => [] };
  return { node, def: { rule, lower: relayout }, aliases: isSame(from) ? [{ of: from, elements: 0 }] : null };
}

/**
 * Sets the layout of every value and puts conversions between operators that do not agree.
 * @param {Planned[]} nodes in order; their inputs are replaced where they are converted
 * @param {Value[]} outputs of the graph
 * @returns {{nodes: Planned[], outputs: Value[]}} the same with conversions, and the plain outputs
 */
export function layOutValues(nodes, outputs) {
  const wishes = nodes.map(({ node, def }) => def.layout?.(node) ?? 'plain');
  if (wishes.every((wish) => wish === 'plain' || wish === 'either')) return { nodes, outputs };
  const { takes, gives } = solve(nodes, wishes, new Set(outputs));
  /** @type {Planned[]} */
  const all = [];
  /** @type {Map<Value, Value>} */
  const converted = new Map();
  /** @param {Value} value @param {boolean} blocked */
  const as = (value, blocked) => {
    if (!canBlock(value) || Boolean(value.blocked) === blocked) return value;
    const known = converted.get(value);
    if (known) return known;
    const step = conversion(value), [made] = step.node.outputs;
    all.push(step);
    converted.set(value, made);
    return made;
  };
  nodes.forEach((planned, i) => {
    const { node } = planned;
    for (const slot of Object.keys(node.inputs)) node.inputs[slot] = node.inputs[slot].map((value) => as(value, takes[i]));
    for (const out of node.outputs) if (canBlock(out)) out.blocked = gives[i];
    all.push({ ...planned, aliases: planned.aliases && planned.aliases.map((alias) => ({ ...alias, of: as(alias.of, takes[i]) })) });
  });
  return { outputs: outputs.map((value) => as(value, false)), nodes: all };
}
