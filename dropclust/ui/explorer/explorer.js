// The explorer in the browser: shows one stored rate at a time and lets the neurons glide; it computes no result. `looks.js` stands
// before it.

const GLIDE = 75; // milliseconds in which a tile covers two thirds of its way
const RELEASE = 100; // milliseconds after which a key held down counts as released
const SWEEP = 420; // milliseconds that each rate is shown for when it is played
const REVEAL = 110; // the same after a guess
const NARROW = 720; // CSS pixels below which the field is taller than wide
const WIDE = 980; // from which charts stand beside it
const CHART_HEIGHT = 132;
const MARGIN = { left: 56, right: 14, top: 12, bottom: 40 };
const SKIPPED = -1; // in place of a guess
const LONER = 255; // the family of a neuron without a twin

// How the app's other charts name dashes, as an SVG path has them.
const DASHES = { solid: "none", dash: "7 5", dot: "2 4", dashdot: "9 4 2 4", longdash: "13 5" };

const explorers = new WeakMap();

/** Called by Streamlit at the first mount, and again when the data or the theme changes. */
export default function mount(component) {
  const { parentElement, data } = component;
  let explorer = explorers.get(parentElement);
  if (!explorer) {
    explorer = createExplorer(parentElement.querySelector(".explorer"));
    explorers.set(parentElement, explorer);
  }
  explorer.update(data, (seen) => component.setStateValue("seen", seen), (address) => component.setTriggerValue("go", address));
  return () => {
    explorers.delete(parentElement);
    explorer.destroy();
  };
}

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

const UNPACKED = [
  "incoming", "outgoing", "agree", "dead", "copies", "cosines", "twin", "partner", "correlations", "families", "byDigit",
];

/** The payload with its byte strings unpacked; indexed [rate * units + neuron]. */
function unpack(payload) {
  const scene = { ...payload };
  for (const name of UNPACKED) scene[name] = payload[name] && bytes(payload[name]);
  return scene;
}

