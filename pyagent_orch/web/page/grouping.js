// What of a large run is drawn as one box: nobody reads two thousand of them.
// Pure: knows tasks and what they wait for, not the page.

const ALONE = 120; // up to so many tasks each has a box of its own
const MOST = 240; // more boxes than this are not drawn
const TWINS = 4; // so many tasks with the same neighbours become one box
const CROWD = 13; // so many do so in a small run, too

/**
 * Put tasks into boxes.
 *
 * @param {Array<{id: string, name: string, needs: string[]}>} tasks
 * @returns {{boxes: Array<{id: string, label: string, members: string[]}>, edges: Array<[string, string]>}}
 */
export function grouped(tasks) {
  const known = new Set(tasks.map((task) => task.id));
  const needs = new Map(tasks.map((task) => [task.id, task.needs.filter((id) => known.has(id))]));
  const twins = boxed(tasks, needs, twinKeys(tasks, needs, tasks.length <= ALONE ? CROWD : TWINS));
  if (twins.boxes.length <= MOST) return twins;
  const depth = depths(tasks, needs);
  return boxed(tasks, needs, (task) => `step ${depth.get(task.id) + 1}`);
}

function twinKeys(tasks, needs, least) {
  const feeds = new Map(tasks.map((task) => [task.id, []]));
  for (const [id, list] of needs) for (const need of list) feeds.get(need).push(id);
  const key = (task) =>
    `${[...needs.get(task.id)].sort().join(" ")}|${feeds.get(task.id).sort().join(" ")}`;
  const keys = new Map(tasks.map((task) => [task.id, key(task)]));
  const sizes = new Map();
  for (const one of keys.values()) sizes.set(one, (sizes.get(one) ?? 0) + 1);
  return (task) => (sizes.get(keys.get(task.id)) >= least ? keys.get(task.id) : task.id);
}

function depths(tasks, needs) {
  const found = new Map();
  // Without recursion: a chain may be longer than the stack is deep.
  for (const task of tasks) {
    const agenda = [task.id];
    while (agenda.length) {
      const id = agenda[agenda.length - 1];
      const open = needs.get(id).filter((need) => !found.has(need));
      if (open.length && !found.has(id)) agenda.push(...open);
      else {
        agenda.pop();
        found.set(id, 1 + Math.max(-1, ...needs.get(id).map((need) => found.get(need))));
      }
    }
  }
  return found;
}

// What two names begin with alike.
function common(one, other) {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length++;
  return one.slice(0, length);
}

function boxed(tasks, needs, keyOf) {
  const boxes = new Map();
  const boxOf = new Map();
  for (const task of tasks) {
    const key = keyOf(task);
    if (!boxes.has(key)) boxes.set(key, { id: key, label: task.name, shared: task.name, members: [] });
    const box = boxes.get(key);
    box.shared = common(box.shared, task.name);
    box.members.push(task.id);
    boxOf.set(task.id, key);
  }
  for (const box of boxes.values()) {
    const shared = box.shared.replace(/[\W\d_]+$/u, "");
    if (box.members.length > 1) box.label = shared.length > 2 ? `${box.members.length} × ${shared}` : `${box.members.length} tasks: ${box.label} …`;
  }
  const edges = new Map();
  for (const [id, list] of needs) {
    for (const need of list) {
      const [from, to] = [boxOf.get(need), boxOf.get(id)];
      if (from !== to) edges.set(`${from} ${to}`, [from, to]);
    }
  }
  return { boxes: [...boxes.values()], edges: [...edges.values()] };
}
