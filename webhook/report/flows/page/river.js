/** Who reaches a place at its left, whom it reaches at its right. */
function river(place, before, after, width) {
  if (width < 640 || (!before.length && !after.length)) return null;
  const sides = [before, after].map((entries) => {
    const single = entries.length <= RIVER - 2;
    const by = new Map();
    for (const item of entries) {
      const key = single ? item.peer : groupOf[item.peer];
      if (!by.has(key))
        by.set(key, { place: single ? workload(item.peer) : namespace(key), peers: 0, layers: new Map() });
      const boxed = by.get(key);
      boxed.peers++;
      for (const part of item.parts)
        boxed.layers.set(part.layer, (boxed.layers.get(part.layer) || 0) + part.members.length);
      boxed.ports = boxed.ports === undefined || boxed.ports === item.parts[0].ports ? item.parts[0].ports : -1;
      if (item.parts.length > 1) boxed.ports = -1;
    }
    const all = [...by.values()];
    const weight = (boxed) => [...boxed.layers.values()].reduce((sum, n) => sum + n, 0);
    const kept =
      all.length > RIVER
        ? [...all]
            .sort((a, b) => weight(b) - weight(a))
            .slice(0, RIVER - 1)
            .sort((a, b) => a.place.start - b.place.start)
        : all;
    return { single, kept, left: all.length - kept.length };
  });
  const step = 40,
    boxHeight = 32;
  const rows = Math.max(...sides.map((s) => s.kept.length + (s.left ? 1 : 0)), 1);
  const height = rows * step + 28;
  const side = Math.min(300, width * 0.31),
    centre = Math.min(230, width * 0.22);
  const middle = 24 + (rows * step) / 2;
  const centreHeight = Math.min(Math.max(48, rows * 18), 210);
  const parts = [],
    curves = [];
  sides.forEach(({ single, kept, left }, s) => {
    const x = s ? width - side : 0;
    const top = middle - ((kept.length + (left ? 1 : 0)) * step) / 2;
    parts.push(
      svg(
        "text",
        { x: s ? width - side : side, y: 12, class: "count", "text-anchor": s ? "start" : "end" },
        s ? `reaches ${ARROW}` : `reached by ${ARROW}`,
      ),
    );
    kept.forEach((boxed, k) => {
      const y = top + k * step + step / 2;
      const size = boxed.place.end - boxed.place.start;
      const who = single
        ? ""
        : boxed.peers === size && size > 1
          ? `all ${number(size)}`
          : isChange
            ? number(boxed.peers)
            : `${number(boxed.peers)} of ${number(size)}`;
      const ports = boxed.ports >= 0 ? portsText(boxed.ports) : "several ports";
      const note = fit([who, ports].filter(Boolean).join(` ${DOT} `), side * 0.48);
      const label =
        single && !groups[boxed.place.group].outside
          ? `${groupName(boxed.place.group)} / ${boxed.place.short}`
          : boxed.place.label;
      parts.push(
        svg(
          "a",
          { href: link(boxed.place), "aria-label": `${label}: ${who} ${ports}` },
          svg("title", null, `${boxed.place.label}: ${who} ${ports}`),
          svg("rect", { class: "box", x: x + 1, y: y - boxHeight / 2, width: side - 2, height: boxHeight, rx: 7 }),
          svg("text", { x: x + 12, y, dy: ".35em" }, fit(label, side - 30 - note.length * 6.2)),
          svg("text", { class: "count", x: x + side - 10, y, dy: ".35em", "text-anchor": "end" }, note),
        ),
      );
      let shift = -(boxed.layers.size - 1) * 3;
      for (const [layer, n] of boxed.layers) {
        const look = layer.sign ? layer.look : s ? "out" : "into";
        const edge = s ? width - side : side;
        const end = (width + (s ? 1 : -1) * centre) / 2;
        const bend = (edge + end) / 2;
        const spread = middle + (kept.length > 1 ? (k / (kept.length - 1) - 0.5) * (centreHeight - 20) : 0);
        const d = s
          ? `M${end} ${spread + shift}C${bend} ${spread + shift} ${bend} ${y + shift} ${edge - 2} ${y + shift}`
          : `M${edge} ${y + shift}C${bend} ${y + shift} ${bend} ${spread + shift} ${end - 2} ${spread + shift}`;
        curves.push(
          svg("path", {
            class: `edge ${look}${layer.implied ? " implied" : ""}`,
            d,
            "stroke-width": (1.4 + Math.min(Math.log2(n), 6) * 0.5).toFixed(1),
            "stroke-opacity": 0.7,
            "marker-end": `url(#tip-${look})`,
          }),
        );
        shift += 6;
      }
    });
    if (left) {
      parts.push(
        svg(
          "text",
          {
            class: "count",
            x: s ? x + 12 : side - 12,
            y: top + kept.length * step + step / 2,
            "text-anchor": s ? "start" : "end",
            dy: ".35em",
          },
          `and ${count(left, "more " + (single ? "workload" : "namespace"))} (below)`,
        ),
      );
    }
  });
  parts.push(
    svg("rect", {
      class: "box centre",
      x: (width - centre) / 2,
      y: middle - centreHeight / 2,
      width: centre,
      height: centreHeight,
      rx: 10,
    }),
    svg(
      "text",
      { class: "centre", x: width / 2, y: middle, dy: ".35em", "text-anchor": "middle", "font-size": 13 },
      fit(place.short, centre - 20),
    ),
  );
  return svg(
    "svg",
    {
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "group",
      "aria-label": `Who reaches ${place.label}, and whom it reaches; the lists below say the same`,
    },
    markers(),
    curves,
    parts,
  );
}
