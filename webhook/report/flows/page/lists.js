/* Lists of who reaches, or is reached, by namespace. */

/** Who some workloads are, in few words: names if they are few, else how many of each namespace. */
function describe(list, place) {
  if (place && list.length === place.end - place.start && list.length > 1) {
    return el(
      "span",
      { class: "note" },
      `all ${members(place)}${groups[place.group].outside ? "" : ` of ${place.label}`}`,
    );
  }
  if (list.length <= 3) {
    return list.map((i, k) => [k ? ", " : "", placeLink(workload(i), place ? ownName(i) : undefined)]);
  }
  const by = new Map();
  for (const i of list) by.set(groupOf[i], (by.get(groupOf[i]) || 0) + 1);
  const told = [...by]
    .sort((a, b) => b[1] - a[1])
    .map(([g, n]) => {
      const size = groups[g].end - groups[g].start;
      return n === size && size > 1 ? `all ${number(n)} of ${groupName(g)}` : `${number(n)} of ${groupName(g)}`;
    });
  const text = place
    ? `${number(list.length)} of ${members(place)}`
    : told.slice(0, 3).join(", ") + (told.length > 3 ? ` and ${count(told.length - 3, "more namespace")}` : "");
  const box = el("span", { class: "note" }, text, " ");
  box.append(
    el(
      "button",
      {
        class: "more",
        "aria-label": `name all ${list.length}`,
        onclick: () => {
          const names_ = el("span", null);
          box.replaceChildren(...paged(names_, list, (i) => el("span", null, placeLink(workload(i)), " ")));
        },
      },
      "which?",
    ),
  );
  return box;
}

function entryRow(item, verb, place) {
  const kind = kindOf(item.peer);
  const name = groups[groupOf[item.peer]].outside ? fullName(item.peer) : ownName(item.peer);
  return el(
    "li",
    null,
    el("span", null, placeLink(workload(item.peer), name), kind ? el("span", { class: "kind" }, ` ${kind}`) : null),
    el(
      "span",
      { class: "parts" },
      item.parts.map((part) =>
        el(
          "span",
          { class: "part" },
          el("span", null, sign(part.layer), " ", portChips(part.ports)),
          verb ? el("span", null, el("span", { class: "kind" }, `${verb} `), describe(part.members, place)) : null,
        ),
      ),
    ),
  );
}

/** Entries by namespace, each folded; what is in it is made when it is opened. */
function entryList(entries, { own = -1, place = null, verb = "", empty, unit = null }) {
  const box = el("div", null);
  function show(filter) {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (item) => {
      const text =
        `${fullName(item.peer)} ${item.parts.map((part) => data.ports[part.ports].join(" ")).join(" ")}`.toLowerCase();
      return words.every((word) => text.includes(word));
    };
    const left = words.length ? entries.filter(fits) : entries;
    const by = new Map();
    for (const item of left) {
      const g = groupOf[item.peer];
      if (!by.has(g)) by.set(g, []);
      by.get(g).push(item);
    }
    const order = [...by].sort(([a], [b]) => (b === own) - (a === own) || a - b);
    const unfold = left.length <= 12;
    box.replaceChildren(
      ...(left.length
        ? paged(el("div", null), order, ([g, items]) => group(g, items, unfold))
        : [el("p", { class: "empty" }, entries.length ? "Nothing fits the filter." : empty)]),
    );
  }
  function group(g, items, unfold) {
    const size = groups[g].end - groups[g].start;
    const parts = new Map();
    for (const item of items) for (const part of item.parts) parts.set(`${part.layer.sign} ${part.ports}`, part);
    const what = groups[g].outside
      ? count(items.length, "range")
      : items.length === size && size > 1
        ? `all ${count(size, "workload")}`
        : size > 1 && !isChange
          ? `${number(items.length)} of ${count(size, "workload")}`
          : count(items.length, "workload");
    const ports = isChange
      ? signed(tally(items))
      : parts.size <= 2
        ? [...parts.values()].map((part) => portChips(part.ports))
        : `${parts.size} sets of ports`;
    const details = el(
      "details",
      { open: unfold },
      el(
        "summary",
        null,
        el("span", { class: "name" }, el("bdi", null, groupName(g)), g === own ? " (itself)" : ""),
        el("span", { class: "what" }, what),
        el("span", { class: "ports what" }, ports),
      ),
    );
    const make = () => {
      if (details.childElementCount > 1) return;
      details.append(
        el(
          "div",
          { class: "entries" },
          paged(el("ul", null), items, (item) => entryRow(item, verb, place)),
          g === own || groups[g].outside || unit === g
            ? null
            : el("p", { class: "note" }, el("a", { href: link(namespace(g)) }, `Look at ${groupName(g)}`)),
        ),
      );
    };
    details.addEventListener("toggle", () => {
      if (details.open) make();
    });
    if (unfold) make();
    return details;
  }
  show("");
  return { box, show };
}

function filterField(label, ...lists) {
  return el("input", {
    type: "search",
    "aria-label": label,
    placeholder: "filter by name or port",
    spellcheck: "false",
    oninput: (event) => lists.forEach((list) => list.show(event.target.value)),
  });
}
