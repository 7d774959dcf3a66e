// Who stands behind whom in the drawing of a run. Pure: knows tasks and edges, not the page.

const TURN = /^\.(\d+)\.\d+$/; // what the id of a turn has behind that of its flow: step and place

/**
 * Map the ids of tasks to the ids that they are drawn behind.
 *
 * A flow (a pattern, a loop) waits for its turns, and each of its steps comes after the one before: drawn as
 * it happened, the steps one behind the other, and the flow, whose output it is, behind the last one.
 *
 * @param {Array<{id: string, parent: string|null}>} tasks
 * @param {Object<string, string[]>} edges maps ids to the ids they wait for
 * @returns {Map<string, string[]>}
 */
export function needsOf(tasks, edges) {
  const flows = turnsOf(tasks);
  return new Map(tasks.map((task) => [task.id, needs(task, edges, flows)]));
}

function needs({ id, parent }, edges, flows) {
  const own = edges[id] ?? [];
  const steps = flows.get(id);
  if (steps) return steps.get(Math.max(...steps.keys()));
  const step = stepOf(id, parent);
  if (step !== null) {
    const earlier = [...flows.get(parent).keys()].filter((one) => one < step);
    // Turns of one step may wait for each other.
    const within = own.filter((one) => stepOf(one, parent) === step);
    if (within.length) return within;
    return earlier.length ? flows.get(parent).get(Math.max(...earlier)) : own;
  }
  // A task that another one has added stands behind that one, unless that one waits for it.
  return own.length || !parent || edges[parent]?.includes(id) ? own : [parent];
}

function turnsOf(tasks) {
  const flows = new Map();
  for (const { id, parent } of tasks) {
    const step = stepOf(id, parent);
    if (step === null) continue;
    if (!flows.has(parent)) flows.set(parent, new Map());
    const steps = flows.get(parent);
    steps.set(step, [...(steps.get(step) ?? []), id]);
  }
  return flows;
}

function stepOf(id, parent) {
  if (!parent || !id.startsWith(parent)) return null;
  const found = TURN.exec(id.slice(parent.length));
  return found ? Number(found[1]) : null;
}
