// The explorer in the browser: shows one stored rate at a time and lets the neurons glide; it computes no result.

const GLIDE = 75; // milliseconds in which a tile covers two thirds of its way
const RELEASE = 100; // milliseconds after which a key held down counts as released
const NARROW = 620; // CSS pixels below which the field is taller than wide
const CHART_HEIGHT = 156;
const MARGIN = { left: 46, right: 14, top: 22, bottom: 40 };

// Okabe and Ito's colours, safe for colour-blind viewers. Beyond eight clusters they repeat, and the region's outline and number
// tell the clusters apart.
const PALETTE = {
  light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#3f9fd8", "#d99400", "#b3a100", "#5a5a5a"],
  dark: ["#4aa3e0", "#f0783c", "#2cc495", "#e39ac4", "#8fd0f7", "#f0b030", "#f0e442", "#bdbdbd"],
};
// How the app's other charts name dashes, as an SVG path has them.
const DASHES = { solid: "none", dash: "7 5", dot: "2 4", dashdot: "9 4 2 4", longdash: "13 5" };
const OUTLINES = [[], [9, 5], [2, 4], [12, 4, 2, 4], [4, 3]];

const explorers = new WeakMap();

/** Called by Streamlit at the first mount, and again when the data or the theme changes. */
export default function (component) {
  const { parentElement, data } = component;
  let explorer = explorers.get(parentElement);
  if (!explorer) {
    explorer = createExplorer(parentElement.querySelector(".explorer"));
    explorers.set(parentElement, explorer);
  }
  explorer.update(data, (index) => component.setStateValue("index", index));
  return () => {
    explorers.delete(parentElement);
    explorer.destroy();
  };
}

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** A share without its leading zero, as everywhere on the page. */
const share = (value, digits) => (value < 0 ? "−" : "") + Math.abs(value).toFixed(digits).replace(/^0/, "");

const KEPT = 200; // what was fetched and is kept at hand, for all explorers of this tab
const kept = new Map();

/** What lies at an address, which names its content: fetched once, kept by the browser, and asked for again where that failed. */
function fetched(address, read) {
  const known = kept.get(address);
  if (known) {
    kept.delete(address);
    kept.set(address, known);
    return known;
  }
  const answer = fetch(new URL(address, document.baseURI), { cache: "force-cache" })
    .then((response) => {
      if (!response.ok) throw new Error(`${response.status}`);
      return read(response);
    })
    .catch((error) => {
      kept.delete(address);
      throw error;
    });
  kept.set(address, answer);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  return answer;
}

const unzipped = (response) => new Response(response.body.pipeThrough(new DecompressionStream("gzip"))).json();

/** The levels of a grey picture, and its size. */
async function levelsOf(response) {
  const picture = await createImageBitmap(await response.blob());
  const { width, height } = picture;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, levels: Uint8Array.from({ length: width * height }, (_, i) => data[4 * i]) };
}

/** The payload with its byte strings unpacked; indexed [rate * units + neuron]. */
function unpack(payload) {
  const scene = { ...payload };
  for (const name of ["incoming", "outgoing", "agree", "dead", "copies", "cosines"]) scene[name] = bytes(payload[name]);
  for (const name of ["twin", "twinCorrelations"]) scene[name] = payload[name] && bytes(payload[name]);
  scene.parts = payload.texts.map((texts) =>
    Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, text.split("**")])),
  );
  return scene;
}

function rgb(colour) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}

const luminance = ([r, g, b]) => (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;

/** Colours of the page's theme, and the 256 colours from negative over nothing to positive weights. */
function readTheme(root) {
  const style = getComputedStyle(root);
  const background = style.getPropertyValue("--st-background-color").trim() || "#ffffff";
  const text = style.getPropertyValue("--st-text-color").trim() || "#31333f";
  const ground = rgb(background);
  const dark = luminance(ground) < 0.5;
  const ends = dark ? [[96, 176, 255], [255, 140, 66]] : [[0, 90, 160], [200, 72, 0]];
  const weights = new Uint32Array(256);
  for (let level = 0; level < 256; level++) {
    const way = Math.min(1, Math.abs(level - 128) / 127) ** 1.2; // above 1, so that noise stays pale
    const end = ends[level < 128 ? 0 : 1];
    const [r, g, b] = ground.map((from, i) => Math.round(from + (end[i] - from) * way));
    weights[level] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  return { background, text, dark, weights, palette: dark ? PALETTE.dark : PALETTE.light, font: style.fontFamily };
}

/** A picture in the colours of the theme. */
function drawAtlas({ width, height, levels }, theme) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < levels.length; i++) pixels[i] = theme.weights[levels[i]];
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Round numbers between low and high, at most so many and one. */
function niceTicks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough - 1e-9);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9; i++) ticks.push(i * step);
  return { ticks, digits: Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)) };
}

