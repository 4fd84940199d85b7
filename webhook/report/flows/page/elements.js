/* Elements, and the small things that every view is made of. */

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}
function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}
function svg(tag, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}
function say(text) {
  document.getElementById("said").textContent = text;
}
function fit(text, pixels) {
  const most = Math.max(Math.floor(pixels / 6.7), 3);
  return text.length <= most
    ? text
    : `${text.slice(0, Math.ceil(most / 2) - 1)}${DOTS}${text.slice(text.length - Math.floor(most / 2))}`;
}
function placeLink(place, text) {
  return el("a", { href: link(place) }, el("bdi", null, text ?? place.label));
}
function sign(layer) {
  if (!layer.sign) return null;
  const plus = layer.sign === "+";
  return el(
    "span",
    {
      class: `sign ${layer.look}`,
      title: plus ? "opened" : "cut",
      role: "img",
      "aria-label": plus ? "opened" : "cut",
    },
    plus ? "+" : MINUS,
  );
}
function signed(sums) {
  return data.layers.map((layer, l) =>
    sums[l] ? [el("span", { class: "signed" }, sign(layer), " ", number(sums[l])), " "] : null,
  );
}
function portChips(ports) {
  const list = data.ports[ports];
  if (list.length === 1 && list[0] === "all") return [el("span", { class: "port all" }, "all ports"), " "];
  const chip = (port) => [el("span", { class: "port" }, port), " "];
  const chips = list.slice(0, 6).map(chip);
  if (list.length > 6) {
    chips.push(
      el(
        "button",
        { class: "more", onclick: (event) => event.target.replaceWith(...list.slice(6).flatMap(chip)) },
        `and ${number(list.length - 6)} more`,
      ),
    );
  }
  return chips;
}

/** The first rows, and a button for the others. */
function paged(parent, items, row, size = PAGE) {
  let shown = 0;
  const more = el("button", {
    class: "more",
    onclick: () => {
      const before = shown;
      add(5 * size);
      parent.children[before]?.querySelector("a, summary, button")?.focus();
    },
  });
  function add(most) {
    parent.append(...items.slice(shown, shown + most).map(row));
    shown = Math.min(shown + most, items.length);
    more.textContent = `and ${number(items.length - shown)} more`;
    if (shown === items.length) more.remove();
  }
  add(size);
  return shown < items.length ? [parent, more] : [parent];
}
