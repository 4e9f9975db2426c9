// The list of layers, and the error along the depth.
let rows = [];

function list() {
  const body = byId("rows");
  let set = -1;
  layers.forEach((layer, at) => {
    if (layer.comparison !== set && run.provenance.length > 1) {
      const head = make("th", "", setOf(layer.comparison));
      head.colSpan = 5;
      head.scope = "rowgroup";
      body.append(make("tr", "set", head));
    }
    set = layer.comparison;
    const link = make("a", "", nameOf(layer) + (layer.stands_for ? " *" : ""));
    link.href = `#layer-${at}`;
    link.title = `${nameOf(layer)} against ${layer.reference}`;
    const bar = make("b", grade(layer));
    bar.style.width = `${100 * Math.min(1, layer.used ?? 1)}%`;
    const used = make("td", "number used", share(layer.used), make("i", "", bar));
    const row = make("tr", "", make("td", "", link), make("td", "number", figure(layer.rel_l2)),
      make("td", "number", figure(layer.max_abs)), used, make("td", `verdict ${grade(layer)}`, verdictOf(layer)));
    row.addEventListener("click", (event) => {
      event.preventDefault();
      choose(at, true);
    });
    body.append(row);
    rows.push(row);
  });
  byId("filter").addEventListener("input", filter);
  byId("failing").addEventListener("change", filter);
  byId("failing").disabled = failing.length === 0;
  filter();
}

function filter() {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const only = byId("failing").checked;
  layers.forEach((layer, at) => {
    const text = `${nameOf(layer)} ${layer.name} ${layer.reference} ${layer.rule} ${setOf(layer.comparison)}`.toLowerCase();
    rows[at].hidden = (only && layer.verdict === "pass") || !words.every((word) => text.includes(word));
  });
  const count = visible().length;
  byId("shown").textContent = count === layers.length ? String(count) : `${count} of ${layers.length}`;
}

/** The layers whose rows are shown. */
function visible() {
  return layers.map((_, at) => at).filter((at) => !rows[at].hidden);
}

function showRow(at) {
  for (const row of rows) row.removeAttribute("aria-current");
  rows[at].setAttribute("aria-current", "true");
  const pane = byId("list"), row = rows[at];
  const top = row.offsetTop - 30, bottom = row.offsetTop + row.offsetHeight;
  if (top < pane.scrollTop) pane.scrollTop = top;
  if (bottom > pane.scrollTop + pane.clientHeight) pane.scrollTop = bottom - pane.clientHeight;
}

function sets() {
  const select = byId("set");
  run.provenance.forEach((_, at) => {
    const option = make("option", "", setOf(at));
    option.value = String(at);
    select.append(option);
  });
  byId("set-label").hidden = run.provenance.length < 2;
  select.addEventListener("change", () => {
    const of = Number(select.value);
    const first = layers.findIndex((layer) => layer.comparison === of && layer.verdict !== "pass");
    choose(first >= 0 ? first : layers.findIndex((layer) => layer.comparison === of), false);
  });
  const entry = (shape, text) => byId("legend").append(make("li", "", shape, text));
  const icon = (...shapes) => draw("svg", { width: 18, height: 12, "aria-hidden": "true" }, ...shapes);
  const line = (name) => icon(draw("line", { x1: 0, x2: 18, y1: 6, y2: 6, class: name }));
  entry(icon(draw("circle", { cx: 9, cy: 6, r: 4, class: "mark good" })), "within its limit");
  entry(icon(draw("rect", { x: 5, y: 2, width: 8, height: 8, class: "mark bad" })), "over");
  entry(line("limit"), "limit");
  if (layers.some((layer) => criterion(layer)?.floor)) entry(line("floor"), "noise floor");
  if (layers.some((layer) => layer.in_run)) entry(line("inherited"), "inherited");
}

/** What ‖d‖ / ‖b‖ of a layer was held against. */
function criterion(layer) {
  return layer.tolerance?.criteria.find((one) => one.metric === "rel_l2");
}