/** A small chart drawn once for a width; `move` puts its marker onto a stored rate. */
function createChart(svg, scene, { name, series, points = [], zero = false }) {
  const width = svg.clientWidth || 320;
  const height = CHART_HEIGHT;
  const shown = series.flatMap(({ curve }) => [...curve.low, ...curve.high, ...curve.mean]).filter((value) => value !== null);
  const all = [...shown, ...points.map(([, y]) => y), ...(zero ? [0] : [])];
  const spread = Math.max(...all) - Math.min(...all) || 0.1;
  const low = Math.min(...all) - 0.05 * spread;
  const high = Math.max(...all) + 0.05 * spread;
  const first = scene.rates[0];
  const last = Math.max(scene.rates.at(-1), ...points.map(([x]) => x), first + 0.01);
  const x = (rate) => MARGIN.left + ((rate - first) / (last - first)) * (width - MARGIN.left - MARGIN.right);
  const y = (value) => MARGIN.top + ((high - value) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);
  const bottom = height - MARGIN.bottom;

  const { ticks, digits } = niceTicks(low, high, 4);
  const grid = ticks
    .map((tick) => `<line class="grid" x1="${MARGIN.left}" x2="${width - MARGIN.right}" y1="${y(tick)}" y2="${y(tick)}"/>
      <text x="${MARGIN.left - 8}" y="${y(tick) + 5}" text-anchor="end">${tick ? share(tick, digits) : "0"}</text>`)
    .join("");
  const below = niceTicks(first, last, 5)
    .ticks.map((tick) => `<text x="${x(tick)}" y="${bottom + 17}" text-anchor="middle">${tick ? share(tick, 1) : "0"}</text>`)
    .join("");
  const path = (values) => values.map((value, i) => `${i ? "L" : "M"}${x(scene.rates[i])},${y(value)}`).join("");
  const curves = series.map(({ kind, curve }) => {
    const known = curve.low.every((value) => value !== null);
    const edge = known ? [...curve.high.map((v, i) => [i, v]), ...curve.low.map((v, i) => [i, v]).reverse()] : [];
    const outline = edge.map(([i, value]) => `${x(scene.rates[i])},${y(value)}`).join(" ");
    const { colour, dash } = scene.looks[kind];
    return `<g style="--colour:${colour}"><polygon class="interval" points="${outline}"/>
      <path class="line" stroke-dasharray="${DASHES[dash]}" d="${path(curve.mean)}"/></g>`;
  });
  const marks = points
    .map(([rate, value]) => `<path class="paper" style="--colour:${scene.looks.paper.colour}" d="M${x(rate)},${y(value) - 7}l7,7l-7,7l-7,-7z"/>`)
    .join("");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  svg.innerHTML = `<text x="${MARGIN.left}" y="12">${name}</text>${grid}${below}
    <text x="${width - MARGIN.right}" y="${height - 5}" text-anchor="end">dropout rate</text>
    ${zero ? `<line class="zero" x1="${MARGIN.left}" x2="${width - MARGIN.right}" y1="${y(0)}" y2="${y(0)}"/>` : ""}
    ${curves.join("")}${marks}
    <g class="marker"><line class="now" style="--colour:${scene.looks.now.colour}" y1="${MARGIN.top - 4}" y2="${bottom}"/>
    ${series
      .map(({ kind }) => `<circle class="dot" style="--colour:${scene.looks[kind].colour}" r="${kind === "chance" ? 6 : 8}"/>`)
      .join("")}</g>`;
  const marker = svg.querySelector(".marker");
  const dots = [...marker.querySelectorAll(".dot")];
  return {
    move(index) {
      marker.setAttribute("transform", `translate(${x(scene.rates[index])},0)`);
      series.forEach(({ curve }, i) => dots[i].setAttribute("cy", y(curve.mean[index])));
    },
  };
}

