/* Who can reach whom. The data (html.py makes them):

   form     "connectivity" or "difference"; about, version: text
   groups   [[namespace, [name in it, ...]], ...]; workloads are numbered in this order; addresses are the namespace null
   ports    [["TCP 80", ...], ...]
   sets     [[first, how many, first, how many, ...], ...]: numbers of workloads
   layers   [{sign: "", "+" or "-", rows: [[source, ports, set of destinations, ports, set, ...], ...]}, ...]
   open     a set: what no policy restricts; implied: these reach each other and any address, though no row says so

   All that is shown is put in as text, never as markup. */

const data = JSON.parse(document.getElementById("data").textContent);
const isChange = data.form === "difference";
const MAP_WORKLOADS = 40; // up to so many workloads each is a node of the pictures; else each namespace is
const MAP_NODES = 60;
const MAP_LINES = 700;
const RIVER = 12; // boxes on a side
const PAGE = 40; // rows that are shown before "and 240 more"
const ARROW = "\u2192",
  MINUS = "\u2212",
  DOT = "\u00b7",
  DOTS = "\u2026";

const groups = data.groups.map(([name, members]) => ({ name, members, outside: name === null }));
if (data.implied) {
  if (!groups.length || !groups.at(-1).outside) groups.push({ name: null, members: [], outside: true });
  groups.at(-1).members.push("any address");
}
const names = [];
const groupOf = [];
groups.forEach((group, g) => {
  group.start = names.length;
  for (const own of group.members) {
    names.push(own);
    groupOf.push(g);
  }
  group.end = names.length;
});
const ANY = names.length - 1; // only where data.implied

if (data.implied) {
  let all = data.ports.findIndex((ports) => ports.length === 1 && ports[0] === "all");
  if (all < 0) all = data.ports.push(["all"]) - 1;
  const open = data.sets.push(data.open) - 1;
  const openAndAny = data.sets.push([...data.open, ANY, 1]) - 1;
  const rows = [];
  each(data.open, (i) => rows.push([i, all, openAndAny]));
  rows.push([ANY, all, open]);
  data.layers.push({ sign: "", implied: true, rows });
}
const isOpen = new Uint8Array(names.length);
each(data.open, (i) => {
  isOpen[i] = 1;
});
for (const group of groups) {
  group.open = 0;
  for (let i = group.start; i < group.end; i++) group.open += isOpen[i];
}
for (const layer of data.layers) {
  layer.look = { "+": "plus", "-": "minus" }[layer.sign] || (layer.implied ? "implied" : "");
}

function each(runs, action) {
  for (let k = 0; k < runs.length; k += 2) {
    for (let i = runs[k], end = runs[k] + runs[k + 1]; i < end; i++) action(i);
  }
}

/** The numbers of a set from `start` to before `end`; `but` is left out. */
function within(set, start, end, but = -1) {
  const found = [];
  const runs = data.sets[set];
  for (let k = 0; k < runs.length && runs[k] < end; k += 2) {
    for (let i = Math.max(runs[k], start), last = Math.min(runs[k] + runs[k + 1], end); i < last; i++) {
      if (i !== but) found.push(i);
    }
  }
  return found;
}

/** Calls `action(layer, source, ports, set)` for every row. */
function eachRow(action) {
  for (const layer of data.layers) {
    for (const row of layer.rows) {
      for (let k = 1; k < row.length; k += 2) action(layer, row[0], row[k], row[k + 1]);
    }
  }
}

/** What reaches the workloads of a place: [{peer, parts: [{layer, ports, members}]}], members being those reached. */
function reachedBy(place) {
  const entries = new Map();
  eachRow((layer, src, ports, set) => {
    const members = within(set, place.start, place.end, layer.implied ? src : -1);
    if (members.length) entry(entries, src).parts.push({ layer, ports, members });
  });
  return [...entries.values()].sort((a, b) => a.peer - b.peer);
}

/** What the workloads of a place reach, of `to` only; members are those that reach it. */
function reaches(place, to = { start: 0, end: names.length }, wanted = () => true) {
  const entries = new Map();
  eachRow((layer, src, ports, set) => {
    if (src < place.start || src >= place.end || !wanted(ports, layer)) return;
    for (const dst of within(set, to.start, to.end, layer.implied ? src : -1)) {
      const { parts } = entry(entries, dst);
      const part = parts.find((p) => p.layer === layer && p.ports === ports);
      if (part) part.members.push(src);
      else parts.push({ layer, ports, members: [src] });
    }
  });
  return [...entries.values()].sort((a, b) => a.peer - b.peer);
}

function entry(entries, peer) {
  let found = entries.get(peer);
  if (!found) entries.set(peer, (found = { peer, parts: [] }));
  return found;
}

/** The nodes of the pictures, and for each layer how many pairs of workloads pass from node to node. */
let graphMade;
function graph() {
  if (graphMade) return graphMade;
  const single = names.length <= MAP_WORKLOADS;
  const nodes = single
    ? names.map((_, i) => ({ place: workload(i), size: 1, open: isOpen[i] }))
    : groups.map((group, g) => ({ place: namespace(g), size: group.end - group.start, open: group.open }));
  const node = single ? (i) => i : (i) => groupOf[i];
  const n = nodes.length;
  const shares = new Map(); // a set's members by node: many rows share a set
  const counts = data.layers.map((layer) => {
    const count = new Float64Array(n * n);
    for (const row of layer.rows) {
      for (let k = 2; k < row.length; k += 2) {
        let share = shares.get(row[k]);
        if (!share) {
          share = new Map();
          each(data.sets[row[k]], (i) => share.set(node(i), (share.get(node(i)) || 0) + 1));
          shares.set(row[k], share);
        }
        for (const [to, number] of share) count[node(row[0]) * n + to] += number;
      }
      if (layer.implied && isOpen[row[0]]) count[node(row[0]) * (n + 1)] -= 1; // itself
    }
    return count;
  });
  const weight = new Float64Array(n);
  for (const count of counts) {
    for (let a = 0; a < n; a++) {
      for (let b = 0; b < n; b++) {
        weight[a] += count[a * n + b];
        weight[b] += count[a * n + b];
      }
    }
  }
  const kept = nodes
    .map((_, a) => a)
    .filter((a) => weight[a] || !isChange)
    .sort((a, b) => weight[b] - weight[a])
    .slice(0, MAP_NODES)
    .sort((a, b) => a - b);
  graphMade = {
    single,
    n,
    nodes,
    kept,
    left: nodes.length - kept.length,
    counts,
    count: (l, a, b) => counts[l][a * n + b],
    total: (a, b) => counts.reduce((sum, count) => sum + count[a * n + b], 0),
  };
  return graphMade;
}