/** rel_l2 of the layers of a comparison, with limits and floors, on a scale of powers of ten. */
function plot(comparison) {
  byId("set").value = String(comparison);
  const of = layers.map((_, at) => at).filter((at) => layers[at].comparison === comparison);
  const points = of.map((at) => {
    const layer = layers[at], limit = criterion(layer);
    return { at, layer, error: layer.rel_l2, limit: limit?.limit, floor: limit?.floor, inherited: layer.in_run?.inherited };
  });
  const known = points.flatMap(({ error, limit, floor, inherited }) => [error, limit, floor, inherited])
    .filter((value) => value > 0 && Number.isFinite(value));
  if (known.length === 0) {
    byId("plot").replaceChildren(make("p", "quiet", "No layer of this set has a relative error."));
    return;
  }
  const low = Math.floor(Math.log10(Math.min(...known)) - 0.1), high = Math.ceil(Math.log10(Math.max(...known)) + 0.1);
  const [width, height, left, top, bottom] = [Math.max(520, byId("plot").clientWidth), 190, 44, 8, 16];
  const each = (width - left - 6) / points.length;
  const x = (i) => left + (i + 0.5) * each;
  const y = (value) => top + (height - top - bottom) * (high - Math.log10(value)) / (high - low);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Relative error by layer, on a logarithmic scale" });
  const every = Math.ceil((high - low) / 7);
  for (let power = low; power <= high; power += every) {
    svg.append(draw("line", { class: "grid", x1: left, x2: width - 6, y1: y(10 ** power), y2: y(10 ** power) }),
      draw("text", { x: left - 6, y: y(10 ** power) + 4, "text-anchor": "end" }, `1e${power}`));
  }
  const here = points.findIndex((point) => point.at === chosen);
  if (here >= 0) svg.append(draw("rect", { class: "current", x: x(here) - Math.max(each, 6) / 2, y: top, width: Math.max(each, 6), height: height - top - bottom }));
  const steps = (name, value) => {
    let path = "";
    points.forEach((point, i) => {
      const is = value(point);
      if (!(is > 0)) return;
      const joined = i > 0 && value(points[i - 1]) > 0;
      path += `${joined ? "L" : "M"}${(x(i) - each / 2).toFixed(1)} ${y(is).toFixed(1)}L${(x(i) + each / 2).toFixed(1)} ${y(is).toFixed(1)}`;
    });
    if (path) svg.append(draw("path", { class: name, d: path }));
  };
  steps("floor", (point) => point.floor);
  steps("inherited", (point) => point.inherited);
  steps("limit", (point) => point.limit);
  points.forEach(({ error, layer }, i) => {
    const mark = `mark ${grade(layer)}`, r = Math.min(3.6, Math.max(1.6, each / 2.4));
    if (layer.verdict === "pass" && error > 0) svg.append(draw("circle", { class: mark, cx: x(i), cy: y(error), r }));
    else if (error > 0) svg.append(draw("rect", { class: mark, x: x(i) - r, y: y(error) - r, width: 2 * r, height: 2 * r }));
    else if (layer.verdict !== "pass") svg.append(draw("path", { class: mark, d: `M${x(i)} ${top + 2}l${r} ${2 * r}h${-2 * r}z` }));
  });
  points.forEach(({ at, layer, limit }, i) => {
    const column = draw("rect", { class: "column", x: x(i) - each / 2, y: top, width: each, height: height - top - bottom },
      draw("title", {}, `${nameOf(layer)}\nrel_l2 ${figure(layer.rel_l2)}${limit === undefined ? "" : `, limit ${figure(limit)}`}, ${share(layer.used)} of its limit`));
    column.addEventListener("click", () => choose(at, true));
    svg.append(column);
  });
  svg.append(draw("text", { x: left, y: height - 3 }, "input"), draw("text", { x: width - 6, y: height - 3, "text-anchor": "end" }, "output"));
  byId("plot").replaceChildren(svg);
}