/** How far apart two colours are in brightness, 1 to 21, as the WCAG counts it. */
function contrast(one, other) {
  const light = (colour) => {
    const [r, g, b] = colour.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

/** Colours of the page's theme. */
function readTheme(root) {
  const page = pageOf(root);
  const { dark } = page;
  const colours = (dark ? PALETTE.dark : PALETTE.light).map((colour) => {
    const own = rgb(colour);
    return { css: colour, rgb: own, on: contrast(own, [17, 17, 17]) > contrast(own, [255, 255, 255]) ? "#111111" : "#ffffff" };
  });
  const plain = dark ? "#a9b1bd" : "#5c6470"; // of a neuron that belongs to nobody
  return { ...page, colours, plain: { css: plain, rgb: rgb(plain) } };
}

/** A picture of all neurons: the ink that excites each, in its own colour; `colourOf` gives a neuron's as [r, g, b]. */
function drawAtlas({ width, height, levels }, { rows, columns, across }, units, colourOf) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let neuron = 0; neuron < units; neuron++) {
    const [r, g, b] = colourOf(neuron);
    const colour = (b << 16) | (g << 8) | r;
    const from = Math.floor(neuron / across) * rows * width + (neuron % across) * columns;
    for (let row = 0; row < rows; row++) {
      for (let i = from + row * width; i < from + row * width + columns; i++) {
        if (levels[i] > 128) pixels[i] = (Math.round(((levels[i] - 128) / 127) * 255) << 24) | colour;
      }
    }
  }
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

/** A small chart drawn once for a size; its axis is the same whatever is chosen. `move` puts its marker onto a stored rate. */
function createChart(svg, scene, { name, series, points = [], zero = false, percent = false, tight = false, named = true }) {
  const em = parseFloat(getComputedStyle(svg).fontSize) / 18;
  const width = svg.clientWidth || 320;
  const height = tight ? svg.clientHeight : CHART_HEIGHT * em;
  const margin = Object.fromEntries(Object.entries(MARGIN).map(([side, size]) => [side, size * em]));
  if (!named) margin.bottom -= 17 * em;
  const [low, high] = scene.axes[name];
  const first = scene.rates[0];
  const last = Math.max(scene.rates.at(-1), ...points.map(([x]) => x), first + 0.01);
  const x = (rate) => margin.left + ((rate - first) / (last - first)) * (width - margin.left - margin.right);
  const within = (value) => Math.min(high, Math.max(low, value));
  const y = (value) => margin.top + ((high - within(value)) / (high - low)) * (height - margin.top - margin.bottom);
  const bottom = height - margin.bottom;

  // As many as there is room for, and no number over another; two at least, without which there is no scale.
  const most = Math.max(1, Math.min(3, Math.floor((bottom - margin.top) / (24 * em))));
  const { ticks, digits } = [most, 2, 3].map((n) => niceTicks(low, high, n)).find((nice) => nice.ticks.length > 1);
  const told = percent ? (tick) => `${Math.round(100 * tick)} %` : (tick) => share(tick, digits);
  const grid = ticks
    .map((tick) => `<line class="grid" x1="${margin.left}" x2="${width - margin.right}" y1="${y(tick)}" y2="${y(tick)}"/>
      <text x="${margin.left - 8}" y="${y(tick) + 5 * em}" text-anchor="end">${tick ? told(tick) : "0"}</text>`)
    .join("");
  const below = niceTicks(first, last, 5)
    .ticks.map((tick) => `<text x="${x(tick)}" y="${bottom + 17 * em}" text-anchor="middle">${tick ? share(tick, 1) : "0"}</text>`)
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
  svg.innerHTML = `${grid}${below}
    ${named ? `<text x="${width - margin.right}" y="${height - 5 * em}" text-anchor="end">dropout rate</text>` : ""}
    ${zero ? `<line class="zero" x1="${margin.left}" x2="${width - margin.right}" y1="${y(0)}" y2="${y(0)}"/>` : ""}
    ${curves.join("")}
    <g class="marker"><line class="now" style="--colour:${scene.looks.now.colour}" y1="${margin.top - 4}" y2="${bottom}"/>
    ${series
      .map(({ kind }) => `<circle class="dot" style="--colour:${scene.looks[kind].colour}" r="${kind === "chance" ? 6 : 8}"/>`)
      .join("")}</g>${marks}`; // the paper's values last, which are compared with where the marker stands
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
  const input = find("#rate");
  const expected = find("#expected");
  const canvas = find(".field canvas");
  const context = canvas.getContext("2d");
  const field = find(".field");
  const tiles = find(".tiles");
  const pair = find(".pair");
  const told = [...root.querySelectorAll(".told")];
  const texts = [...root.querySelectorAll("[data-text]")];
  const buttons = Object.fromEntries([...root.querySelectorAll("[data-do]")].map((button) => [button.dataset.do, button]));
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  const lost = root.parentNode.querySelector(".lost");
  let source, shown; // the addresses that were asked for last, and those of what is shown
  let scene, theme, report, index;
  let view = "twins"; // or "paper"
  let step = 0; // of the tour; 0 when it is not taken
  let guessed = null; // the number that was guessed, or that the question was skipped
  let question = null; // what is to be guessed, while it is open
  let links = null; // where the app's pages begin; null where there is no app
  let network = ""; // the key that a link carries
  let go = () => {}; // to another page of the app
  let addresses = []; // of the pictures, one a rate
  let pictures = []; // their levels, as far as they are there
  let atlases = new Map(); // the same in colours
  let gone = false;
  let charts = [];
  let layout;
  let width = 0; // of the field, in CSS pixels
  let places, regions, side; // where tiles and regions are now, and a tile's side, in units of the field's width
  let frame = 0;
  let before = 0; // time of the last frame
  let release = 0;
  let playing = 0; // the timer of a sweep
  let back = null; // the rate to go back to when the button that compares is let go
  let grasped = null; // the rate at which a pointer took the slider
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
  const partnerOf = (neuron) => scene.partner[at(neuron)];
  const correlationOf = (neuron) => (scene.correlations[at(neuron)] - 100) / 100;
  const hasTwin = (neuron) => Boolean(scene.twin) && scene.twin[at(neuron)] !== neuron;
  const groupOf = (neuron) => (view === "twins" ? scene.families[at(neuron)] : scene.incoming[at(neuron)]);
  const relatives = (neuron) => {
    const from = index * scene.units;
    return scene.families.subarray(from, from + scene.units).reduce((sum, family) => sum + (family === scene.families[at(neuron)]), -1);
  };
  const isLoner = (neuron) => view === "twins" && scene.families[at(neuron)] === LONER;
  const colourOf = (neuron) =>
    isLoner(neuron) ? theme.plain : theme.colours[groupOf(neuron) % theme.colours.length];

  // ---- words and charts -------------------------------------------------------------------------------------------------

  function fill(element, text) {
    const parts = text.replaceAll(" %", "\u00a0%").split("**"); // a sign is kept on its number's line
    if (element.childElementCount !== parts.length) {
      element.replaceChildren(...parts.map((_, i) => document.createElement(i % 2 ? "b" : "span")));
    }
    parts.forEach((part, i) => {
      if (element.children[i].textContent !== part) element.children[i].textContent = part;
    });
  }

  function write() {
    for (const element of texts) fill(element, scene.texts[index][element.dataset.text]);
    input.value = String(index);
    const said = scene.texts[index][view === "twins" ? "finding" : "rand"].replaceAll("**", "");
    input.setAttribute("aria-valuetext", question ? scene.rates[index].toFixed(2) : `${scene.rates[index].toFixed(2)}: ${said}`);
    input.style.setProperty("--done", `${(100 * index) / Math.max(1, scene.rates.length - 1)}%`);
    for (const chart of charts) chart.move(index);
    if (step) tellDone(find(".tour-do"));
    tell();
    tellWaiting();
  }

  const tellWaiting = () => field.setAttribute("aria-busy", String(!pictures[index]));

  /** The pair that is shown large: the neuron that is lit, else the two that are most alike at this rate. */
  function tell() {
    const neuron = lit();
    pair.toggleAttribute("data-lit", neuron >= 0);
    const one = neuron >= 0 ? neuron : mostAlike();
    describe(one).forEach((sentence, i) => {
      told[i].textContent = sentence;
      told[i].hidden = i > 0 && (view === "twins" || neuron < 0);
    });
    if (neuron < 0) {
      const other = partnerOf(one);
      const share_ = share(correlationOf(one), 2);
      told[0].textContent = hasTwin(one)
        ? `The most alike of all: ${one} and ${other}, correlation ${share_}.`
        : `No twins. The most alike: ${one} and ${other}, correlation ${share_}.`;
    }
    drawPair(one);
  }

  function mostAlike() {
    const rank = (neuron) => scene.correlations[at(neuron)] + (hasTwin(neuron) ? 1000 : 0);
    let best = 0;
    for (let neuron = 1; neuron < scene.units; neuron++) if (rank(neuron) > rank(best)) best = neuron;
    return best;
  }

  function drawPair(one) {
    const other = partnerOf(one);
    const colour = colourOf(one);
    pair.style.setProperty("--pair-colour", colour.css);
    [one, other].forEach((neuron, i) => {
      const figure = pair.querySelectorAll("figure")[i];
      const missing = i && other === one;
      figure.style.visibility = missing ? "hidden" : "";
      figure.querySelector("figcaption").textContent = `neuron ${neuron}`;
      const large = figure.querySelector("canvas");
      large.setAttribute("aria-label", `The ink that excites neuron ${neuron}`);
      const brush = large.getContext("2d");
      brush.clearRect(0, 0, large.width, large.height);
      if (!pictures[index] || missing) return;
      const { rows, columns, across } = scene.picture;
      if (large.width !== 8 * columns) [large.width, large.height] = [8 * columns, 8 * rows];
      brush.imageSmoothingQuality = "high";
      const [left, top] = [(neuron % across) * columns, Math.floor(neuron / across) * rows];
      brush.drawImage(atlas(), left, top, columns, rows, 0, 0, large.width, large.height);
    });
    if (scene.dead[at(one)]) cross(pair.querySelector("figure canvas"));
    drawDigits(one, other);
  }

  function cross(large) {
    const brush = large.getContext("2d");
    const [near, far] = [0.22 * large.width, 0.78 * large.width];
    brush.strokeStyle = theme.text;
    brush.lineWidth = 0.05 * large.width;
    brush.beginPath();
    for (const [from, to] of [[near, far], [far, near]]) {
      brush.moveTo(near, from);
      brush.lineTo(far, to);
    }
    brush.stroke();
  }

  /** How strongly each digit excites the two: bars side by side, each neuron by its own largest. */
  function drawDigits(one, other) {
    const svg = find(".digits");
    if (scene.dead[at(one)]) {
      svg.innerHTML = `<text x="2" y="20">dead: no digit</text><text x="2" y="46">excites it</text>`;
      svg.setAttribute("aria-label", `Neuron ${one} is dead: no digit excites it.`);
      return;
    }
    const strength = (neuron, digit) => scene.byDigit[at(neuron) * 10 + digit] / 255;
    const both = other === one ? [[one, "one"]] : [[one, "one"], [other, "other"]];
    const key = both.map(
      ([neuron, kind], i) => `<rect class="${kind}" x="${2 + 100 * i}" y="30" width="16" height="16"/>
        <text x="${26 + 100 * i}" y="46">${neuron}</text>`,
    );
    const bars = [];
    for (let digit = 0; digit < 10; digit++) {
      const left = 24 * digit + 2;
      both.forEach(([neuron, kind], i) => {
        const tall = 78 * strength(neuron, digit);
        bars.push(`<rect class="${kind}" x="${left + 10 * i}" y="${134 - tall}" width="9" height="${tall}"/>`);
      });
      bars.push(`<text x="${left + 9.5}" y="156" text-anchor="middle">${digit}</text>`);
    }
    svg.innerHTML = `<text x="2" y="18">fires for the digit</text>${key.join("")}${bars.join("")}`;
    const best = [one, other].map((neuron) => [...Array(10).keys()].reduce((a, b) => (strength(neuron, b) > strength(neuron, a) ? b : a)));
    svg.setAttribute("aria-label", `Neuron ${one} fires most for ${best[0]}s, neuron ${other} for ${best[1]}s.`);
  }

  function describe(neuron) {
    const [into, out] = [scene.incoming[at(neuron)], scene.outgoing[at(neuron)]].map(clusterName);
    const clusters = scene.agree[at(neuron)]
      ? `cluster ${into} by incoming and by outgoing weights`
      : `cluster ${into} by incoming weights, ${out} by outgoing`;
    const alike = (side) =>
      copiesOf(neuron, side)
        .map(([other, cosine], i) => `${other} (${i ? "" : "cosine "}${share(cosine, 2)})`)
        .join(", ") + `; shuffled weights give ${share(scene.shuffled[side][index], 2)}`;
    return [
      `Neuron ${neuron}: ${view === "paper" ? `${clusters}; ` : ""}${twinOf(neuron)}.`,
      `Most alike by incoming weights: ${alike(0)}.`,
      `Most alike by outgoing weights: ${alike(1)}.`,
    ];
  }

  /** Which neuron acts like this one, in words. */
  function twinOf(neuron) {
    const [other, correlation] = [partnerOf(neuron), share(correlationOf(neuron), 2)];
    if (scene.dead[at(neuron)]) return "dead, it never fires";
    if (hasTwin(neuron)) return `its ${relatives(neuron) > 1 ? "nearest " : ""}twin is ${other}, their activity correlates ${correlation}`;
    return other === neuron ? "no twin" : `no twin; the most alike is ${other}, correlation ${correlation}`;
  }

  function drawCharts() {
    const { rand, chance, adjusted, twins, scaled, sampled } = scene.curves;
    const plans = {
      rand: {
        series: [{ kind: "chance", curve: chance }, { kind: "rand", curve: rand }],
        points: scene.paper,
      },
      adjusted: { series: [{ kind: "adjusted", curve: adjusted }], zero: true },
      ...(twins && { twins: { series: [{ kind: "twins", curve: twins }], percent: true } }),
      accuracy: {
        series: [{ kind: "scaled", curve: scaled }, { kind: "sampled", curve: sampled }],
        percent: true,
      },
    };
    for (const swatch of root.querySelectorAll("[data-look]")) {
      const { colour, dash } = scene.looks[swatch.dataset.look];
      swatch.style.setProperty("--colour", colour);
      swatch.classList.toggle("dashed", dash !== "solid");
    }
    find('[data-chart="twins"] svg').toggleAttribute("hidden", !twins);
    // On a lecture's screen they share what height there is, and one name of the axis.
    const tight = root.hasAttribute("data-present") && root.clientWidth >= WIDE;
    const last = view === "twins" ? "accuracy" : "adjusted";
    charts = Object.entries(plans).flatMap(([name, plan]) => {
      const svg = find(`[data-chart="${name}"] svg`);
      svg.setAttribute("aria-label", scene.alts[name]);
      if (!svg.clientWidth) return []; // one that is not shown is drawn when it is
      return [createChart(svg, scene, { name, tight, named: !tight || name === last, ...plan })];
    });
  }

  // ---- the neurons ------------------------------------------------------------------------------------------------------

  const goal = () => [layout.tiles[index], layout.regions[index], layout.tile[index]];

  function jump() {
    const [toTiles, toRegions, toSide] = goal();
    places = Float64Array.from(toTiles);
    regions = Float64Array.from(toRegions);
    side = toSide;
    settle();
  }

  /** Put the invisible elements, which keys and screen readers reach, onto the tiles that came to rest. */
  function settle() {
    const size = side * width;
    for (let neuron = 0; neuron < scene.units; neuron++) {
      const { style } = tiles.children[neuron];
      style.width = style.height = `${size}px`;
      style.transform = `translate(${places[2 * neuron] * width}px, ${places[2 * neuron + 1] * width}px)`;
    }
  }

  function name() {
    for (let neuron = 0; neuron < scene.units; neuron++) {
      const tile = tiles.children[neuron];
      tile.setAttribute("aria-label", describe(neuron).slice(0, view === "paper" ? 3 : 1).join(" "));
      tile.setAttribute("aria-selected", String(neuron === pinned));
      tile.tabIndex = neuron === walked ? 0 : -1;
    }
  }

  /** One step of the glide; true while anything is still on its way. */
  function glide(now) {
    const part = 1 - Math.exp(-Math.max(0, Math.min(64, now - before)) / GLIDE);
    before = now;
    const [toTiles, toRegions, toSide] = goal();
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
    const sides = [side];
    approach(sides, [toSide], 0);
    [side] = sides;
    for (let from = 0; from < regions.length; from += 4) {
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
    const moving = glide(now);
    draw();
    if (moving) frame = requestAnimationFrame(paint);
    else settle();
  }

  function draw() {
    const scale = canvas.width / width;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, width / layout.aspect);
    const size = side * width;
    if (view === "twins") drawGroups(size);
    drawRegions(size);
    const chosen = lit();
    const near = chosen < 0 ? [[], []] : linked(chosen);
    const bright = new Set([chosen, ...near.flat()]);
    if (view === "twins") drawArcs(size, chosen < 0 ? 1 : 0.3);
    for (let neuron = 0; neuron < scene.units; neuron++) {
      if (chosen < 0 || !bright.has(neuron)) drawTile(neuron, size, chosen < 0 ? 1 : 0.3);
    }
    if (chosen < 0) return;
    for (const neuron of bright) drawTile(neuron, size, 1);
    drawLinks(chosen, near, size);
  }

  /** What a lit neuron is joined to: its twin or the one most like it; in the paper's view its copies by weights. */
  function linked(chosen) {
    if (view === "paper") return [0, 1].map((side) => copiesOf(chosen, side).map(([other]) => other));
    const other = partnerOf(chosen);
    return other === chosen ? [[], []] : hasTwin(chosen) ? [[other], []] : [[], [other]];
  }

  /** Over each group how many it has. */
  function drawGroups(size) {
    // For a room they are as high as the line that is left for them.
    const height = root.hasAttribute("data-present") ? Math.max(17, size * 0.46) : Math.max(13, Math.min(24, size * 0.36));
    context.font = `600 ${height}px ${theme.font}`;
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.fillStyle = theme.text;
    scene.groups[index].forEach((text, group) => {
      const [x, y] = layout.labels[index].slice(2 * group, 2 * group + 2);
      if (x >= 0) context.fillText(text, x * width, y * width + (size / 0.9) * 0.25);
    });
  }

  function drawRegions(size) {
    const twins = view === "twins";
    const height = Math.max(root.hasAttribute("data-present") ? 16 : 12, Math.min(22, size * 0.34));
    context.font = `600 ${height}px ${theme.font}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let group = 0; 4 * group < regions.length; group++) {
      const [x, y, w, h] = regions.subarray(4 * group, 4 * group + 4).map((value) => value * width);
      if (!w) continue;
      const colour = theme.colours[group % theme.colours.length];
      context.beginPath();
      context.roundRect(x, y, w, h, size * 0.16);
      context.fillStyle = colour.css;
      context.globalAlpha = theme.dark ? 0.2 : 0.14;
      context.fill();
      context.globalAlpha = 1;
      if (twins) continue;
      context.strokeStyle = colour.css;
      context.lineWidth = 1.75;
      outlineRegion(context, [x, y, w, h], size * 0.16, Math.floor(group / theme.colours.length));
      const label = clusterName(group);
      const room = height * (0.55 + 0.6 * label.length);
      context.beginPath();
      context.roundRect(x, y - height * 1.12, room, height * 1.12, [height * 0.25, height * 0.25, 0, 0]);
      context.fill();
      context.fillStyle = colour.on;
      context.fillText(label, x + room / 2, y - height * 0.52);
    }
  }

  /** Under each family arcs join every neuron to its twin. */
  function drawArcs(size, strength) {
    context.globalAlpha = strength;
    context.lineWidth = Math.max(2, size * 0.07);
    context.lineCap = "round";
    for (let neuron = 0; neuron < scene.units; neuron++) {
      const other = hasTwin(neuron) ? partnerOf(neuron) : neuron;
      if (other === neuron || (other > neuron && hasTwin(other) && partnerOf(other) === neuron)) continue; // drawn from the other end
      arc(neuron, other, size, colourOf(neuron).css);
    }
    context.lineCap = "butt";
    context.globalAlpha = 1;
  }

  function arc(neuron, other, size, colour) {
    const [x, y] = [places[2 * neuron] * width + size / 2, (places[2 * neuron + 1] * width) + size];
    const [toX, toY] = [places[2 * other] * width + size / 2, (places[2 * other + 1] * width) + size];
    const deep = size * (0.26 + 0.1 * Math.min(3, Math.abs(toX - x) / size));
    context.strokeStyle = colour;
    context.beginPath();
    context.moveTo(x, y);
    context.bezierCurveTo(x, y + deep, toX, toY + deep, toX, toY);
    context.stroke();
  }

  function drawTile(neuron, size, strength) {
    const x = places[2 * neuron] * width;
    const y = places[2 * neuron + 1] * width;
    const colour = colourOf(neuron);
    const dead = scene.dead[at(neuron)];
    context.globalAlpha = strength;
    if (view === "twins") {
      context.beginPath();
      context.roundRect(x, y, size, size, size * 0.1);
      context.fillStyle = theme.background;
      context.fill();
      context.strokeStyle = colour.css;
      context.lineWidth = isLoner(neuron) ? 1 : Math.max(1.5, size * 0.045);
      context.globalAlpha = strength * (isLoner(neuron) ? 0.45 : 1);
      context.stroke();
      context.globalAlpha = strength;
      drawPicture(neuron, x, y, size);
    } else {
      const solid = scene.agree[at(neuron)];
      const edge = Math.max(2, size * 0.085);
      context.fillStyle = solid ? colour.css : theme.background;
      context.fillRect(x, y, size, size);
      if (solid) {
        context.fillStyle = theme.background;
        context.fillRect(x + edge, y + edge, size - 2 * edge, size - 2 * edge);
      }
      drawPicture(neuron, x + edge, y + edge, size - 2 * edge);
      if (!solid) {
        const line = Math.max(1.25, size * 0.035);
        context.strokeStyle = colour.css;
        context.lineWidth = line;
        context.setLineDash([size * 0.13, size * 0.1]);
        context.strokeRect(x + line / 2, y + line / 2, size - line, size - line);
        context.setLineDash([]);
      }
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

  /** The shown rate's picture in the colours of what is shown; drawn once for each. */
  function atlas() {
    const key = `${view} ${index} ${view === "paper" ? scene.k : ""}`;
    if (!atlases.has(key)) {
      atlases.set(key, drawAtlas(pictures[index], scene.picture, scene.units, (neuron) => colourOf(neuron).rgb));
    }
    return atlases.get(key);
  }

  function drawPicture(neuron, x, y, size) {
    if (!pictures[index]) return; // on its way
    const { rows, columns, across } = scene.picture;
    context.drawImage(atlas(), (neuron % across) * columns, Math.floor(neuron / across) * rows, columns, rows, x, y, size, size);
  }

  function drawLinks(chosen, near, size) {
    const middle = (neuron) => [places[2 * neuron] * width + size / 2, places[2 * neuron + 1] * width + size / 2];
    const [x, y] = middle(chosen);
    const line = Math.max(2, size * 0.05);
    near.forEach((others, side) => {
      context.setLineDash(side ? [line * 3, line * 2] : []);
      for (const other of others) {
        const [toX, toY] = middle(other);
        if (view === "twins" && Math.hypot(toX - x, toY - y) < 1.5 * size) {
          outline(other, size, line); // side by side: the arc below them is enough
          continue;
        }
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
    if (next !== index) find(".outcome").textContent = ""; // it speaks of the question's rate
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
      const picture = await fetched(address, async (response) => greyLevels(await response.blob()));
      if (gone || addresses[rate] !== address) return;
      pictures[rate] = picture;
      if (rate !== index) return;
      tellWaiting();
      tell();
      request();
    } catch {
      // Its tiles stay empty; it is asked for again when its rate is shown again.
    }
  }

  /** A hand is on the slider: fetch the pictures that it may reach, nearest first. */
  async function fetchAll() {
    if (!scene) return;
    const order = [...addresses.keys()].sort((a, b) => Math.abs(a - index) - Math.abs(b - index));
    for (const rate of order) await fetchPicture(rate);
  }

  function onInput() {
    stop();
    find(".outcome").textContent = "";
    show(Number(input.value));
  }

  const tellPython = () => report({ index: back ?? index, view, step, guess: guessed });

  /** Let go: Python hears of the rate, and so does a screen reader. A key held down counts as one. */
  function onChange() {
    clearTimeout(release);
    release = setTimeout(() => {
      if (gone) return;
      const said = (view === "twins" ? scene.findings : scene.sentences)[index];
      if (!question) find(".spoken").textContent = `${find(".outcome").textContent} ${said}`.trim();
      name();
      tellPython();
    }, RELEASE);
  }

  /** The browser took the pointer to scroll: what the finger brushed on its way is as it was. */
  function onCancel() {
    if (grasped !== null) show(grasped);
    grasped = null;
  }

  function sweep(to, every, done) {
    stop();
    buttons.play.classList.add("on");
    buttons.play.setAttribute("aria-label", "Pause");
    playing = setInterval(() => {
      if (index >= to) {
        stop();
        done();
      } else if (pictures[index + 1]) show(index + 1);
      else fetchPicture(index + 1); // shown when it is there
    }, every);
    fetchAll();
  }

  function stop() {
    clearInterval(playing);
    if (playing) onChange();
    playing = 0;
    buttons.play.classList.remove("on");
    buttons.play.setAttribute("aria-label", "Play: raise the rate step by step");
  }

  function play() {
    if (playing) return stop();
    const last = scene.rates.length - 1;
    if (index === last) show(0);
    sweep(last, SWEEP, () => {});
  }

  function hold() {
    if (back !== null || !scene || question) return;
    stop();
    back = index;
    buttons.hold.classList.add("held");
    show(0);
  }

  function letGo() {
    if (back === null) return;
    const to = back;
    back = null;
    buttons.hold.classList.remove("held");
    show(to);
  }

  function setView(next) {
    if (next === view) return;
    view = next;
    arrange();
    onChange();
  }

  /** Show what the view has: its words, charts and places. */
  function arrange() {
    root.dataset.view = view;
    buttons.paper.setAttribute("aria-pressed", String(view === "paper"));
    if (!width) return;
    layout = layoutOf();
    regions = Float64Array.from(layout.regions[index]);
    drawCharts();
    write();
    name();
    if (calm.matches) jump();
    request();
  }

  const layoutOf = () => (view === "twins" ? scene.twinLayouts : scene.layouts)[root.clientWidth < NARROW ? 1 : 0];

  // ---- the tour ---------------------------------------------------------------------------------------------------------

  function goStep(next, tell = true) {
    stop();
    step = Math.max(0, Math.min(scene.steps.length, next));
    find(".tour").hidden = !step;
    root.toggleAttribute("data-touring", step > 0);
    buttons.tour.hidden = step > 0 || !scene.steps.length;
    if (step) {
      const now = scene.steps[step - 1];
      writeStep(find(".tour-words"), step);
      sizeTour();
      buttons.back.disabled = step === 1;
      buttons.next.textContent = step === scene.steps.length ? "Finish" : "Next";
      tellDone(find(".tour-do"));
      if (tell) {
        if (lit() >= 0) putAway(); // it would cover what the step speaks of
        if (now.index !== null) show(now.index);
        setView(now.view);
      }
    }
    if (tell) onChange();
  }

  function writeStep(words, number) {
    const told = scene.steps[number - 1];
    const put = (part, text) => (words.querySelector(part).textContent = text);
    put(".tour-at", `${number} of ${scene.steps.length}`);
    put(".tour-title", told.title);
    put(".tour-sentence", told.sentence);
    put(".tour-do", told.do);
    words.querySelector(".tour-links").replaceChildren(...told.links.map(([text, address]) => pageLink(text, address)));
  }

  /** What there is to do in this step; or that it is done, at the rate that is shown. */
  function tellDone(element) {
    const { done, do: wanted } = scene.steps[step - 1];
    const text = done[index] || wanted;
    if (element.textContent !== text) element.textContent = text;
  }

  /** Every step has the room of the longest, so that nothing below moves from step to step; not on a phone, which scrolls. */
  function sizeTour() {
    const words = find(".tour-words");
    words.style.minHeight = "";
    if (!step || root.clientWidth < WIDE) return;
    const copy = words.cloneNode(true);
    copy.removeAttribute("aria-live");
    copy.style.cssText = `position: absolute; visibility: hidden; width: ${words.clientWidth}px`;
    find(".tour").append(copy);
    const heights = scene.steps.map((_, i) => (writeStep(copy, i + 1), copy.offsetHeight));
    copy.remove();
    words.style.minHeight = `${Math.max(...heights)}px`;
    root.style.setProperty("--tour-height", `${find(".tour").offsetHeight}px`);
  }

  /** No neuron is kept, pointed at or focused any more. */
  function putAway() {
    if (pinned >= 0) pin(pinned);
    const active = root.getRootNode().activeElement;
    if (tiles.contains(active)) active.blur();
    light(() => (hovered = focused = -1));
  }

  function endTour() {
    goStep(0);
    input.focus({ preventScroll: true });
  }

  function pageLink(text, address) {
    if (links === null) return document.createTextNode(`(${text}: in the dashboard.) `);
    const link = document.createElement("a");
    link.textContent = `${text} →`;
    const url = new URL(links + address.replace("{layer}", scene.layer).replace("{network}", network), document.baseURI);
    if (!network) url.searchParams.delete("run");
    if (root.hasAttribute("data-present")) url.searchParams.set("present", "1"); // another page is another session
    link.href = url;
    link.target = "_top";
    link.addEventListener("click", (event) => {
      if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return; // a tab of its own
      event.preventDefault();
      go(url.pathname.slice(new URL(links, document.baseURI).pathname.length) + url.search); // the session goes along
    });
    return link;
  }

  // What Streamlit or the app's shell shows before the page has the keys.
  const IN_FRONT = "[data-testid='stDialog'], .st-key-shell-link details[open]";
  const TURNS = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 };

  /** Arrow keys, and the keys of a clicker, turn the tour's pages wherever they mean nothing else. */
  function onAnyKey(event) {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || document.querySelector(IN_FRONT)) return;
    const target = event.composedPath()[0];
    const clicker = event.key.startsWith("Page");
    if (question && clicker && root.hasAttribute("data-present")) return stay(event);
    if (!step) return;
    if (event.key === "Escape" && pinned < 0) {
      event.preventDefault();
      return endTour();
    }
    if (!TURNS[event.key] || (!clicker && target.closest?.("input, textarea, select, [contenteditable], .tiles, [role=radiogroup]"))) return;
    const next = step + TURNS[event.key];
    const onward = find(".tour-links a");
    if (next > scene.steps.length && clicker && !onward) return;
    event.preventDefault();
    if (next > scene.steps.length && clicker) onward.click(); // a clicker goes on to where the tour ends
    if (next >= 1 && next <= scene.steps.length) goStep(next);
  }

  // ---- the guess --------------------------------------------------------------------------------------------------------

  function ask(asked) {
    question = asked;
    root.classList.toggle("asking", Boolean(question));
    find(".guess").hidden = !question;
    find(".open-still").textContent = "";
    if (!question) return;
    fill(find(".question"), question.text);
    expected.max = String(scene.units);
    expected.value = String(Math.round(scene.units / 2));
    onExpected();
    show(0);
    name();
  }

  /** A clicker would leave the page, and the question with it: it says so first, and skips when it is pressed again. */
  function stay(event) {
    event.preventDefault();
    const said = find(".open-still");
    if (said.textContent) return answer(null);
    said.textContent = "The guess is still open. Press the key again to skip it.";
    expected.focus({ preventScroll: true });
  }

  function onExpected() {
    find(".expected output").textContent = expected.value;
    expected.style.setProperty("--done", `${(100 * Number(expected.value)) / Number(expected.max)}%`);
  }

  function answer(guess) {
    const { index: to, answered, start } = question;
    ask(null);
    resize();
    input.focus({ preventScroll: true });
    if (guess === null) {
      show(start);
      guessed = SKIPPED;
      onChange();
      return;
    }
    const tellOutcome = () => {
      const said = answered.replace("{guess}", guess).replace("{answer}", scene.withTwin[to]);
      find(".outcome").textContent = said;
      guessed = guess;
      onChange();
    };
    if (calm.matches) {
      show(to);
      tellOutcome();
    } else sweep(to, REVEAL, tellOutcome);
  }

  // ---- pointers and keys over the neurons -------------------------------------------------------------------------------

  function hit(event) {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / width, (event.clientY - box.top) / width];
    for (let neuron = 0; neuron < scene.units; neuron++) {
      const [dx, dy] = [x - places[2 * neuron], y - places[2 * neuron + 1]];
      if (dx >= 0 && dy >= 0 && dx <= side && dy <= side) return neuron;
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
    if (scene && event.pointerType !== "touch") light(() => (hovered = hit(event)));
  }

  function onPointerLeave() {
    if (scene) light(() => (hovered = -1));
  }

  function onClick(event) {
    if (!scene) return;
    const neuron = hit(event);
    const was = pinned;
    pin(neuron < 0 ? pinned : neuron);
    if (neuron < 0) return;
    if (was === neuron) tiles.children[neuron].blur();
    else {
      walk(neuron);
      if (root.clientWidth < NARROW) uncover(neuron);
    }
  }

  function close() {
    if (pinned >= 0) pin(pinned);
    input.focus({ preventScroll: true });
  }

  /** On a phone the slider and the pair cover the screen's ends: what was tapped, and its twin, are not left under them. */
  function uncover(neuron) {
    const [top, bottom] = [find(".control"), pair].map((part) => part.getBoundingClientRect());
    root.style.setProperty("--covered-above", `${Math.ceil(top.bottom)}px`);
    root.style.setProperty("--covered-below", `${Math.ceil(bottom.height)}px`);
    // What was tapped comes last: it is seen, should both not fit.
    for (const each of [partnerOf(neuron), neuron]) tiles.children[each].scrollIntoView({ block: "nearest", behavior: "instant" });
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
      if (along > layout.tile[index] / 2 && along >= aside && cost < least) [best, least] = [other, cost];
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
    tiles.children[walked].focus({ preventScroll: true });
  }

  function onFocusIn(event) {
    const neuron = [...tiles.children].indexOf(event.target);
    light(() => (focused = neuron));
    if (neuron >= 0 && neuron !== walked) walk(neuron);
  }

  function onFocusOut() {
    light(() => (focused = -1));
  }

  const onHoldKey = (event) => {
    if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      (event.type === "keydown" ? hold : letGo)();
    }
  };
  const onNought = (event) => {
    if (event.key === "0" && !event.ctrlKey && !event.metaKey && !event.altKey) (event.type === "keydown" ? hold : letGo)();
  };

  // ---- sizes, data, end -------------------------------------------------------------------------------------------------

  function resize() {
    const next = field.clientWidth;
    if (!scene || !next) return;
    width = next;
    layout = layoutOf();
    const density = Math.min(2, devicePixelRatio || 1);
    canvas.width = Math.round(width * density);
    canvas.height = Math.round((width / layout.aspect) * density);
    sizeTour();
    drawCharts();
    write();
    jump();
    draw();
  }

  function open(payload, pictureAddresses) {
    scene = unpack(payload);
    // Another number of clusters: the same pictures, which are not drawn anew.
    if (pictureAddresses.join() !== addresses.join()) pictures = [];
    atlases.clear();
    addresses = pictureAddresses;
    hovered = focused = -1;
    if (pinned >= scene.units) pinned = -1;
    walked = Math.min(walked, scene.units - 1);
    index = Math.min(index, scene.rates.length - 1);
    input.disabled = false;
    input.max = String(scene.rates.length - 1);
    find(".fetching").hidden = true;
    find(".outcome").textContent = "";
    find(".title").textContent = `Layer ${scene.layer} in ${scene.k} clusters, ${scene.recipe} recipe;`;
    field.setAttribute("aria-label", `Neurons of layer ${scene.layer}`);
    const last = Math.max(1, scene.rates.length - 1);
    find(".ticks").replaceChildren(
      ...scene.rates.flatMap((rate, i) => {
        if (Math.abs(rate * 10 - Math.round(rate * 10)) > 1e-6) return [];
        const tick = document.createElement("span");
        tick.textContent = rate ? share(rate, 1) : "none";
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

  async function update(data, hear, leave) {
    report = hear;
    go = leave;
    const first = index === undefined;
    index ??= data.start.index;
    [links, network] = [data.links, data.network ?? ""];
    const turned = root.hasAttribute("data-present") !== data.present;
    root.toggleAttribute("data-present", data.present);
    theme = readTheme(root);
    root.toggleAttribute("data-dark", theme.dark);
    atlases.clear();
    if (first) {
      view = data.start.view;
      step = data.start.step;
      root.dataset.view = view;
      buttons.paper.setAttribute("aria-pressed", String(view === "paper"));
      root.classList.toggle("asking", Boolean(data.ask));
    }
    const wanted = [data.layer, data.clusters, ...data.pictures].join();
    if (source === wanted) {
      if (shown !== wanted) return; // on its way
      if (!width || turned) resize();
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
      const opened = shown === undefined;
      shown = wanted;
      lost.hidden = true;
      open({ ...parts[0], ...parts[1] }, data.pictures);
      resize();
      if (opened && data.ask) ask({ ...data.ask, start: data.start.index });
      if (step || opened) goStep(step, false);
      fetchPicture(index);
    }
    performance.mark("explorer drawn"); // what the timing of the first page waits for
  }

  const observer = new ResizeObserver(() => {
    if (field.clientWidth !== width) resize();
  });
  const listeners = [
    [input, "pointerenter", fetchAll],
    [input, "pointerdown", () => ((grasped = index), fetchAll())],
    [input, "pointerup", () => (grasped = null)],
    [input, "pointercancel", onCancel],
    [input, "focus", fetchAll],
    [input, "input", onInput],
    [input, "change", onChange],
    [expected, "input", onExpected],
    [find(".guess"), "submit", (event) => (event.preventDefault(), answer(Number(expected.value)))],
    [buttons.skip, "click", () => answer(null)],
    [buttons.play, "click", () => scene && play()],
    [buttons.hold, "pointerdown", hold],
    ...["pointerup", "pointercancel", "pointerleave", "blur"].map((type) => [buttons.hold, type, letGo]),
    [buttons.hold, "contextmenu", (event) => event.preventDefault()],
    [buttons.hold, "keydown", onHoldKey],
    [buttons.hold, "keyup", onHoldKey],
    [root, "keydown", onNought],
    [root, "keyup", onNought],
    [buttons.paper, "click", () => scene && setView(view === "paper" ? "twins" : "paper")],
    [buttons.close, "click", close],
    [buttons.tour, "click", () => scene && (goStep(1), buttons.next.focus())],
    [buttons.back, "click", () => goStep(step - 1)],
    [buttons.next, "click", () => (step === scene.steps.length ? endTour() : goStep(step + 1))],
    [buttons.end, "click", endTour],
    [document, "keydown", onAnyKey, true], // before whoever else turns pages by these keys
    [canvas, "pointermove", onPointerMove],
    [canvas, "pointerleave", onPointerLeave],
    [canvas, "click", onClick],
    [tiles, "keydown", onKeyDown],
    [tiles, "focusin", onFocusIn],
    [tiles, "focusout", onFocusOut],
  ];
  for (const [target, type, listener, early] of listeners) target.addEventListener(type, listener, early);
  observer.observe(field);

  return {
    update,
    destroy() {
      gone = true;
      observer.disconnect();
      cancelAnimationFrame(frame);
      clearTimeout(release);
      clearInterval(playing);
      for (const [target, type, listener, early] of listeners) target.removeEventListener(type, listener, early);
    },
  };
}
