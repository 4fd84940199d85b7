/** Nodes on a ring, curves through it: faint, until a node is pointed at. */
function drawMap(g, { box, caption, legend, width, implied }) {
  const { kept } = g;
  const narrow = width < 560;
  const labels = new Map(kept.map((a) => [a, nodeLabel(g, a)]));
  const longest = Math.max(...[...labels.values()].map((label) => label.length * 6.9 + 20), 60);
  const labelSpace = Math.min(narrow ? 88 : 180, width * 0.24, longest);
  const size = Math.min(width, 620 + 2 * labelSpace);
  const radius = Math.max((size - 2 * labelSpace) / 2, 60);
  const height = 2 * radius + (kept.length > 14 ? 2 * labelSpace : 76);
  const [cx, cy] = [width / 2, height / 2];
  const weights = kept.map((a) => Math.sqrt(g.nodes[a].size));
  const whole = weights.reduce((sum, w) => sum + w, 0) || 1;
  const gap = kept.length > 1 ? Math.min(0.03, 1.2 / kept.length) : 0;
  const turn = 2 * Math.PI - gap * kept.length;
  let angle = -Math.PI / 2;
  const at = new Map();
  kept.forEach((a, k) => {
    const span = (turn * weights[k]) / whole;
    at.set(a, { from: angle, to: angle + span, middle: angle + span / 2 });
    angle += span + gap;
  });
  const point = (theta, r) => [cx + r * Math.cos(theta), cy + r * Math.sin(theta)];
  const xy = ([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`;
  const inner = radius - 8;
  function curve(a, b, shift = 0) {
    const [A, B] = [at.get(a), at.get(b)];
    // Flows leave at one side of the middle and arrive at the other.
    const aside = (arc) => (Math.min(arc.to - arc.from, 0.4) * shift) / 5;
    const p = point(A.middle + aside(A), inner),
      q = point(B.middle - aside(B), inner - (shift ? 2 : 0));
    return `M${xy(p)}Q${xy([cx + (p[0] + q[0] - 2 * cx) * 0.12, cy + (p[1] + q[1] - 2 * cy) * 0.12])} ${xy(q)}`;
  }
  const ways = { plus: 1.6, minus: 0.6 }; // what is opened beside what is cut
  const lines = [];
  kept.forEach((a, k) =>
    kept.forEach((b, m) => {
      if (a === b) return;
      data.layers.forEach((layer, l) => {
        if (layer.implied && !implied) return;
        if (isChange ? g.count(l, a, b) : k < m && g.count(l, a, b) + g.count(l, b, a)) {
          lines.push({ a, b, layer, weight: isChange ? g.count(l, a, b) : g.count(l, a, b) + g.count(l, b, a) });
        }
      });
    }),
  );
  lines.sort((x, y) => y.weight - x.weight);
  const most = lines.length ? lines[0].weight : 1;
  const base = svg(
    "g",
    null,
    lines.slice(0, MAP_LINES).map(({ a, b, layer, weight }) =>
      svg("path", {
        class: `edge ${layer.look}`,
        d: curve(a, b, ways[layer.look]),
        "marker-end": isChange && lines.length < 150 ? `url(#tip-${layer.look})` : null,
        "stroke-width": (0.8 + (lines.length > 200 ? 1 : 2.2) * Math.sqrt(weight / most)).toFixed(1),
        "stroke-opacity": isChange
          ? 0.75
          : Math.min(0.75, Math.min(0.4, 25 / lines.length) + (0.3 * weight) / most).toFixed(2),
      }),
    ),
  );
  const bright = svg("g", null);
  const links = new Map();
  const horizontal = kept.length <= 14;
  for (const a of kept) {
    const { from, to, middle } = at.get(a);
    const node = g.nodes[a];
    const [p, q, r, s] = [point(from, radius), point(to, radius), point(to, inner), point(from, inner)];
    const large = to - from > Math.PI ? 1 : 0;
    const left = Math.cos(middle) < -0.001;
    const text = fit(labels.get(a), labelSpace - 14);
    const [x, y] = point(middle, radius + 8);
    const steep = Math.abs(Math.cos(middle)) < 0.25;
    const label = horizontal
      ? svg(
          "text",
          {
            x,
            y: y + (steep ? (Math.sin(middle) > 0 ? 12 : -4) : 4),
            "text-anchor": steep ? "middle" : left ? "end" : "start",
          },
          text,
        )
      : svg(
          "text",
          {
            transform: `translate(${xy([x, y])}) rotate(${(((left ? middle + Math.PI : middle) * 180) / Math.PI).toFixed(1)})`,
            dy: ".35em",
            "text-anchor": left ? "end" : "start",
            "font-size": narrow ? 10 : 12,
          },
          text,
        );
    const arc =
      kept.length === 1
        ? svg("circle", { class: `arc${node.open ? " free" : ""}`, cx, cy: cy - radius, r: 8 })
        : svg("path", {
            class: `arc${node.open ? " free" : ""}`,
            d: `M${xy(p)}A${radius} ${radius} 0 ${large} 1 ${xy(q)}L${xy(r)}A${inner} ${inner} 0 ${large} 0 ${xy(s)}z`,
          });
    links.set(
      a,
      svg(
        "a",
        {
          href: link(node.place),
          "aria-label": node.place.label,
          onpointerenter: () => light(a),
          onfocus: () => light(a),
          onpointerleave: dim,
          onblur: dim,
        },
        arc,
        label,
      ),
    );
  }
  function light(a) {
    base.setAttribute("class", "off");
    const near = new Set([a]);
    const paths = [];
    for (const b of kept) {
      if (a === b) continue;
      data.layers.forEach((layer, l) => {
        for (const [from, to, way] of [
          [b, a, "into"],
          [a, b, "out"],
        ]) {
          const weight = g.count(l, from, to);
          if (!weight) continue;
          near.add(b);
          const look = layer.sign ? layer.look : way;
          paths.push(
            svg("path", {
              class: `edge ${look}`,
              d: curve(from, to, ways[look] ?? 1),
              "marker-end": `url(#tip-${look})`,
              "stroke-width": layer.implied ? 1 : 1.7,
              "stroke-opacity": layer.implied ? 0.5 : 0.85,
            }),
          );
        }
      });
    }
    bright.replaceChildren(...paths);
    for (const [b, node] of links) node.setAttribute("class", b === a ? "on" : near.has(b) ? "" : "off");
    caption.replaceChildren(...tellNode(g, a));
  }
  function dim() {
    base.setAttribute("class", "");
    bright.replaceChildren();
    for (const node of links.values()) node.setAttribute("class", "");
    idle();
  }
  function idle() {
    const hidden = lines.length - Math.min(lines.length, MAP_LINES);
    caption.replaceChildren(
      `Point at a ${g.single ? "workload" : "namespace"} to see who reaches it and whom it reaches; click for details.`,
      hidden ? ` The ${number(MAP_LINES)} heaviest lines are drawn, and ${number(hidden)} more when pointed at.` : "",
      g.left ? ` ${number(g.left)} more are not drawn.` : "",
    );
  }
  box.replaceChildren(
    svg(
      "svg",
      {
        width,
        height,
        viewBox: `0 0 ${width} ${height}`,
        role: "group",
        "aria-label": `Map of ${count(kept.length, g.single ? "workload" : "namespace")}: each is a link to its details`,
      },
      markers(),
      base,
      bright,
      [...links.values()],
    ),
  );
  legend.replaceChildren(
    ...(isChange
      ? [swatch("plus", "opened"), swatch("minus", "cut")]
      : [
          swatch("into", "reaches it"),
          swatch("out", "is reached from it"),
          data.open.length
            ? el(
                "span",
                null,
                svg(
                  "svg",
                  { width: 16, height: 10, "aria-hidden": "true" },
                  svg("rect", { class: "arc free", width: 16, height: 10, rx: 2 }),
                ),
                g.single ? "no policy restricts it" : "has workloads that no policy restricts",
              )
            : null,
        ].filter(Boolean)),
  );
  idle();
}
