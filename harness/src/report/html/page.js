// The page: what is chosen, the header, and keys. Every text from the data goes through textContent.
const { document: run, maps } = JSON.parse(byId("data").textContent);
const layers = run.layers;
const failing = layers.map((layer, at) => at).filter((at) => layers[at].verdict !== "pass");
let chosen = -1;

function byId(id) { return document.getElementById(id); }

/** An element with a class, and with texts or elements in it. */
function make(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** An SVG element with attributes. */
function draw(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const nameOf = (layer) => layer.stands_for ?? layer.name;
const setOf = (at) => run.provenance[at].reference.title.split(",")[0];

function figure(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  return value === 0 ? "0" : exponential(value, 1);
}

/** As `1.5e4`, not `1.5e+4`. */
function exponential(value, digits) {
  return value.toExponential(digits).replace("e+", "e");
}

function digits(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  return value === 0 ? "0" : Math.abs(value) >= 1e-3 && Math.abs(value) < 1e5 ? String(+value.toPrecision(7)) : exponential(value, 5);
}

function share(used) {
  if (used === null || used === undefined) return "–";
  if (used < 10) return `${Math.ceil(used * 100)} %`;
  return used < 1e4 ? `${used.toFixed(0)}x` : `${exponential(used, 0)}x`;
}

/** By the share of its limit that a layer uses up. */
function grade(layer) {
  if (layer.verdict === "shape_mismatch" || layer.verdict === "unreadable") return "other";
  if (layer.verdict === "fail") return "bad";
  return layer.used > 0.5 ? "near" : "good";
}

function verdictOf(layer) {
  const trend = layer.baseline?.trend;
  switch (layer.verdict) {
    case "shape_mismatch": return "SHAPE";
    case "unreadable": return "READ";
    case "fail": return layer.used !== null && layer.used <= 1 && trend === "worse" ? "WORSE" : "FAIL";
    default: return trend === "better" ? "better" : "ok";
  }
}

/** The share of its limit that a layer uses up: infinite where a figure is undefined, none where it was not compared. */
const usedUp = (layer) => layer.used ?? (layer.tolerance ? Infinity : -1);

/** The layer that uses up most of its limit. */
function closest() {
  return layers.map((_, at) => at).filter((at) => usedUp(layers[at]) >= 0)
    .sort((a, b) => usedUp(layers[a]) === usedUp(layers[b]) ? a - b : usedUp(layers[b]) > usedUp(layers[a]) ? 1 : -1)[0];
}

function header() {
  const { summary } = run;
  const passed = summary.verdict === "pass";
  byId("verdict").textContent = passed ? "PASS" : "FAIL";
  byId("verdict").classList.add(passed ? "pass" : "fail");
  byId("sentence").textContent = summary.text;
  document.title = `${passed ? "PASS" : "FAIL"}: ${summary.text}`;
  const terms = byId("terms");
  const term = (name, ...value) => terms.append(make("dt", "", name), make("dd", "", ...value));
  const of = run.provenance;
  for (const one of of) if (one.obstacle) term("cannot be compared", one.obstacle);
  const first = layers.findIndex((layer) => layer.verdict !== "pass" && nameOf(layer) === summary.first_failure
    && layer.comparison === summary.first_failure_comparison);
  if (first >= 0) {
    const link = make("a", "mono", nameOf(layers[first]));
    link.href = `#layer-${first}`;
    term("first failing layer", link, of.length > 1 ? ` in ${setOf(layers[first].comparison)}` : "");
  }
  const worst = closest();
  if (worst !== undefined && worst !== first) {
    const link = make("a", "mono", nameOf(layers[worst]));
    link.href = `#layer-${worst}`;
    term(passed ? "closest to its limit" : "worst layer", link, layers[worst].used === null ? ", beyond any limit" : `, ${share(layers[worst].used)}`);
  }
  if (of.length > 0) {
    if (of[0].candidate.title) term("candidate", of[0].candidate.title);
    term("reference", of.length === 1 ? of[0].reference.title : `${of.length} sets: ${of.map((_, at) => setOf(at)).join(", ")}`);
    if (of[0].profile) term("profile", of[0].profile);
  }
  if (run.next.length > 0) term("next", ...run.next.map((step) => make("p", "step", step)));
}

function unpaired() {
  const rows = byId("unpaired-rows");
  const row = (what, side, name, why) => rows.append(make("tr", "", make("td", "", what), make("td", "", side),
    make("td", "mono wrap", name), make("td", "", why)));
  run.missing.forEach((one) => row("missing", one.side, one.expected.join(" or "), one.detail));
  run.unmapped.forEach((one) => row("unmapped", one.side, one.name, one.detail));
  run.ambiguous.forEach((one) => row("ambiguous", one.side, one.names.join(", "), one.detail));
  run.gaps.forEach((one) => row("gap", "", one.name, one.detail));
  run.absent.forEach((one) => row("absent", one.side, one.side === "candidate" ? one.name : one.reference, "optional"));
  run.ignored.forEach((one) => row("ignored", one.side, one.name, one.reason));
  byId("unpaired").hidden = rows.children.length === 0;
  const notes = byId("notes-list");
  for (const of of run.provenance) {
    const told = [of.shortfall, ...of.not_as_recorded, ...of.remarks, ...of.warnings].filter(Boolean);
    const isOfLayer = (one) => one.explains?.some((name) => layers.some((layer) => nameOf(layer) === name));
    const isLoose = (one) => one.kind === "order_unknown" || (one.kind === "explanation" && !isOfLayer(one));
    const loose = of.findings.filter(isLoose).map((one) => one.text);
    for (const note of [...loose, ...told]) {
      notes.append(make("li", "", run.provenance.length > 1 ? `${setOf(of.comparison)}: ${note}` : note));
    }
  }
  byId("notes").hidden = notes.children.length === 0;
}

function sides() {
  const facts = (title, of) => {
    const list = make("dl", "");
    list.append(make("dt", "", "title"), make("dd", "", of.title));
    if (of.folder) list.append(make("dt", "", "folder"), make("dd", "mono", of.folder));
    for (const [name, value] of Object.entries(of.facts)) list.append(make("dt", "", name), make("dd", "mono", value));
    return make("details", "", make("summary", "", title), list);
  };
  const footer = byId("sides");
  for (const of of run.provenance) {
    const set = run.provenance.length > 1 ? `${setOf(of.comparison)}: ` : "";
    footer.append(facts(`${set}candidate`, of.candidate), facts(`${set}reference`, of.reference));
  }
  const one = run.provenance[0];
  if (one) footer.append(make("p", "quiet", `${one.program}, mapping ${one.mapping || "none"}`));
}

/** Chooses a layer: its row, its column of the plot, its details. */
function choose(at, scrolls) {
  if (at < 0 || at >= layers.length) return;
  chosen = at;
  if (location.hash !== `#layer-${at}`) history.replaceState(null, "", `#layer-${at}`);
  showRow(at);
  plot(layers[at].comparison);
  detail(at);
  if (scrolls && matchMedia("(max-width: 860px)").matches) byId("layer").scrollIntoView();
}

function step(list, by) {
  const from = list.indexOf(chosen);
  const next = from >= 0 ? list[(from + by + list.length) % list.length]
    : (by > 0 ? list.find((at) => at > chosen) : list.findLast((at) => at < chosen)) ?? list[by > 0 ? 0 : list.length - 1];
  if (next !== undefined) choose(next, true);
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input:not([type=checkbox]), select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const act = {
    n: () => step(failing, 1), p: () => step(failing, -1),
    j: () => step(visible(), 1), k: () => step(visible(), -1),
    "/": () => byId("filter").focus(),
  }[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
}

function start() {
  header();
  list();
  unpaired();
  sides();
  sets();
  document.addEventListener("keydown", keys);
  const fromHash = () => {
    const at = /^#layer-(\d+)$/.exec(location.hash);
    if (at && Number(at[1]) !== chosen) choose(Number(at[1]), true);
  };
  addEventListener("hashchange", fromHash);
  fromHash();
  if (chosen < 0 && layers.length > 0) choose(failing[0] ?? closest() ?? 0, false);
  if (layers.length === 0) for (const id of ["depth", "layers", "layer"]) byId(id).hidden = true;
}
