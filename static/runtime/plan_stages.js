// Cutting a graph where shapes depend on data: stages, each one plan and then the operators that run on the host. Pure.
/** @typedef {import('./manifest.js').Op} Op */
/** @typedef {import('./plan.js').Graph} Graph */
/** @typedef {import('./plan.js').Operators} Operators */
/**
 * @typedef {object} Stage
 * @property {Op[]} ops that are planned together, in order
 * @property {string[]} reads values from outside the stage: inputs of the graph, results of earlier stages
 * @property {string[]} writes results that something outside the planned operators needs
 * @property {Op[]} hosts operators that run after them, each reading only what is there by then
 */

/**
 * An operator runs in the first stage in which all it reads is there; what a host operator makes is there one stage
 * later. A graph without host operators is one stage.
 * @param {Graph} graph @param {Operators} operators
 * @returns {Stage[]}
 */
export function stagesOf(graph, operators) {
  const ops = neededOps(graph);
  /** @type {Map<string, number>} */
  const level = new Map();
  /** @type {{ops: Op[], hosts: Op[]}[]} */
  const stages = [];
  for (const op of ops) {
    const at = Math.max(0, ...names(op.inputs).map((name) => level.get(name) ?? 0));
    const host = isHost(op, operators);
    for (const name of names(op.outputs)) level.set(name, host ? at + 1 : at);
    while (stages.length <= at) stages.push({ ops: [], hosts: [] });
    stages[at][host ? 'hosts' : 'ops'].push(op);
  }
  return stages.map((stage, i) => {
    const later = stages.slice(i + 1).flatMap((other) => [...other.ops, ...other.hosts]);
    const outside = new Set([...stage.hosts, ...later].flatMap((op) => names(op.inputs)));
    for (const { name } of graph.outputs) outside.add(name);
    const made = new Set(stage.ops.flatMap((op) => names(op.outputs)));
    const read = new Set(stage.ops.flatMap((op) => names(op.inputs)));
    return {
      ...stage, writes: [...made].filter((name) => outside.has(name)),
      reads: [...read].filter((name) => !made.has(name) && !graph.vars.get(name)?.persistable),
    };
  });
}

/** @param {Op} op @param {Operators} operators */
const isHost = (op, operators) => Boolean(operators.get(op.type)?.rule.host);

/** @param {Record<string, string[]>} slots */
const names = (slots) => Object.values(slots).flat();

/**
 * What a stage reads that a value within it depends on.
 * @param {Stage} stage @param {string} value
 * @returns {string[]}
 */
export function sourcesOf({ ops, reads }, value) {
  const needed = new Set([value]);
  for (const op of [...ops].reverse()) {
    if (names(op.outputs).some((name) => needed.has(name))) for (const name of names(op.inputs)) needed.add(name);
  }
  return reads.filter((name) => needed.has(name));
}

/** Those that some output depends on, in order. @param {Graph} graph @returns {Op[]} */
function neededOps({ ops, outputs }) {
  const needed = new Set(outputs.map(({ name }) => name));
  return [...ops].reverse().filter((op) => {
    const wanted = names(op.outputs).some((name) => needed.has(name));
    if (wanted) for (const name of names(op.inputs)) needed.add(name);
    return wanted;
  }).reverse();
}
