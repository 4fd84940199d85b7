/* Shows what the address says. */

function show(moved) {
  const hash = location.hash.slice(1);
  let view = null,
    title = "";
  try {
    const [first, second] = hash.split("&").map(decodeURIComponent);
    const [from, to] = [find(first), second === undefined ? null : find(second)];
    if (from && to) [view, title] = [pair(from, to), `${from.label} ${ARROW} ${to.label}`];
    else if (from) [view, title] = [focus(from), from.label];
    else if (/^p:(TCP|UDP|SCTP) \d+$/.test(first)) [view, title] = [port(first.slice(2)), first.slice(2)];
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
  }
  const lost = hash && !view ? el("p", { class: "free" }, "What this address points at is not on this page.") : null;
  main.replaceChildren(...[lost, view || overview()].flat(Infinity).filter(Boolean));
  const name = document.querySelector("h1").textContent;
  document.title = title ? `${title} - ${name}` : name;
  if (moved) {
    window.scrollTo(0, 0);
    (main.querySelector("h2") || main).focus({ preventScroll: true });
  }
}

document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.matches("input")) {
    event.preventDefault();
    field.focus();
  }
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
document.querySelector("h1 a").addEventListener("click", (event) => {
  event.preventDefault();
  if (location.hash) location.hash = "";
});

document.getElementById("about").textContent = clean(data.about);
document.getElementById("version").textContent = data.version;
window.addEventListener("hashchange", () => show(true));
show(false);