function createExplorer(root) {
  const find = (selector) => root.querySelector(selector);
  const input = find("input");
  const canvas = find("canvas");
  const context = canvas.getContext("2d");
  const field = find(".field");
  const tiles = find(".tiles");
  const told = [...root.querySelectorAll(".told")];
  const texts = [...root.querySelectorAll("[data-text]")];
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  const lost = root.parentNode.querySelector(".lost");
  let source, shown; // the addresses that were asked for last, and those of what is shown
  let scene, theme, report, veiled, index;
  let addresses = []; // of the pictures, one a rate
  let pictures = []; // their levels, as far as they are there
  let atlases = []; // the same in the theme's colours
  let gone = false;
  let charts = [];
  let layout;
  let width = 0; // of the field, in CSS pixels
  let places, regions; // where tiles and regions are now, in units of the field's width
  let frame = 0;
  let before = 0; // time of the last frame
  let release = 0;
  let hovered = -1;
  let focused = -1;
  let pinned = -1;
  let walked = 0; // the tile that the Tab key reaches

  const at = (neuron) => index * scene.units + neuron;
  const lit = () => (hovered >= 0 ? hovered : focused >= 0 ? focused : pinned);
  const copiesOf = (neuron, side) => {
    const each = scene.copiesEach;
    const from = ((side * scene.rates.length + index) * scene.units + neuron) * each;
    return Array.from({ length: each }, (_, i) => [scene.copies[from + i], (scene.cosines[from + i] - 100) / 100]);
  };

  // ---- words and charts -------------------------------------------------------------------------------------------------

  function write() {
    for (const element of texts) {
      const parts = scene.parts[index][element.dataset.text];
      if (element.childElementCount !== parts.length) {
        element.replaceChildren(...parts.map((_, i) => document.createElement(i % 2 ? "b" : "span")));
      }
      parts.forEach((part, i) => {
        if (element.children[i].textContent !== part) element.children[i].textContent = part;
      });
    }
    const { rate, rand } = scene.parts[index];
    input.setAttribute("aria-valuetext", rate.join("") + (veiled ? "" : `: ${rand.join("")}`));
    input.style.setProperty("--done", `${(100 * index) / Math.max(1, scene.rates.length - 1)}%`);
    for (const chart of charts) chart.move(index);
    tell();
    tellWaiting();
  }

  const tellWaiting = () => field.setAttribute("aria-busy", String(!pictures[index]));

  function tell() {
    const neuron = lit();
    find(".hint").hidden = neuron >= 0;
    for (const line of told) line.hidden = neuron < 0;
    if (neuron < 0) return;
    describe(neuron).forEach((sentence, i) => (told[i].textContent = sentence));
  }

  function describe(neuron) {
    const [into, out] = [scene.incoming[at(neuron)] + 1, scene.outgoing[at(neuron)] + 1];
    const clusters = scene.agree[at(neuron)]
      ? `cluster ${into} by incoming and by outgoing weights`
      : `cluster ${into} by incoming weights, ${out} by outgoing`;
    const alike = (side) =>
      copiesOf(neuron, side)
        .map(([other, cosine], i) => `${other} (${i ? "" : "cosine "}${share(cosine, 2)})`)
        .join(", ") + `; shuffled weights give ${share(scene.shuffled[side][index], 2)}`;
    return [
      `Neuron ${neuron}: ${clusters}${scene.dead[at(neuron)] ? "; dead" : twinOf(neuron)}.`,
      `Most alike by incoming weights: ${alike(0)}.`,
      `Most alike by outgoing weights: ${alike(1)}.`,
    ];
  }

  /** Which neuron acts like this one, in words; nothing where that was not measured. */
  function twinOf(neuron) {
    if (!scene.twin) return "";
    const [twin, correlation] = [scene.twin[at(neuron)], (scene.twinCorrelations[at(neuron)] - 100) / 100];
    return twin === neuron ? "; no twin" : `; its twin is ${twin}, their activations correlate ${share(correlation, 2)}`;
  }

  function drawCharts() {
    const { rand, chance, adjusted, twins, scaled, sampled } = scene.curves;
    const plans = {
      rand: {
        name: "Rand index",
        series: [{ kind: "chance", curve: chance }, { kind: "rand", curve: rand }],
        points: scene.paper,
      },
      adjusted: { name: "adjusted Rand index", series: [{ kind: "adjusted", curve: adjusted }], zero: true },
      ...(twins && { twins: { name: "share with a twin", series: [{ kind: "twins", curve: twins }], zero: true } }),
      accuracy: {
        name: "test accuracy (share right)",
        series: [{ kind: "scaled", curve: scaled }, { kind: "sampled", curve: sampled }],
      },
    };
    for (const swatch of root.querySelectorAll("[data-look]")) {
      const { colour, dash } = scene.looks[swatch.dataset.look];
      swatch.style.setProperty("--colour", colour);
      swatch.classList.toggle("dashed", dash !== "solid");
    }
    find('[data-chart="twins"] svg').toggleAttribute("hidden", !twins);
    charts = Object.entries(plans).map(([name, plan]) => {
      const svg = find(`[data-chart="${name}"] svg`);
      svg.setAttribute("aria-label", scene.alts[name]);
      return createChart(svg, scene, plan);
    });
  }

  // ---- the neurons ------------------------------------------------------------------------------------------------------

  const goal = () => [layout.tiles[index], layout.regions[index]];

  function jump() {
    const [toTiles, toRegions] = goal();
    places = Float64Array.from(toTiles);
    regions = Float64Array.from(toRegions);
    settle();
  }

  /** Put the invisible elements, which keys and screen readers reach, onto the tiles that came to rest. */
  function settle() {
    const size = layout.tile * width;
    for (let neuron = 0; neuron < scene.units; neuron++) {
      const { style } = tiles.children[neuron];
      style.width = style.height = `${size}px`;
      style.transform = `translate(${places[2 * neuron] * width}px, ${places[2 * neuron + 1] * width}px)`;
    }
  }

  function name() {
    for (let neuron = 0; neuron < scene.units; neuron++) {
      const tile = tiles.children[neuron];
      tile.setAttribute("aria-label", describe(neuron).join(" "));
      tile.setAttribute("aria-selected", String(neuron === pinned));
      tile.tabIndex = neuron === walked ? 0 : -1;
    }
  }

  /** One step of the glide; true while anything is still on its way. */
  function step(now) {
    const part = 1 - Math.exp(-Math.min(64, now - before) / GLIDE);
    before = now;
    const [toTiles, toRegions] = goal();
    const near = 0.4 / width;
    let moving = false;
    const approach = (values, goals, i) => {
      const rest = goals[i] - values[i];
      if (Math.abs(rest) < near) values[i] = goals[i];
      else {
        values[i] += rest * part;
        moving = true;
      }
    };
    for (let i = 0; i < places.length; i++) approach(places, toTiles, i);
    for (let cluster = 0; cluster < scene.k; cluster++) {
      const from = 4 * cluster;
      // A cluster that comes or goes does so at once: a region between two rates would be an invention.
      const appears = regions[from + 2] === 0 || toRegions[from + 2] === 0;
      for (let i = from; i < from + 4; i++) {
        if (appears) regions[i] = toRegions[i];
        else approach(regions, toRegions, i);
      }
    }
    return moving;
  }

  function request() {
    if (!frame) {
      before = performance.now();
      frame = requestAnimationFrame(paint);
    }
  }

  function paint(now) {
    frame = 0;
    if (!width) return;
    const moving = step(now);
    draw();
    if (moving) frame = requestAnimationFrame(paint);
    else settle();
  }

  function draw() {
    const scale = canvas.width / width;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, width / layout.aspect);
    const size = layout.tile * width;
    drawRegions(size);
    const chosen = lit();
    const near = chosen < 0 ? [[], []] : [0, 1].map((side) => copiesOf(chosen, side).map(([other]) => other));
    const bright = new Set([chosen, ...near.flat()]);
    for (let neuron = 0; neuron < scene.units; neuron++) {
      if (chosen < 0 || !bright.has(neuron)) drawTile(neuron, size, chosen < 0 ? 1 : 0.25);
    }
    if (chosen < 0) return;
    for (const neuron of bright) drawTile(neuron, size, 1);
    drawLinks(chosen, near, size);
  }

  function drawRegions(size) {
    const height = Math.max(10, Math.min(22, size * 0.34));
    context.font = `600 ${height}px ${theme.font}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let cluster = 0; cluster < scene.k; cluster++) {
      const [x, y, w, h] = regions.subarray(4 * cluster, 4 * cluster + 4).map((value) => value * width);
      if (!w) continue;
      const colour = theme.palette[cluster % theme.palette.length];
      context.beginPath();
      context.roundRect(x, y, w, h, size * 0.14);
      context.fillStyle = colour;
      context.globalAlpha = theme.dark ? 0.16 : 0.1;
      context.fill();
      context.globalAlpha = 1;
      context.strokeStyle = colour;
      context.lineWidth = 1.75;
      context.setLineDash(OUTLINES[Math.floor(cluster / theme.palette.length) % OUTLINES.length]);
      context.stroke();
      context.setLineDash([]);
      const label = String(cluster + 1);
      const room = height * (0.55 + 0.6 * label.length);
      context.beginPath();
      context.roundRect(x, y - height * 1.12, room, height * 1.12, [height * 0.25, height * 0.25, 0, 0]);
      context.fill();
      context.fillStyle = theme.dark || luminance(rgbOf(colour)) > 0.6 ? "#111111" : "#ffffff";
      context.fillText(label, x + room / 2, y - height * 0.52);
    }
  }

  const known = new Map();
  function rgbOf(colour) {
    if (!known.has(colour)) known.set(colour, rgb(colour));
    return known.get(colour);
  }

  function drawTile(neuron, size, strength) {
    const x = places[2 * neuron] * width;
    const y = places[2 * neuron + 1] * width;
    const cluster = scene.incoming[at(neuron)];
    const colour = theme.palette[cluster % theme.palette.length];
    const solid = scene.agree[at(neuron)];
    const dead = scene.dead[at(neuron)];
    const edge = Math.max(2, size * 0.085);
    context.globalAlpha = strength;
    context.fillStyle = solid ? colour : theme.background;
    context.fillRect(x, y, size, size);
    if (solid) {
      context.fillStyle = theme.background;
      context.fillRect(x + edge, y + edge, size - 2 * edge, size - 2 * edge);
    }
    context.globalAlpha = strength * (dead ? 0.3 : solid ? 1 : 0.6);
    drawPicture(neuron, x + edge, y + edge, size - 2 * edge);
    context.globalAlpha = strength;
    if (!solid) {
      const line = Math.max(1.25, size * 0.035);
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.setLineDash([size * 0.13, size * 0.1]);
      context.strokeRect(x + line / 2, y + line / 2, size - line, size - line);
      context.setLineDash([]);
    }
    if (dead) {
      context.strokeStyle = theme.text;
      context.lineWidth = Math.max(1.5, size * 0.05);
      context.beginPath();
      context.moveTo(x + size * 0.22, y + size * 0.22);
      context.lineTo(x + size * 0.78, y + size * 0.78);
      context.moveTo(x + size * 0.78, y + size * 0.22);
      context.lineTo(x + size * 0.22, y + size * 0.78);
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  function drawPicture(neuron, x, y, size) {
    if (!pictures[index]) return; // on its way
    const { rows, columns, across } = scene.picture;
    atlases[index] ??= drawAtlas(pictures[index], theme);
    const left = (neuron % across) * columns;
    const top = Math.floor(neuron / across) * rows;
    context.imageSmoothingEnabled = rows > 4;
    if (rows > 4) {
      context.drawImage(atlases[index], left, top, columns, rows, x, y, size, size);
      return;
    }
    const gap = rows > 1 ? 2 : 0; // between the lines of a strip
    const line = (size - gap * (rows - 1)) / rows;
    for (let row = 0; row < rows; row++) {
      context.drawImage(atlases[index], left, top + row, columns, 1, x, y + row * (line + gap), size, line);
    }
  }

  function drawLinks(chosen, near, size) {
    const middle = (neuron) => [places[2 * neuron] * width + size / 2, places[2 * neuron + 1] * width + size / 2];
    const [x, y] = middle(chosen);
    const line = Math.max(2, size * 0.05);
    near.forEach((others, side) => {
      context.setLineDash(side ? [line * 3, line * 2] : []);
      for (const other of others) {
        const [toX, toY] = middle(other);
        // Bent one way for incoming and the other for outgoing, so that both are seen where both lead to one neuron.
        const bend = side ? -0.16 : 0.16;
        const [midX, midY] = [(x + toX) / 2 + (toY - y) * bend, (y + toY) / 2 - (toX - x) * bend];
        for (const [colour, wide] of [[theme.background, line + 3], [theme.text, line]]) {
          context.strokeStyle = colour;
          context.lineWidth = wide;
          context.beginPath();
          context.moveTo(x, y);
          context.quadraticCurveTo(midX, midY, toX, toY);
          context.stroke();
        }
        outline(other, size, line);
      }
    });
    context.setLineDash([]);
    outline(chosen, size, line * 1.8);
  }

  function outline(neuron, size, line) {
    context.strokeStyle = theme.text;
    context.lineWidth = line;
    context.strokeRect(places[2 * neuron] * width - 1, places[2 * neuron + 1] * width - 1, size + 2, size + 2);
  }

  // ---- what people do ---------------------------------------------------------------------------------------------------

  function show(next) {
    index = next;
    fetchPicture(index);
    write();
    if (calm.matches) jump();
    request();
  }

  /** Fetch a rate's picture, and draw it when it is the one that is shown. */
  async function fetchPicture(rate) {
    const address = addresses[rate];
    if (pictures[rate]) return;
    try {
      const picture = await fetched(address, levelsOf);
      if (gone || addresses[rate] !== address) return;
      pictures[rate] = picture;
      if (rate !== index) return;
      tellWaiting();
      request();
    } catch {
      // Its tiles stay empty; it is asked for again when its rate is shown again.
    }
  }

  /** A hand is on the slider: fetch the pictures that it may reach, nearest first. */
  async function fetchAll() {
    const order = [...addresses.keys()].sort((a, b) => Math.abs(a - index) - Math.abs(b - index));
    for (const rate of order) await fetchPicture(rate);
  }

  function onInput() {
    show(Number(input.value));
  }

  /** Let go: Python hears of the rate, and so does a screen reader. A key held down counts as one. */
  function onChange() {
    clearTimeout(release);
    release = setTimeout(() => {
      find(".spoken").textContent = scene.sentences[index];
      name();
      report(index);
    }, RELEASE);
  }

  function hit(event) {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / width, (event.clientY - box.top) / width];
    for (let neuron = 0; neuron < scene.units; neuron++) {
      const [dx, dy] = [x - places[2 * neuron], y - places[2 * neuron + 1]];
      if (dx >= 0 && dy >= 0 && dx <= layout.tile && dy <= layout.tile) return neuron;
    }
    return -1;
  }

  function light(change) {
    const was = lit();
    change();
    if (lit() === was) return;
    tell();
    request();
  }

  function pin(neuron) {
    light(() => (pinned = pinned === neuron ? -1 : neuron));
    for (let other = 0; other < scene.units; other++) {
      tiles.children[other].setAttribute("aria-selected", String(other === pinned));
    }
  }

  function onPointerMove(event) {
    if (event.pointerType !== "touch") light(() => (hovered = hit(event)));
  }

  function onPointerLeave() {
    light(() => (hovered = -1));
  }

  function onClick(event) {
    const neuron = hit(event);
    pin(neuron < 0 ? pinned : neuron);
  }

  /** The nearest tile to the left, right, above or below; itself when there is none. */
  function neighbour(neuron, dx, dy) {
    const goals = layout.tiles[index];
    let best = neuron;
    let least = Infinity;
    for (let other = 0; other < scene.units; other++) {
      const x = goals[2 * other] - goals[2 * neuron];
      const y = goals[2 * other + 1] - goals[2 * neuron + 1];
      const along = x * dx + y * dy;
      const aside = Math.abs(x * dy) + Math.abs(y * dx);
      const cost = along + 2 * aside;
      if (along > layout.tile / 2 && along >= aside && cost < least) [best, least] = [other, cost];
    }
    return best;
  }

  /** The first or last tile as one reads: line by line. */
  function extreme(last) {
    const goals = layout.tiles[index];
    const order = [...Array(scene.units).keys()].sort(
      (a, b) => goals[2 * a + 1] - goals[2 * b + 1] || goals[2 * a] - goals[2 * b],
    );
    return order.at(last ? -1 : 0);
  }

  const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  function onKeyDown(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || focused < 0) return;
    if (WAYS[event.key]) walk(neighbour(focused, ...WAYS[event.key]));
    else if (event.key === "Home" || event.key === "End") walk(extreme(event.key === "End"));
    else if (event.key === "Enter" || event.key === " ") pin(focused);
    else if (event.key === "Escape" && pinned >= 0) pin(pinned);
    else return;
    event.preventDefault();
  }

  function walk(neuron) {
    tiles.children[walked].tabIndex = -1;
    walked = neuron;
    tiles.children[walked].tabIndex = 0;
    tiles.children[walked].focus();
  }

  function onFocusIn(event) {
    const neuron = [...tiles.children].indexOf(event.target);
    // A tap focuses nothing here, so what is focused was walked to.
    light(() => (focused = neuron));
    if (neuron >= 0 && neuron !== walked) walk(neuron);
  }

  function onFocusOut() {
    light(() => (focused = -1));
  }

  // ---- sizes, data, end -------------------------------------------------------------------------------------------------

  function resize() {
    const next = field.clientWidth;
    if (!scene || !next) return;
    width = next;
    layout = scene.layouts[width < NARROW ? 1 : 0];
    const density = Math.min(2, devicePixelRatio || 1);
    canvas.width = Math.round(width * density);
    canvas.height = Math.round((width / layout.aspect) * density);
    canvas.style.height = `${width / layout.aspect}px`;
    drawCharts();
    write();
    jump();
    draw();
  }

  function open(payload, pictureAddresses) {
    scene = unpack(payload);
    // Another number of clusters: the same pictures, which are not drawn anew.
    if (pictureAddresses.join() !== addresses.join()) {
      pictures = [];
      atlases = [];
    }
    addresses = pictureAddresses;
    hovered = focused = -1;
    if (pinned >= scene.units) pinned = -1;
    walked = Math.min(walked, scene.units - 1);
    index = Math.min(index, scene.rates.length - 1);
    input.max = String(scene.rates.length - 1);
    input.value = String(index);
    find(".title").textContent =
      `Layer ${scene.layer} in ${scene.k} clusters, ${scene.recipe} recipe; each neuron ${scene.drawn}`;
    field.setAttribute("aria-label", `Neurons of layer ${scene.layer}`);
    const last = Math.max(1, scene.rates.length - 1);
    find(".ticks").replaceChildren(
      ...scene.rates.flatMap((rate, i) => {
        if (Math.abs(rate * 10 - Math.round(rate * 10)) > 1e-6) return [];
        const tick = document.createElement("span");
        tick.textContent = rate ? share(rate, 1) : "0";
        tick.style.left = `${(100 * i) / last}%`;
        return [tick];
      }),
    );
    if (tiles.childElementCount !== scene.units) {
      tiles.replaceChildren(
        ...Array.from({ length: scene.units }, () => {
          const tile = document.createElement("div");
          tile.setAttribute("role", "option");
          return tile;
        }),
      );
    }
    name();
  }

  async function update(data, hear) {
    report = hear;
    index ??= data.start;
    veiled = data.veiled;
    root.classList.toggle("veiled", veiled);
    theme = readTheme(root);
    root.toggleAttribute("data-dark", theme.dark);
    atlases = [];
    const wanted = [data.layer, data.clusters, ...data.pictures].join();
    if (source === wanted) {
      if (shown !== wanted) return; // on its way
      if (!width) resize();
      else {
        write();
        draw();
      }
    } else {
      source = wanted;
      let parts;
      try {
        parts = await Promise.all([data.layer, data.clusters].map((address) => fetched(address, unzipped)));
      } catch {
        if (gone || source !== wanted) return;
        source = null; // asked for again at the next run of the page
        lost.hidden = false;
        return;
      }
      if (gone || source !== wanted) return;
      shown = wanted;
      lost.hidden = true;
      root.hidden = false;
      open({ ...parts[0], ...parts[1] }, data.pictures);
      fetchPicture(index);
      resize();
    }
    performance.mark("explorer drawn"); // what the timing of the first page waits for
  }

  const observer = new ResizeObserver(() => {
    if (field.clientWidth !== width) resize();
  });
  const listeners = [
    [input, "pointerenter", fetchAll],
    [input, "pointerdown", fetchAll],
    [input, "focus", fetchAll],
    [input, "input", onInput],
    [input, "change", onChange],
    [canvas, "pointermove", onPointerMove],
    [canvas, "pointerleave", onPointerLeave],
    [canvas, "click", onClick],
    [tiles, "keydown", onKeyDown],
    [tiles, "focusin", onFocusIn],
    [tiles, "focusout", onFocusOut],
  ];
  for (const [target, type, listener] of listeners) target.addEventListener(type, listener);
  observer.observe(field);

  return {
    update,
    destroy() {
      gone = true;
      observer.disconnect();
      cancelAnimationFrame(frame);
      clearTimeout(release);
      for (const [target, type, listener] of listeners) target.removeEventListener(type, listener);
    },
  };
}
