// Both sides of a layer as maps: viridis for values, blue over white to red for the signed difference.
const VIRIDIS = ["440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"];
const SIGNED = ["053061", "2166ac", "4393c3", "92c5de", "d1e5f0", "f7f7f7", "fddbc7", "f4a582", "d6604d", "b2182b", "67001f"];
const NOT_FINITE = [255, 0, 255];

function anchors(scale) {
  return scale.map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
}

/** The colour at a place from 0 to 1. */
function colour(scale, at) {
  if (!Number.isFinite(at)) return NOT_FINITE;
  const place = Math.min(1, Math.max(0, at)) * (scale.length - 1), low = Math.min(Math.floor(place), scale.length - 2);
  return [0, 1, 2].map((i) => Math.round(scale[low][i] + (place - low) * (scale[low + 1][i] - scale[low][i])));
}

function bytes(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

// Numbers are little-endian, as on every machine that a browser runs on.
const floats = (text) => new Float32Array(bytes(text).buffer);
const integers = (text) => new Uint32Array(bytes(text).buffer);

function range(...arrays) {
  let low = Infinity, high = -Infinity;
  for (const array of arrays) for (const value of array) {
    if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
  }
  return low <= high ? [low, high] : [0, 0];
}

function paint(canvas, values, columns, scale, [low, high]) {
  canvas.width = columns;
  canvas.height = values.length / columns;
  const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
  values.forEach((value, i) => {
    const at = high > low ? (value - low) / (high - low) : Number.isFinite(value) ? 0.5 : NaN;
    image.data.set([...colour(scale, at), 255], 4 * i);
  });
  context.putImageData(image, 0, 0);
}

/** The index of a channel along each of the axes that are not rows or columns. */
function channelIndex(map, channel) {
  const index = {};
  for (let axis = map.axes.length - 1; axis >= 0; axis--) {
    if (axis === map.row || axis === map.column) continue;
    const { name, extent } = map.axes[axis];
    index[name] = channel % extent;
    channel = Math.floor(channel / extent);
  }
  return index;
}

function channelName(map, channel) {
  const index = channelIndex(map, channel);
  const long = map.axes.filter((axis) => axis.name in index && axis.extent > 1);
  return long.map((axis) => `${axis.name} ${index[axis.name]}`).join(", ") || "all";
}

/** An index as a side's file has it; products of axes are one extent. */
function fileIndex(map, side, index) {
  const extent = Object.fromEntries(map.axes.map((axis) => [axis.name, axis.extent]));
  const places = map.layouts[side].map((group) => group.reduce((at, name) => at * extent[name] + index[name], 0));
  return places.every(Number.isInteger) ? `[${places.join(", ")}]` : "–";
}

function drawMaps(pane, layer) {
  const map = maps.find((one) => one.comparison === layer.comparison && one.layer === nameOf(layer));
  if (!map) {
    if (layer.tolerance) pane.append(make("p", "quiet", maps.length === 0 ? "This page has no maps: parity --report html=FILE writes them." : "This layer carries no maps: only the first failing layers and those closest to their limits do."));
    return;
  }
  const errors = floats(map.errors);
  const state = { channel: 0, cell: -1, zoom: 1 };
  const [rows, columns] = map.cells;
  const title = make("h3", "", "Maps");
  const tools = make("div", "tools"), channels = make("div", "channels");
  channels.role = "group";
  channels.ariaLabel = "Channel";
  const zoom = [];
  const readout = make("output", "readout");
  const names = ["candidate", "reference", "difference"];
  const views = names.map((name) => {
    const canvas = make("canvas", ""), sheet = make("div", "sheet", canvas), frame = make("div", "pane", sheet);
    canvas.tabIndex = 0;
    canvas.role = "img";
    const scale = make("canvas", ""), low = make("span", ""), high = make("span", "");
    scale.ariaHidden = "true";
    const cross = make("div", "cross");
    cross.hidden = true;
    sheet.append(cross);
    const caption = make("figcaption", "", name === "difference" ? "candidate − reference" : name);
    return { name, canvas, sheet, frame, cross, scale, low, high, figure: make("figure", "map", caption, frame, make("div", "scale", low, scale, high)) };
  });

  const show = () => {
    const channel = map.channels[state.channel];
    const values = Object.fromEntries(names.map((name) => [name, floats(channel[name])]));
    state.values = values;
    state.elements = channel.elements ? integers(channel.elements) : null;
    const both = range(values.candidate, values.reference);
    const most = Math.max(...range(values.difference).map(Math.abs));
    for (const view of views) {
      const signed = view.name === "difference";
      const limits = signed ? [-most, most] : both, scale = anchors(signed ? SIGNED : VIRIDIS);
      paint(view.canvas, values[view.name], columns, scale, limits);
      paint(view.scale, Float32Array.from({ length: 64 }, (_, i) => i / 63), 64, scale, [0, 1]);
      [view.low.textContent, view.high.textContent] = limits.map(figure);
      view.canvas.ariaLabel = `${view.name}, channel ${channelName(map, channel.channel)}: from ${figure(limits[0])} to ${figure(limits[1])}`;
    }
    [...channels.children].forEach((button, i) => button.setAttribute("aria-pressed", String(i === state.channel)));
    strip?.querySelectorAll("rect").forEach((bar, i) => bar.classList.toggle("chosen", i === state.channel));
    point(state.cell);
  };

  const point = (cell) => {
    state.cell = cell;
    for (const { cross } of views) cross.hidden = cell < 0;
    if (cell < 0) {
      readout.textContent = `rows ${map.axes[map.row].name}, columns ${map.axes[map.column].name}; point at a cell, or move with the arrow keys, for its values`
        + (state.elements ? "\neach cell shows the element of it with the largest error" : "");
      return;
    }
    const [row, column] = [Math.floor(cell / columns), cell % columns];
    for (const { cross } of views) {
      Object.assign(cross.style, { left: `${100 * column / columns}%`, top: `${100 * row / rows}%`, width: `${100 / columns}%`, height: `${100 / rows}%` });
    }
    const element = state.elements ? state.elements[cell] : cell, wide = state.elements ? map.axes[map.column].extent : columns;
    const index = channelIndex(map, map.channels[state.channel].channel);
    index[map.axes[map.row].name] = Math.floor(element / wide);
    index[map.axes[map.column].name] = element % wide;
    const { candidate, reference, difference } = state.values;
    readout.textContent = `candidate ${fileIndex(map, "candidate", index)}  ${digits(candidate[cell])}\n`
      + `reference ${fileIndex(map, "reference", index)}  ${digits(reference[cell])}\ndifference ${digits(difference[cell])}`;
  };

  for (const view of views) {
    const at = (event) => {
      const box = view.canvas.getBoundingClientRect();
      const [column, row] = [(event.clientX - box.left) / box.width * columns, (event.clientY - box.top) / box.height * rows].map(Math.floor);
      if (row >= 0 && row < rows && column >= 0 && column < columns) point(row * columns + column);
    };
    view.canvas.addEventListener("pointermove", at);
    view.canvas.addEventListener("pointerdown", at);
    view.canvas.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!by) return;
      event.preventDefault();
      const cell = Math.max(0, state.cell);
      const row = Math.min(rows - 1, Math.max(0, Math.floor(cell / columns) + by[0]));
      const column = Math.min(columns - 1, Math.max(0, cell % columns + by[1]));
      point(row * columns + column);
    });
    view.frame.addEventListener("scroll", () => {
      for (const other of views) if (other !== view) [other.frame.scrollLeft, other.frame.scrollTop] = [view.frame.scrollLeft, view.frame.scrollTop];
    });
  }

  const total = errors.reduce((sum, error) => sum + error, 0);
  map.channels.forEach((channel, i) => {
    const of = Number.isFinite(total) && total > 0 ? ` · ${(100 * errors[channel.channel] / total).toFixed(0)} %` : "";
    const button = make("button", "", `${channelName(map, channel.channel)}${of}`);
    button.type = "button";
    button.addEventListener("click", () => {
      state.channel = i;
      show();
    });
    channels.append(button);
  });
  tools.append(make("span", "quiet stretch", errors.length > 1 ? `channel, by its share of the error (${map.channels.length} of ${errors.length})` : "one channel"));
  for (const [label, by] of [["−", 0.5], ["+", 2]]) {
    const button = make("button", "", label);
    button.type = "button";
    button.ariaLabel = by > 1 ? "Zoom in" : "Zoom out";
    button.addEventListener("click", () => {
      state.zoom = Math.min(16, Math.max(1, state.zoom * by));
      for (const { sheet } of views) sheet.style.width = `${100 * state.zoom}%`;
    });
    zoom.push(button);
  }
  const strip = errors.length > 1 ? channelStrip(errors) : null;
  tools.append(...zoom);
  pane.append(title, tools, channels, make("div", "maps", ...views.map((view) => view.figure)), readout);
  const charts = make("div", "charts");
  if (strip) charts.append(make("div", "", make("h3", "", "Channels by their error"), strip, make("div", "ends", make("span", "", "largest"), make("span", "", "smallest"))));
  charts.append(histogram(map));
  pane.append(charts);
  worst(pane, map);
  show();
}

