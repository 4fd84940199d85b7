/* What is shown for an address: everything, a place, a pair of places, a port. */

const main = document.getElementById("main");
function trail(...steps) {
  return el(
    "nav",
    { class: "trail", "aria-label": "Where you are" },
    el("a", { href: "#" }, "Everything"),
    steps.filter(Boolean).map((step) => [el("span", null, "\u203a"), el("span", null, step)]),
  );
}
function figure(n, label, look) {
  return el("div", { class: look }, el("dt", null, label), el("dd", null, n));
}
function head(title, ...lines) {
  return el(
    "div",
    { class: "head" },
    el("h2", { tabindex: -1 }, el("bdi", null, title)),
    lines.map((line) => line && el("p", null, line)),
  );
}

function totals() {
  return data.layers.map((layer) => {
    let sum = 0;
    for (const row of layer.rows) {
      for (let k = 2; k < row.length; k += 2)
        for (let m = 1; m < data.sets[row[k]].length; m += 2) sum += data.sets[row[k]][m];
    }
    return sum;
  });
}

function overview() {
  const inside = groups.filter((group) => !group.outside);
  const workloads = inside.reduce((sum, group) => sum + group.members.length, 0);
  const sums = totals();
  if (isChange) {
    const [opened, cut] = sums;
    const figures = el(
      "dl",
      { class: "figures" },
      figure(`+${number(opened)}`, opened === 1 ? "flow opened" : "flows opened", opened ? "opened" : ""),
      figure(`${cut ? MINUS : ""}${number(cut)}`, cut === 1 ? "flow cut" : "flows cut", cut ? "cut" : ""),
      figure(number(workloads), workloads === 1 ? "workload concerned" : "workloads concerned"),
    );
    if (!opened && !cut)
      return [figures, el("section", { class: "card" }, el("p", null, "This change opens no flow and cuts none."))];
    const list = entryList(reaches({ start: 0, end: names.length }), { verb: "from", empty: "" });
    const changes = el(
      "section",
      { class: "card", "aria-labelledby": "changes" },
      el(
        "div",
        { class: "row" },
        el("h3", { id: "changes" }, "Changes, by destination"),
        filterField("Filter the changes", list),
      ),
      list.box,
    );
    return [figures, opened + cut <= PAGE ? [changes, picture()] : [picture(), changes], namespaces()];
  }
  return [
    el(
      "dl",
      { class: "figures" },
      figure(number(inside.length), inside.length === 1 ? "namespace" : "namespaces"),
      figure(number(workloads), workloads === 1 ? "workload" : "workloads"),
      figure(number(sums[0]), sums[0] === 1 ? "flow" : "flows"),
      figure(
        number(isOpen.reduce((sum, is) => sum + is, 0)),
        "unrestricted workloads",
        data.open.length ? "freed" : "",
      ),
    ),
    workloads && isOpen.reduce((sum, is) => sum + is, 0) === workloads
      ? el(
          "p",
          { class: "free" },
          "No policy restricts anything here: every workload reaches every other and any address.",
        )
      : null,
    picture(),
    namespaces(),
    data.open.length ? unrestricted() : null,
  ];
}

function meter(part, whole, to) {
  return svg(
    "svg",
    { class: `meter${to ? " to" : ""}`, width: 90, height: 8, "aria-hidden": "true" },
    svg("rect", { width: 90, height: 8, rx: 4 }),
    svg("rect", { width: whole ? (90 * part) / whole : 0, height: 8, rx: 4 }),
  );
}

