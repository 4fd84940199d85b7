/** A row for each source, a column for each destination. */
function drawMatrix(g, { box, caption, legend, width }) {
  const { kept } = g;
  const labelSpace = Math.min(150, Math.max(70, width * 0.22));
  const side = Math.max(9, Math.min(30, Math.floor((Math.min(width, 980) - labelSpace - 10) / kept.length)));
  const [w, h] = [labelSpace + side * kept.length + 40, labelSpace + side * kept.length + 4];
  const cells = [];
  const rows = svg("rect", { class: "band", x: 0, width: w, height: side, visibility: "hidden" });
  const columns = svg("rect", { class: "band", y: 0, width: side, height: h, visibility: "hidden" });
  let most = 1;
  kept.forEach((a) =>
    kept.forEach((b) => {
      most = Math.max(most, g.total(a, b));
    }),
  );
  kept.forEach((a, y) =>
    kept.forEach((b, x) => {
      const [left, top] = [labelSpace + x * side, labelSpace + y * side];
      if (isChange) {
        data.layers.forEach((layer, l) => {
          const n = g.count(l, a, b);
          if (!n) return;
          const s = (side - 2) * (0.55 + (0.45 * Math.log(1 + n)) / Math.log(1 + most));
          const [u, v] = [left + 1, top + 1];
          cells.push(
            svg("path", {
              class: `cell ${layer.look}`,
              d:
                layer.sign === "+"
                  ? `M${u} ${v}h${s}l${-s} ${s}z`
                  : `M${u + side - 2} ${v + side - 2}h${-s}l${s} ${-s}z`,
            }),
          );
        });
        return;
      }
      const n = g.total(a, b);
      if (!n) return;
      const possible = a === b ? g.nodes[a].size * Math.max(g.nodes[a].size - 1, 1) : g.nodes[a].size * g.nodes[b].size;
      const share = n / possible;
      const [look, part] =
        share < 0.25 ? ["few", 0.45] : share < 0.75 ? ["some", 0.65] : share < 0.999 ? ["most", 0.82] : ["whole", 1];
      const s = (side - 1.5) * part;
      cells.push(
        svg("rect", {
          class: `cell ${look}`,
          x: (left + (side - s) / 2).toFixed(1),
          y: (top + (side - s) / 2).toFixed(1),
          width: s.toFixed(1),
          height: s.toFixed(1),
          rx: Math.min(2, s / 5),
        }),
      );
    }),
  );
  const font = Math.min(12, side + 1);
  const label = (a) => fit(nodeLabel(g, a), ((labelSpace - 8) * 12) / font);
  const texts = kept.map((a, k) => [
    svg(
      "text",
      { x: labelSpace - 6, y: labelSpace + (k + 0.5) * side, dy: ".35em", "text-anchor": "end", "font-size": font },
      label(a),
    ),
    svg(
      "text",
      {
        transform: `translate(${labelSpace + (k + 0.5) * side} ${labelSpace - 6}) rotate(-90)`,
        dy: ".35em",
        "font-size": font,
      },
      label(a),
    ),
  ]);
  const cross = svg("rect", { class: "cross", width: side, height: side, visibility: "hidden" });
  let current = null;
  function go(x, y) {
    current = [x, y];
    for (const mark of [rows, columns, cross]) mark.setAttribute("visibility", "visible");
    rows.setAttribute("y", labelSpace + y * side);
    columns.setAttribute("x", labelSpace + x * side);
    cross.setAttribute("x", labelSpace + x * side);
    cross.setAttribute("y", labelSpace + y * side);
    caption.replaceChildren(...tellCell(g, kept[y], kept[x]));
  }
  function away() {
    current = null;
    for (const mark of [rows, columns, cross]) mark.setAttribute("visibility", "hidden");
    idle();
  }
  function under(event) {
    const frame = image.getBoundingClientRect();
    const x = Math.floor((event.clientX - frame.left - labelSpace) / side),
      y = Math.floor((event.clientY - frame.top - labelSpace) / side);
    return x >= 0 && y >= 0 && x < kept.length && y < kept.length
      ? [x, y]
      : y >= 0 && y < kept.length && x < 0
        ? [null, y]
        : x >= 0 && x < kept.length && y < 0
          ? [x, null]
          : null;
  }
  function open([x, y]) {
    const [from, to] = [g.nodes[kept[y ?? 0]], g.nodes[kept[x ?? 0]]];
    location.hash = x === null ? link(from.place) : y === null ? link(to.place) : pairLink(from.place, to.place);
  }
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const image = svg(
    "svg",
    {
      width: w,
      height: h,
      tabindex: 0,
      role: "application",
      "aria-label": `Matrix: a row for each source, a column for each destination. Arrow keys move, Enter opens.`,
      onpointermove: (event) => {
        const cell = under(event);
        if (cell && cell[0] !== null && cell[1] !== null) go(...cell);
        else if (current) away();
      },
      onpointerleave: away,
      onblur: away,
      onclick: (event) => {
        const cell = under(event);
        if (cell) open(cell);
      },
      onfocus: (event) => {
        if (!current && event.target.matches(":focus-visible")) {
          go(0, 0);
          say(caption.textContent);
        }
      },
      onkeydown: (event) => {
        if (event.key === "Enter" && current) open(current);
        const move = moves[event.key];
        if (!move || !kept.length) return;
        event.preventDefault();
        const [x, y] = current || [0, 0];
        go(Math.min(Math.max(x + move[0], 0), kept.length - 1), Math.min(Math.max(y + move[1], 0), kept.length - 1));
        say(caption.textContent);
      },
    },
    svg("rect", {
      class: "ground",
      x: labelSpace,
      y: labelSpace,
      width: side * kept.length,
      height: side * kept.length,
    }),
    rows,
    columns,
    texts,
    cells,
    cross,
  );
  function idle() {
    caption.replaceChildren(
      `Row: from. Column: to. Point at a square; click for its flows.${g.left ? ` ${number(g.left)} more are not drawn.` : ""}`,
    );
  }
  box.replaceChildren(image);
  const square = (look, part, text) =>
    el(
      "span",
      null,
      svg(
        "svg",
        { width: 14, height: 14, "aria-hidden": "true" },
        svg("rect", { class: `cell ${look}`, x: 7 - 7 * part, y: 7 - 7 * part, width: 14 * part, height: 14 * part }),
      ),
      text,
    );
  const corner = (look, d, text) =>
    el(
      "span",
      null,
      svg("svg", { width: 14, height: 14, "aria-hidden": "true" }, svg("path", { class: `cell ${look}`, d })),
      text,
    );
  legend.replaceChildren(
    ...(isChange
      ? [corner("plus", "M0 0h14L0 14z", "opened (upper left)"), corner("minus", "M14 14H0L14 0z", "cut (lower right)")]
      : g.single
        ? [square("whole", 1, "reaches")]
        : [
            square("few", 0.45, "under a quarter of the pairs"),
            square("some", 0.65, "some"),
            square("most", 0.82, "most"),
            square("whole", 1, "all pairs"),
          ]),
  );
  idle();
}
