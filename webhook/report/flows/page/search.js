/* The field that finds places and ports. */

const field = document.getElementById("find");
const found = document.getElementById("found");
let options = [];
let chosen = -1;

function search(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const hits = [];
  const asked = /^(?:(tcp|udp|sctp)?[\s/:]*)(\d{1,5})$/i.exec(text.trim());
  if (asked && Number(asked[2]) <= 65535) {
    for (const protocol of asked[1] ? [asked[1].toUpperCase()] : ["TCP", "UDP"]) {
      hits.push({
        score: 0,
        href: `#${encode(`p:${protocol} ${Number(asked[2])}`)}`,
        label: `${protocol} ${Number(asked[2])}`,
        note: "port",
      });
    }
  }
  const add = (place, note) => {
    const full = place.label.toLowerCase();
    const short = place.short.toLowerCase();
    if (!words.every((word) => full.includes(word))) return;
    const score = short === words[0] ? 1 : short.startsWith(words[0]) ? 2 : full.startsWith(words[0]) ? 3 : 4;
    hits.push({ score: score + (place.only === undefined ? 0 : 0.5), href: link(place), label: place.label, note });
  };
  groups.forEach((group, g) =>
    add(namespace(g), group.outside ? "addresses" : count(group.members.length, "workload")),
  );
  names.forEach((_, i) => add(workload(i), groups[groupOf[i]].outside ? "address" : kindOf(i)));
  return hits.sort((a, b) => a.score - b.score);
}

function suggest() {
  const hits = search(field.value);
  options = hits.slice(0, 12);
  chosen = options.length ? 0 : -1;
  found.replaceChildren(
    ...options.map((hit, k) =>
      el(
        "li",
        {
          role: "option",
          id: `option-${k}`,
          onpointerdown: (event) => {
            event.preventDefault();
            choose(k);
          },
        },
        el("bdi", null, hit.label),
        el("small", null, hit.note),
      ),
    ),
  );
  if (hits.length > options.length)
    found.append(
      el("li", { role: "presentation" }, el("small", null, `and ${number(hits.length - options.length)} more`)),
    );
  if (field.value.trim() && !hits.length)
    found.append(el("li", { role: "presentation" }, el("small", null, "Nothing of that name.")));
  found.hidden = !found.childElementCount;
  field.setAttribute("aria-expanded", String(!found.hidden));
  if (field.value.trim()) say(hits.length ? `${hits.length} found` : "nothing found");
  mark();
}
function mark() {
  [...found.children].forEach((item, k) => {
    if (item.id) item.setAttribute("aria-selected", String(k === chosen));
  });
  if (chosen >= 0) field.setAttribute("aria-activedescendant", `option-${chosen}`);
  else field.removeAttribute("aria-activedescendant");
  found.children[chosen]?.scrollIntoView({ block: "nearest" });
}
function close() {
  found.hidden = true;
  field.setAttribute("aria-expanded", "false");
  field.removeAttribute("aria-activedescendant");
}
function choose(k) {
  const { href } = options[k];
  field.value = "";
  close();
  if (location.hash === href) show(true);
  else location.hash = href;
}
field.addEventListener("input", suggest);
field.addEventListener("focus", () => {
  if (field.value) suggest();
});
field.addEventListener("blur", close);
field.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    close();
    field.value = "";
  }
  if (event.key === "Enter" && chosen >= 0 && !found.hidden) {
    event.preventDefault();
    choose(chosen);
  }
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && options.length) {
    event.preventDefault();
    chosen = (chosen + step + options.length) % options.length;
    mark();
  }
});