function namespaces() {
  const g = graph();
  const rows = groups.map((group, at) => ({ at, place: namespace(at), group }));
  if (g.single && rows.length < 2) return null;
  const between = (l, from, to) => {
    if (!g.single) return g.count(l, from, to);
    let sum = 0;
    for (let a = groups[from].start; a < groups[from].end; a++)
      for (let b = groups[to].start; b < groups[to].end; b++) sum += g.count(l, a, b);
    return sum;
  };
  const others = groups.length - 1;
  for (const row of rows) {
    row.into = data.layers.map(() => 0);
    row.out = data.layers.map(() => 0);
    row.nIn = row.nOut = 0;
    groups.forEach((_, other) => {
      let inSum = 0,
        outSum = 0;
      data.layers.forEach((_, l) => {
        const [i, o] = [between(l, other, row.at), between(l, row.at, other)];
        row.into[l] += i;
        row.out[l] += o;
        inSum += i;
        outSum += o;
      });
      if (other !== row.at) {
        row.nIn += inSum > 0;
        row.nOut += outSum > 0;
      }
    });
    row.weight = [...row.into, ...row.out].reduce((sum, n) => sum + n, 0);
  }
  const shown = isChange ? rows.filter((row) => row.weight).sort((a, b) => b.weight - a.weight) : rows;
  const body = el("tbody", null);
  const table = el(
    "table",
    null,
    el(
      "thead",
      null,
      el(
        "tr",
        null,
        el("th", { scope: "col" }, "Namespace"),
        isChange ? null : el("th", { scope: "col", class: "number" }, "Workloads"),
        el("th", { scope: "col" }, isChange ? "To it" : "Reached by"),
        el("th", { scope: "col" }, isChange ? "From it" : "Reaches"),
        isChange || !data.open.length ? null : el("th", { scope: "col", class: "number wide" }, "Unrestricted"),
      ),
    ),
    body,
  );
  const [, more] = paged(
    body,
    shown,
    (row) =>
      el(
        "tr",
        null,
        el("td", null, placeLink(row.place)),
        isChange ? null : el("td", { class: "number" }, number(row.place.end - row.place.start)),
        isChange
          ? [el("td", null, signed(row.into)), el("td", null, signed(row.out))]
          : [
              el(
                "td",
                null,
                el("span", { class: "wide" }, meter(row.nIn, others)),
                number(row.nIn),
                el("span", { class: "wide" }, ` of ${number(others)}`),
              ),
              el(
                "td",
                null,
                el("span", { class: "wide" }, meter(row.nOut, others, true)),
                number(row.nOut),
                el("span", { class: "wide" }, ` of ${number(others)}`),
              ),
            ],
        isChange || !data.open.length
          ? null
          : el("td", { class: "number wide" }, row.group.open ? number(row.group.open) : ""),
      ),
    60,
  );
  return el(
    "section",
    { class: "card", "aria-labelledby": "namespaces" },
    el("div", { class: "row" }, el("h3", { id: "namespaces" }, "Namespaces")),
    table,
    more,
  );
}

function chips(list) {
  return paged(el("div", { class: "chips" }), list, (i) =>
    el(
      "a",
      { href: link(workload(i)), class: isOpen[i] ? "free" : null },
      el("bdi", null, groups[groupOf[i]].outside ? fullName(i) : ownName(i)),
      " ",
      el("small", null, kindOf(i), isOpen[i] ? ` ${DOT} unrestricted` : ""),
    ),
  );
}

function unrestricted() {
  const rows = groups.filter((group) => group.open);
  return el(
    "section",
    { class: "card", "aria-labelledby": "unrestricted" },
    el("h3", { id: "unrestricted" }, "What no policy restricts"),
    el("p", { class: "note" }, "These workloads reach each other and any address, and any address reaches them."),
    paged(el("div", null), rows, (group) => {
      const list = [];
      for (let i = group.start; i < group.end; i++) if (isOpen[i]) list.push(i);
      const details = el(
        "details",
        null,
        el(
          "summary",
          null,
          el("span", { class: "name" }, el("bdi", null, groupName(groups.indexOf(group)))),
          el(
            "span",
            { class: "what" },
            list.length === group.members.length
              ? `all ${count(list.length, "workload")}`
              : `${number(list.length)} of ${count(group.members.length, "workload")}`,
          ),
        ),
      );
      details.addEventListener("toggle", () => {
        if (details.childElementCount < 2) details.append(el("div", { class: "entries" }, chips(list)));
      });
      return details;
    }),
  );
}

function inWords(entries) {
  const inside = entries.filter((item) => !groups[groupOf[item.peer]].outside);
  const outside = entries.length - inside.length;
  const from = new Set(inside.map((item) => groupOf[item.peer])).size;
  const told = [];
  if (inside.length) told.push(`${count(inside.length, "workload")} in ${count(from, "namespace")}`);
  if (outside) told.push(count(outside, "range") + " of addresses");
  return told.join(" and ") || "nothing";
}

