/* What places are called, and the addresses of their views. */

/** Text without what could reverse or break a line. */
function clean(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, "\ufffd");
}
function groupName(g) {
  return groups[g].outside ? "outside addresses" : clean(groups[g].name) || "(no namespace)";
}
function fullName(i) {
  const group = groups[groupOf[i]];
  if (group.outside) return clean(names[i]);
  return clean(group.name ? `${group.name}/${names[i]}` : names[i]);
}
function ownName(i) {
  return clean(names[i].slice(names[i].indexOf("/") + 1));
}
function kindOf(i) {
  return groups[groupOf[i]].outside ? "" : clean(names[i].slice(0, Math.max(names[i].indexOf("/"), 0)));
}

function namespace(g) {
  return {
    id: `n:${groups[g].name ?? ""}${groups[g].outside ? "ip:" : ""}`,
    group: g,
    start: groups[g].start,
    end: groups[g].end,
    label: groupName(g),
    short: groupName(g),
  };
}
function workload(i) {
  const group = groups[groupOf[i]];
  const short = group.outside ? fullName(i) : ownName(i);
  return {
    id: `w:${group.outside ? "ip:" : `${group.name}/`}${names[i]}`,
    start: i,
    end: i + 1,
    label: fullName(i),
    short,
    only: i,
    group: groupOf[i],
  };
}
function encode(id) {
  return encodeURIComponent(toWellFormed(id)).replace(/%(2F|3A)/g, (c) => decodeURIComponent(c));
}
function toWellFormed(text) {
  return text.replace(/\p{Cs}/gu, "\ufffd");
}
function link(place) {
  return `#${encode(place.id)}`;
}
function pairLink(from, to) {
  return `#${encode(from.id)}&${encode(to.id)}`;
}
let places;
function find(id) {
  if (!places) {
    places = new Map();
    names.forEach((_, i) => places.set(toWellFormed(workload(i).id), i));
    groups.forEach((_, g) => places.set(toWellFormed(namespace(g).id), g));
  }
  const found = places.get(id);
  if (found === undefined) return null;
  return id.startsWith("n:") ? namespace(found) : workload(found);
}
function number(n) {
  return n.toLocaleString("en");
}
function count(n, noun) {
  return `${number(n)} ${noun}${n === 1 ? "" : "s"}`;
}
function members(place) {
  return count(place.end - place.start, groups[place.group].outside ? "range" : "workload");
}
function portsText(ports) {
  const list = data.ports[ports];
  return list.length === 1 && list[0] === "all"
    ? "all ports"
    : list.slice(0, 4).join(", ") + (list.length > 4 ? ` and ${number(list.length - 4)} more` : "");
}