/** Σ d² of every channel, the largest first, as roots: the eye compares lengths. */
function channelStrip(errors) {
  const sorted = [...errors].sort((a, b) => b - a).slice(0, 256);
  const most = sorted.find(Number.isFinite) || 1, each = 300 / sorted.length;
  const svg = draw("svg", { viewBox: "0 0 300 84", preserveAspectRatio: "none", role: "img", "aria-label": `Error of ${sorted.length} channels, the largest first` });
  sorted.forEach((error, i) => {
    const height = Math.max(0.5, 80 * Math.sqrt(Math.min(1, error / most)));
    svg.append(draw("rect", { x: i * each, y: 84 - height, width: Math.max(0.4, each * 0.85), height }));
  });
  return svg;
}

function histogram(map) {
  const { counts, most, others } = map.histogram;
  const top = Math.log10(1 + Math.max(...counts)), each = 300 / counts.length;
  const svg = draw("svg", { viewBox: "0 0 300 84", preserveAspectRatio: "none", role: "img", "aria-label": `Elements by their difference, from ${figure(-most)} to ${figure(most)}` });
  counts.forEach((count, i) => {
    const height = count > 0 && top > 0 ? Math.max(1.5, 80 * Math.log10(1 + count) / top) : 0;
    svg.append(draw("rect", { x: i * each, y: 84 - height, width: each * 0.9, height }, draw("title", {}, `${count} elements`)));
  });
  const ends = make("div", "ends", make("span", "", figure(-most)), make("span", "", "0"), make("span", "", figure(most)));
  return make("div", "", make("h3", "", `Elements by their difference${others > 0 ? ` (${others} not finite)` : ""}`), svg, ends);
}

function worst(pane, map) {
  if (map.worst.length === 0) return;
  const same = map.worst.every((one) => String(one.index) === String(one.candidate_index));
  const index = (at) => `[${at.join(", ")}]`;
  const lines = map.worst.map((one) => ({ cells: [
    index(one.index), ...(same ? [] : [index(one.candidate_index)]), digits(one.candidate), digits(one.reference),
    typeof one.candidate === "number" && typeof one.reference === "number" ? digits(one.candidate - one.reference) : "–",
  ] }));
  const heads = ["index", ...(same ? [] : ["in the candidate"]), "candidate", "reference", "difference"];
  pane.append(make("h3", "", "Worst elements"), table("Worst elements", heads, lines, ...heads.keys()));
}