function focus(place) {
  const before = reachedBy(place),
    after = reaches(place);
  const outside = groups[place.group].outside;
  const alone = place.only !== undefined;
  const options = { place: alone ? null : place };
  const into = entryList(before, {
    ...options,
    verb: alone ? "" : "to",
    own: alone ? -1 : place.group,
    empty: isChange ? "Nothing changes." : "Nothing reaches it.",
  });
  const out = entryList(after, {
    ...options,
    verb: alone ? "" : "from",
    own: alone ? -1 : place.group,
    empty: isChange ? "Nothing changes." : "It reaches nothing.",
  });
  const list = [];
  for (let i = place.start; i < place.end; i++) list.push(i);
  const free = list.filter((i) => isOpen[i]);
  const notice =
    isChange || !free.length || !data.implied
      ? null
      : el(
          "p",
          { class: "free" },
          alone
            ? "No policy restricts this workload: everything else that is unrestricted, and any address, reaches it and is reached."
            : free.length === list.length
              ? `No policy restricts ${list.length === 1 ? "its workload" : `any of its ${members(place)}`}.`
              : `No policy restricts ${number(free.length)} of its ${members(place)}.`,
        );
  const image = el("div", { class: "picture" });
  const drawing = el("section", { class: "card", "aria-label": "Picture" }, image);
  const lists = (title, id, box, entries) =>
    el(
      "section",
      { class: "card", "aria-labelledby": id },
      el("h3", { id }, title),
      el("p", { class: "note" }, `${inWords(entries)[0].toUpperCase()}${inWords(entries).slice(1)}`),
      box,
    );
  let last = 0;
  new ResizeObserver(() => {
    const width = drawing.hidden ? main.clientWidth - 90 : image.clientWidth;
    if (Math.abs(width - last) < 8) return;
    last = width;
    const drawn = river(place, before, after, Math.min(width, 1150));
    drawing.hidden = !drawn;
    image.replaceChildren(...(drawn ? [drawn] : []));
  }).observe(main);
  return [
    trail(alone && !outside ? placeLink(namespace(place.group)) : null, el("bdi", null, place.short)),
    head(
      alone ? place.label : place.short,
      isChange
        ? `To it: ${tallyText(before)}. From it: ${tallyText(after)}.`
        : `Reached by ${inWords(before)}; reaches ${inWords(after)}.`,
    ),
    notice,
    alone
      ? null
      : el(
          "section",
          { class: "card", "aria-labelledby": "members" },
          el("div", { class: "row" }, el("h3", { id: "members" }, outside ? "Ranges of addresses" : members(place))),
          chips(list),
        ),
    drawing,
    el("div", { class: "row" }, el("span", null), filterField("Filter both lists", into, out)),
    el(
      "div",
      { class: "two" },
      lists(isChange ? "Who reaches it: changes" : "Reached by", "into", into.box, before),
      lists(isChange ? "Whom it reaches: changes" : "Reaches", "out", out.box, after),
    ),
  ];
}

/** How many flows of each layer entries have. */
function tally(entries) {
  const sums = data.layers.map(() => 0);
  for (const item of entries)
    for (const part of item.parts) sums[data.layers.indexOf(part.layer)] += part.members.length;
  return sums;
}
function tallyText(entries) {
  const [opened, cut] = tally(entries);
  return `${number(opened)} opened, ${number(cut)} cut`;
}

function pair(from, to) {
  const entries = reaches(from, to);
  const list = entryList(entries, { verb: "from", place: from, empty: "Nothing passes.", unit: to.group });
  return [
    trail(placeLink(from), placeLink(to)),
    head(
      `${from.label} ${ARROW} ${to.label}`,
      isChange
        ? `${tallyText(entries)}.`
        : `${count(
            tally(entries).reduce((sum, n) => sum + n, 0),
            "flow",
          )}.`,
    ),
    el(
      "section",
      { class: "card", "aria-label": "Flows" },
      el(
        "div",
        { class: "row" },
        el("h3", null, `What ${from.label} reaches there`),
        filterField("Filter the flows", list),
      ),
      list.box,
      from.id === to.id
        ? null
        : el(
            "p",
            { class: "note" },
            el("a", { href: pairLink(to, from) }, `The other way: ${to.label} ${ARROW} ${from.label}`),
          ),
    ),
  ];
}

/** Whether a list of ports lets a port through. */
function covers(ports, protocol, port) {
  return data.ports[ports].some((text) => {
    if (text === "all" || text === protocol) return true;
    const [its, range] = text.split(" ");
    const [first, last] = (range || "").split("-").map(Number);
    return its === protocol && port >= first && port <= (last ?? first);
  });
}

function port(text) {
  const [protocol, digits] = text.split(" ");
  const entries = reaches(
    { start: 0, end: names.length },
    undefined,
    (ports, layer) => !layer.implied && covers(ports, protocol, Number(digits)),
  );
  const list = entryList(entries, { verb: "from", empty: "No flow allows it." });
  return [
    trail(text),
    head(
      `Who can reach whom on ${text}`,
      `${count(entries.length, "destination")}; flows on all ports count.${data.implied ? " What nothing restricts reaches each other on it, too." : ""}`,
    ),
    el(
      "section",
      { class: "card", "aria-label": "Flows" },
      el("div", { class: "row" }, el("h3", null, "By destination"), filterField("Filter the destinations", list)),
      list.box,
    ),
  ];
}
