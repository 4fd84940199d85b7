/* The picture of everything: a map or a matrix. */

function marker(id, look) {
  return svg(
    "marker",
    {
      id,
      viewBox: "0 0 10 10",
      refX: 9,
      refY: 5,
      markerWidth: 9,
      markerHeight: 9,
      orient: "auto",
      markerUnits: "userSpaceOnUse",
    },
    svg("path", { d: "M0 1L10 5L0 9z", class: look }),
  );
}
function markers() {
  return svg(
    "defs",
    null,
    ["into", "out", "plus", "minus"].map((look) => marker(`tip-${look}`, `tip-${look}`)),
  );
}

function nodeLabel(g, a) {
  const { place } = g.nodes[a];
  return g.single && !groups[place.group].outside ? `${groupName(place.group)} / ${place.short}` : place.label;
}

function degrees(g, a) {
  let into = 0,
    out = 0;
  for (let b = 0; b < g.n; b++) {
    if (b === a) continue;
    if (g.total(b, a)) into++;
    if (g.total(a, b)) out++;
  }
  return { into, out, others: g.n - 1 };
}

function tellNode(g, a) {
  const { place } = g.nodes[a];
  const noun = g.single ? "workload" : "namespace";
  if (isChange) {
    const sums = data.layers.map((_, l) => {
      let into = 0,
        out = 0;
      for (let b = 0; b < g.n; b++) {
        into += g.count(l, b, a);
        out += b === a ? 0 : g.count(l, a, b);
      }
      return [into, out];
    });
    const [[plusIn, plusOut], [minusIn, minusOut]] = sums;
    return [
      el("b", null, place.label),
      `: to it ${count(plusIn, "flow")} opened, ${number(minusIn)} cut; from it to others ${number(plusOut)} opened, ${number(minusOut)} cut`,
    ];
  }
  const { into, out, others } = degrees(g, a);
  const free = g.nodes[a].open
    ? g.single
      ? `; no policy restricts it`
      : `; no policy restricts ${number(g.nodes[a].open)} of its ${members(place)}`
    : "";
  return [
    el("b", null, place.label),
    `: reached by ${number(into)} of ${count(others, `other ${noun}`)}, reaches ${number(out)}${free}`,
  ];
}

function tellCell(g, a, b) {
  const [from, to] = [g.nodes[a], g.nodes[b]];
  const head = el("b", null, `${from.place.label} ${ARROW} ${to.place.label}`);
  if (isChange) return [head, `: ${number(g.count(0, a, b))} opened, ${number(g.count(1, a, b))} cut`];
  const total = g.total(a, b);
  if (!total) return [head, ": nothing passes"];
  const ports = new Set();
  eachRow((_, src, list, set) => {
    if (src >= from.place.start && src < from.place.end && within(set, to.place.start, to.place.end).length)
      ports.add(list);
  });
  const told =
    [...ports].slice(0, 2).map(portsText).join("; ") + (ports.size > 2 ? ` and ${number(ports.size - 2)} more` : "");
  const possible = a === b ? from.size * Math.max(from.size - 1, 1) : from.size * to.size;
  return [
    head,
    g.single
      ? `: ${told}`
      : `: ${number(total)} of ${count(Math.max(possible, total), "pair")} of workloads, on ${told}`,
  ];
}

function picture() {
  const g = graph();
  const hasImplied = data.layers.some((layer) => layer.implied);
  const hasRows = data.layers.some((layer) => !layer.implied && layer.rows.length);
  let lines = 0;
  g.kept.forEach((a) =>
    g.kept.forEach((b) => {
      if (a < b && g.total(a, b) + g.total(b, a)) lines++;
    }),
  );
  const state = { view: lines > (isChange ? 250 : 500) ? "matrix" : "map", implied: hasImplied && !hasRows }; // so many lines hide each other
  const box = el("div", { class: "picture" });
  const caption = el("p", { class: "caption" });
  const legend = el("div", { class: "legend" });
  const buttons = [
    ["map", "Map"],
    ["matrix", "Matrix"],
  ].map(([view, label]) =>
    el(
      "button",
      {
        "aria-pressed": String(view === state.view),
        onclick: (event) => {
          state.view = view;
          for (const button of event.target.parentNode.children)
            button.setAttribute("aria-pressed", String(button === event.target));
          draw();
        },
      },
      label,
    ),
  );
  const implied = hasImplied
    ? el(
        "label",
        { class: "check" },
        el("input", {
          type: "checkbox",
          checked: state.implied,
          onchange: (event) => {
            state.implied = event.target.checked;
            draw();
          },
        }),
        "draw what nothing restricts, too",
      )
    : null;
  const what = g.single ? "workload" : "namespace";
  const card = el(
    "section",
    { class: "card", "aria-labelledby": "picture" },
    el(
      "div",
      { class: "row" },
      el("h3", { id: "picture" }, `Every ${what} at a glance`),
      implied,
      el("div", { class: "tabs", role: "group", "aria-label": "Kind of picture" }, buttons),
    ),
    box,
    caption,
    legend,
  );
  function draw() {
    const width = Math.max(Math.min(box.clientWidth || 900, 1150), 280);
    if (implied) implied.hidden = state.view !== "map";
    (state.view === "map" ? drawMap : drawMatrix)(g, { box, caption, legend, width, implied: state.implied });
  }
  let last = 0;
  new ResizeObserver(() => {
    if (box.clientWidth && Math.abs(box.clientWidth - last) > 8) {
      last = box.clientWidth;
      draw();
    }
  }).observe(box);
  return card;
}

function swatch(look, label) {
  return el(
    "span",
    null,
    svg(
      "svg",
      { width: 34, height: 10, "aria-hidden": "true" },
      svg("path", { class: `edge ${look}`, d: "M1 5H33", "stroke-width": 2.5 }),
    ),
    label,
  );
}
