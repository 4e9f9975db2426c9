// Everything about one layer.
function table(label, heads, lines, ...numbers) {
  const head = make("tr", "");
  heads.forEach((text, i) => {
    const cell = make("th", numbers.includes(i) ? "number" : "", text);
    cell.scope = "col";
    head.append(cell);
  });
  const body = make("tbody", "");
  for (const line of lines) {
    const row = make("tr", line.grade ?? "");
    line.cells.forEach((cell, i) => row.append(make("td", numbers.includes(i) ? "number" : "", cell)));
    body.append(row);
  }
  const made = make("div", "scroll", make("table", "", make("thead", "", head), body));
  made.tabIndex = 0;
  made.role = "region";
  made.ariaLabel = label;
  return made;
}

function detail(at) {
  const layer = layers[at], of = run.provenance[layer.comparison];
  const title = make("h2", "", nameOf(layer), " ", make("span", grade(layer), verdictOf(layer)));
  title.id = "layer-title";
  title.ariaLive = "polite";
  const pane = byId("layer");
  const facts = make("dl", "");
  const fact = (name, ...value) => facts.append(make("dt", "", name), make("dd", "", ...value));
  if (layer.stands_for) fact("candidate", make("code", "", layer.name), layer.alias_reason ? ` (${layer.alias_reason})` : "");
  fact("reference", make("code", "", layer.reference));
  if (layer.shape) fact("shape", make("code", "", `[${layer.shape.join(", ")}]`), ` ${layer.candidate_dtype} against ${layer.reference_dtype}`);
  fact("rule", make("code", "", layer.rule), layer.rule_line ? ` (${of.mapping}:${layer.rule_line})` : "");
  if (layer.seen) fact("seen", `${layer.seen.elements} of ${layer.seen.of} elements`);
  if (layer.in_run) {
    const { inherited, whole, gain } = layer.in_run;
    fact("in the run", `inherited ${figure(inherited)}, whole ${figure(whole)}${gain === null ? "" : `, gain ${gain.toFixed(2)}`}`);
  }
  pane.replaceChildren(title, facts);
  const reasons = make("ul", "reasons", ...layer.reasons.map((reason) => make("li", "", reason)));
  if (layer.reasons.length > 0) pane.append(reasons);
  if (layer.diagnosis && !layer.reasons.includes(layer.diagnosis)) pane.append(make("p", "cause", layer.diagnosis));
  if (layer.error_shape?.text) pane.append(make("p", "", layer.error_shape.text));
  causes(pane, layer, of);
  drawMaps(pane, layer);
  figures(pane, layer);
  if (layer.verdict !== "pass" && run.next.length > 0) {
    pane.append(make("h3", "", "Next"), ...run.next.map((step) => make("p", "step", step)));
  }
}

/** What explains the layer, each with what was tried and found. */
function causes(pane, layer, of) {
  const found = of.findings.filter((one) => one.kind === "explanation" && one.explains?.includes(nameOf(layer)));
  if (found.length === 0) return;
  pane.append(make("h3", "", "Cause"));
  for (const one of found) {
    const evidence = make("dl", "");
    for (const [name, value] of Object.entries(one)) {
      if (["kind", "text", "explains"].includes(name) || value === null || (Array.isArray(value) && value.length === 0)) continue;
      evidence.append(make("dt", "", name), make("dd", "mono", typeof value === "number" ? digits(value) : typeof value === "string" ? value : JSON.stringify(value)));
    }
    evidence.append(make("dt", "", "explains"), make("dd", "mono", `${one.explains.length}: ${one.explains.slice(0, 12).join(", ")}${one.explains.length > 12 ? ", …" : ""}`));
    pane.append(make("div", "cause", make("p", "", one.text), make("details", "", make("summary", "quiet", "evidence"), evidence)));
  }
}

function figures(pane, layer) {
  const criteria = layer.tolerance?.criteria ?? [];
  if (criteria.length > 0) {
    const origin = (one) => one.waiver ? `waiver until ${one.waiver.expires}: ${one.waiver.reason}`
      : one.floor !== null ? `${one.factor} × floor ${figure(one.floor)}${one.basis === "derived" ? ", derived for this layer" : ""}` : one.basis === "cap" ? "the cap, which no mapping may exceed" : "the mapping";
    const used = (one) => one.measured !== null && one.limit > 0 && one.metric !== "cosine" ? share(one.measured / one.limit) : "";
    pane.append(make("h3", "", "Limits"), table("Limits", ["figure", "measured", "limit", "of limit", "limit from"], criteria.map((one) => ({
      grade: one.passed ? "" : "bad",
      cells: [one.metric, digits(one.measured), digits(one.limit), used(one), origin(one)],
    })), 1, 2, 3));
  }
  if (layer.baseline) {
    const { trend, metric, old, new: now, allowed } = layer.baseline;
    const text = metric === null ? "the same as its known error" : `${trend}: ${metric} ${figure(old)} → ${figure(now)}, ${allowed} times are allowed`;
    pane.append(make("h3", "", "Against the baseline"), make("p", trend === "worse" ? "bad" : trend === "better" ? "good" : "", text));
  }
  const all = ["rel_l2", "rel_linf", "max_abs", "mean_abs", "rms", "mean_rel", "rel_floor_mean", "rel_floor_max", "cosine", "scale", "max_ulp"];
  const known = all.filter((name) => layer[name] !== null);
  if (known.length > 0) {
    const list = make("dl", "mono");
    // A cosine shows its error in the last digits.
    const shown = (name) => name === "cosine" ? String(+layer[name].toPrecision(13)) : digits(layer[name]);
    for (const name of known) list.append(make("dt", "", name), make("dd", "", shown(name)));
    for (const [name, value] of Object.entries(layer.counts ?? {})) {
      if (value > 0) list.append(make("dt", "", name), make("dd", "", String(value)));
    }
    pane.append(make("h3", "", "Figures"), list);
  }
}
