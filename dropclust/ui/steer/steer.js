// A live run in the browser: hears what can be seen of it, draws it, and tells the server what the viewer does. It computes no result.

const GLIDE = 140; // milliseconds in which a tile covers two thirds of its way
const SAY = 90; // milliseconds between two words about a slider that is dragged
const HAND = 900; // milliseconds after a viewer's last move in which the slider is the viewer's own
const NARROW = 620; // CSS pixels below which the field is taller and the strips are lower
const USUAL = 0.5; // the rate that the button switches on, until another one held
const FEWEST_EPOCHS = 2; // that the strips have room for
const KEPT_MOMENTS = 600;

// Okabe and Ito's colours, as the explorer has them; beyond eight clusters they repeat, and outline and number tell them apart.
const PALETTE = {
  light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#3f9fd8", "#d99400", "#b3a100", "#5a5a5a"],
  dark: ["#4aa3e0", "#f0783c", "#2cc495", "#e39ac4", "#8fd0f7", "#f0b030", "#f0e442", "#bdbdbd"],
};
const OUTLINES = [[], [9, 5]];
const DASHES = { solid: [], dash: [7, 5], dot: [2, 4], dashdot: [9, 4, 2, 4], longdash: [13, 5] };
const ACROSS = 10; // neurons side by side in a picture

const shown = new WeakMap();

/** Called by Streamlit at the first mount, and again when the data or the theme changes. */
export default function (component) {
  const { parentElement, data } = component;
  let live = shown.get(parentElement);
  if (!live) {
    live = createLive(parentElement.querySelector(".steer"));
    shown.set(parentElement, live);
  }
  live.update(data);
  return () => {
    shown.delete(parentElement);
    live.destroy();
  };
}

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** A share without its leading zero, as everywhere in the app. */
const share = (value, digits) => (value < 0 ? "−" : "") + Math.abs(value).toFixed(digits).replace(/^0/, "");
const rateText = (rate) => (rate === 0 ? "0" : share(rate, 2));
const whole = (value) => Math.round(value).toLocaleString("en");

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
  const lines = (colour) => (dark ? `color-mix(in srgb, ${colour} 62%, white)` : colour);
  return { background, text, dark, weights, lines, palette: dark ? PALETTE.dark : PALETTE.light, font: style.fontFamily };
}

/** The levels of a grey picture, and its size. */
async function levelsOf(text) {
  const picture = await createImageBitmap(new Blob([bytes(text)], { type: "image/webp" }));
  const { width, height } = picture;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, levels: Uint8Array.from({ length: width * height }, (_, i) => data[4 * i]) };
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

// ---- where clusters and neurons lie, in units of the field's width --------------------------------------------------------

const PAD = 0.14; // from a region's edge to its cells, in cells as all of these
const GAP = 0.2; // between regions
const LABEL = 0.42; // above a region, where its number stands

/** Clusters as blocks of cells that flow into rows like words, for one size of a cell; null when they do not fit. */
function flowed(sizes, cell, height) {
  const across = 1 / cell - GAP;
  const rows = [];
  let left = GAP;
  for (const [cluster, size] of sizes) {
    const columns = Math.ceil(Math.sqrt(size * 1.5));
    const lines = Math.ceil(size / columns);
    const wide = columns + 2 * PAD;
    if (wide > across - GAP) return null;
    if (!rows.length || left + wide > across) {
      rows.push({ blocks: [], lines: 0 });
      left = GAP;
    }
    const row = rows.at(-1);
    row.blocks.push({ cluster, columns, lines, left });
    row.lines = Math.max(row.lines, lines);
    left += wide + GAP;
  }
  const tall = rows.reduce((sum, row) => sum + row.lines + 2 * PAD + LABEL + GAP, GAP);
  return tall * cell <= height ? rows : null;
}

/** Regions, and a place for each neuron: as near as can be to where it is, place by place. */
function arrange(clusters, agree, places, aspect, usual) {
  const members = new Map();
  clusters.forEach((cluster, neuron) => members.set(cluster, [...(members.get(cluster) ?? []), neuron]));
  const sizes = [...members].map(([cluster, list]) => [cluster, list.length]).sort((a, b) => a[0] - b[0]);
  const height = 1 / aspect;
  let [low, high] = [0.002, 0.2];
  while (high - low > 0.0004) {
    const middle = (low + high) / 2;
    if (flowed(sizes, middle, height)) low = middle;
    else high = middle;
  }
  // The size of a tile changes only when it must, or when much room was left.
  const cell = usual && usual <= low && usual > 0.85 * low && flowed(sizes, usual, height) ? usual : low;
  const rows = flowed(sizes, cell, height) ?? [];
  const regions = new Map();
  const goals = new Float64Array(2 * clusters.length);
  let top = GAP;
  for (const row of rows) {
    top += LABEL;
    for (const { cluster, columns, lines, left } of row.blocks) {
      regions.set(cluster, [left, top, columns + 2 * PAD, lines + 2 * PAD].map((value) => value * cell));
      const list = members.get(cluster).sort((a, b) => agree[b] - agree[a] || a - b);
      const slots = list.map((_, i) => [
        (left + PAD + (i % columns)) * cell,
        (top + PAD + Math.floor(i / columns)) * cell,
      ]);
      const free = new Set(slots.keys());
      // Agreeing neurons take the first places, so that the solid part of a cluster is seen to grow.
      for (const [from, to] of [[0, list.findIndex((n) => !agree[n])], [list.findIndex((n) => !agree[n]), list.length]]) {
        if (from < 0) continue;
        const end = to < 0 ? list.length : to;
        const open = [...Array(end - from).keys()].map((i) => from + i).filter((i) => free.has(i));
        for (const neuron of list.slice(from, end)) {
          let best = 0;
          let least = Infinity;
          open.forEach((slot, at) => {
            const distance = places
              ? (slots[slot][0] - places[2 * neuron]) ** 2 + (slots[slot][1] - places[2 * neuron + 1]) ** 2
              : at;
            if (distance < least) [best, least] = [at, distance];
          });
          const [slot] = open.splice(best, 1);
          free.delete(slot);
          goals.set(slots[slot], 2 * neuron);
        }
      }
    }
    top += row.lines + 2 * PAD + GAP;
  }
  return { cell, regions, goals };
}

function createLive(root) {
  const find = (selector) => root.querySelector(selector);
  const all = (selector) => [...root.querySelectorAll(selector)];
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const field = find(".field canvas");
  const strips = find(".strips canvas");

  let data = { name: "" };
  let token = "";
  let feed = null;
  let layer = 1;
  let theme = null;
  let head = null; // what changes with every word of the server
  let pieces = [];
  let history = [];
  let seen = null; // the last look, unpacked
  let atlas = null;
  let levels = null;
  let placed = null; // goals and regions
  let places = null;
  let frame = 0;
  let before = 0;
  let touched = 0; // when a slider was last moved
  let saying = 0;
  let wanted = null; // rates that are still to be said
  let last = [USUAL, USUAL, USUAL]; // the last rates above 0
  let aloud = 0;

  const steers = () => Boolean(head) && (token !== "" || head.open);
  const ended = () => !head || ["stopped", "saved", "failed"].includes(head.state);

  // ---- what the viewer does ------------------------------------------------------------------------------------------------

  function tell(sentence) {
    const line = find(".told");
    line.hidden = !sentence;
    line.textContent = sentence;
    clearTimeout(aloud);
    if (sentence) aloud = setTimeout(() => tell(""), 8000);
  }

  async function act(action) {
    try {
      const answer = await fetch(data.feed, { method: "POST", body: JSON.stringify({ token, ...action }), keepalive: true });
      const { sentence } = answer.ok ? {} : await answer.json();
      tell(sentence ?? "");
    } catch {
      tell("The server does not answer.");
    }
  }

  /** Say the rates, at most so often, and the last of them always. */
  function say(rates) {
    wanted = rates;
    if (saying) return;
    const send = () => {
      if (!wanted) {
        saying = 0;
        return;
      }
      act({ do: "rates", rates: wanted });
      wanted = null;
      saying = setTimeout(send, SAY);
    };
    send();
  }

  const isOn = (rates) => rates.some((rate) => rate > 0);

  function toggle() {
    const rates = wanted ?? head.rates;
    act({ do: "rates", rates: isOn(rates) ? [0, 0, 0] : last });
  }

  function onClick(event) {
    const button = event.target.closest("[data-do]");
    if (!button) return;
    if (event.detail) button.blur(); // so that the space bar, after a mouse's click, is dropout's again
    const what = button.dataset.do;
    if (what === "toggle") toggle();
    else if (what === "play" && !ended()) act({ do: head.paused ? "play" : "pause" });
    else act({ do: what === "play" ? "restart" : what });
  }

  function onKey(event) {
    if (event.code !== "Space" || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
    if (!steers() || ended()) return;
    const target = event.composedPath()[0];
    if (target.closest?.("button, select, textarea, a, summary, [contenteditable], [role=button], input:not([type=range])")) return;
    event.preventDefault();
    toggle();
  }

  function onSlide() {
    touched = performance.now();
    const inputs = all(".sliders input");
    const rates = inputs.length === 1 ? Array(3).fill(Number(inputs[0].value)) : inputs.map((input) => Number(input.value));
    inputs.forEach((input) => name(input));
    say(rates);
  }

  function name(input) {
    input.closest("label").querySelector("output").textContent = rateText(Number(input.value));
    input.setAttribute("aria-valuetext", rateText(Number(input.value)));
  }

  function makeSliders() {
    const apart = find("[data-apart]").checked;
    find(".rates").toggleAttribute("data-apart-now", apart);
    const labels = apart ? [1, 2, 3].map((number) => `Layer ${number}`) : ["Dropout rate"];
    find(".sliders").replaceChildren(
      ...labels.map((text, at) => {
        const label = document.createElement("label");
        const input = document.createElement("input");
        Object.assign(input, { type: "range", min: 0, max: 0.95, step: 0.05, value: head ? head.rates[at] : 0 });
        label.append(`${text} `, document.createElement("output"), input);
        input.setAttribute("aria-label", apart ? `Dropout rate, layer ${at + 1}` : "Dropout rate");
        input.addEventListener("input", onSlide);
        input.disabled = !steers() || ended();
        name(input);
        return label;
      }),
    );
  }

  // ---- what the server says ----------------------------------------------------------------------------------------------

  function listen() {
    feed?.close();
    feed = null;
    if (!data.name) return;
    feed = new EventSource(`${data.feed}?layer=${layer}`);
    feed.onmessage = (event) => take(JSON.parse(event.data));
    feed.onerror = () => {
      if (feed?.readyState === EventSource.CLOSED) {
        find(".status").textContent = "No live run of that name is known here: it ended a while ago, or the app was started anew.";
      }
    };
  }

  function take(part) {
    const anew = !head || part.round !== head.round;
    if (anew) [pieces, history, seen] = [[], [], null];
    if (part.history) history = part.history;
    if (part.pieces) pieces = [...pieces.slice(0, part.from), ...part.pieces];
    if (part.moment) {
      if (history.length && history.at(-1)[0] >= part.moment[0]) history.pop();
      history.push(part.moment);
      if (history.length > KEPT_MOMENTS) history = history.filter((_, at) => at % 2 === 0 || at === history.length - 1);
    }
    head = { ...head, ...part };
    if (isOn(head.rates)) last = head.rates;
    if (part.look) see(part.look);
    if (part.picture) paintPicture(part.picture);
    write();
    requestAnimationFrame(drawStrips);
  }

  async function paintPicture(text) {
    levels = await levelsOf(text);
    atlas = drawAtlas(levels, theme);
    request();
  }

  function see(look) {
    const flags = bytes(look.flags);
    seen = {
      ...look,
      clusters: [...bytes(look.clusters)],
      twin: bytes(look.twin),
      agree: flags.map((flag) => flag & 1),
      dead: flags.map((flag) => (flag >> 1) & 1),
    };
    place();
  }

  function place() {
    if (!seen) return;
    if (places && places.length !== 2 * seen.clusters.length) places = placed = null;
    placed = arrange(seen.clusters, seen.agree, places, aspect(), placed?.cell);
    if (!places || calm.matches) places = Float64Array.from(placed.goals);
    request();
  }

  // ---- words ---------------------------------------------------------------------------------------------------------------

  function put(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  function standing() {
    const { state, step, epoch, batch, message, notice, speed } = head;
    const where = `step ${whole(step)}, epoch ${(step / epoch).toFixed(1)}`;
    const said = {
      waiting: "Waiting for a worker.",
      running: `Training: ${where}, ${whole(speed ?? 0)} images a second.`,
      paused: `Paused at ${where}.`,
      stopped: `Ended at ${where}.`,
      saved: `Saved at ${where}.`,
      failed: "It failed.",
    }[state];
    return [batch ? said : "", message, notice].filter(Boolean).join(" ");
  }

  function write() {
    const may = steers();
    const on = isOn(head.rates);
    const big = find(".big");
    put(big, on ? "Switch dropout off" : "Switch dropout on");
    big.setAttribute("aria-pressed", String(on));
    big.disabled = !may || ended();
    const play = find('[data-do="play"]');
    put(play, ended() ? "Start again" : head.paused ? "Play" : "Pause");
    play.disabled = !may;
    for (const what of ["step", "epoch", "restart"]) find(`[data-do="${what}"]`).disabled = !may || ended();
    find('[data-do="save"]').disabled = !may || head.state === "saved" || head.state === "failed" || !head.step;
    const pace = find("[data-pace]");
    pace.disabled = !may || ended();
    if (document.activeElement !== pace && root.getRootNode().activeElement !== pace) pace.value = head.pace ?? "";
    find("[data-apart]").disabled = !may || ended();
    if (performance.now() - touched > HAND && !wanted) {
      const [first, ...rest] = head.rates;
      if (rest.some((rate) => rate !== first) && !find("[data-apart]").checked) {
        find("[data-apart]").checked = true;
        makeSliders();
      }
      all(".sliders input").forEach((input, at) => {
        input.value = head.rates[at];
        name(input);
      });
    }
    for (const input of all(".sliders input")) input.disabled = !may || ended();
    const status = find(".status");
    put(status, standing());
    status.setAttribute("aria-live", head.state === "running" ? "off" : "polite");
    links();
    for (const element of all("[data-owner]")) element.hidden = token === "";
    find('[data-do="end"]').disabled = ended();
    find("[data-open]").checked = head.open;
    const others = `${head.viewers} ${head.viewers === 1 ? "viewer" : "viewers"}.`;
    put(find(".watchers"), may ? others : `${others} You are watching: whoever started it steers.`);
    if (!seen) return;
    const units = seen.clusters.length;
    put(find('[data-number="twins"]'), String(seen.twins));
    put(find('[data-of="twins"]'), `of ${units} have a twin`);
    put(find('[data-number="adjusted"]'), share(seen.adjusted, 2));
    put(find('[data-of="adjusted"]'), `(chance ${share(seen.low, 2)} to ${share(seen.high, 2)})`);
    put(find('[data-number="accuracy"]'), share(seen.accuracy, 3));
    put(find('[data-number="dead"]'), String(seen.dead.reduce((sum, each) => sum + each, 0)));
    field.setAttribute(
      "aria-label",
      `Layer ${layer}: ${seen.twins} of ${units} neurons have a twin; ${seen.agree.reduce((sum, each) => sum + each, 0)} are in the same cluster by incoming and by outgoing weights.`,
    );
  }

  /** Where a saved run leads on to. */
  function links() {
    const status = find(".status");
    if (!head.key || status.querySelector("a")) return;
    for (const [page, text] of [["train", "Open it on Train"], ["compress", "Compress it"]]) {
      const link = document.createElement("a");
      link.href = `${data.base}${page}?run=${head.key}`;
      link.textContent = text;
      link.target = "_self";
      status.append(" ", link);
    }
  }

  // ---- the neurons -----------------------------------------------------------------------------------------------------------

  const width = () => field.parentElement.clientWidth;
  const aspect = () => (width() < NARROW ? 1.25 : 1.75);

  function fit(canvas, wide, high) {
    const scale = Math.min(2, devicePixelRatio || 1);
    const [w, h] = [Math.round(wide * scale), Math.round(high * scale)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    canvas.style.height = `${high}px`;
    const context = canvas.getContext("2d");
    context.setTransform(w / wide, 0, 0, w / wide, 0, 0);
    context.clearRect(0, 0, wide, high);
    return context;
  }

  function request() {
    if (frame) return;
    before = performance.now();
    frame = requestAnimationFrame(paint);
  }

  function paint(now) {
    frame = 0;
    if (!seen || !placed || !places || !width()) return;
    const part = 1 - Math.exp(-Math.min(64, now - before) / GLIDE);
    before = now;
    const near = 0.4 / width();
    let moving = false;
    for (let i = 0; i < places.length; i++) {
      const rest = placed.goals[i] - places[i];
      if (Math.abs(rest) < near) places[i] = placed.goals[i];
      else {
        places[i] += rest * part;
        moving = true;
      }
    }
    draw();
    if (moving) frame = requestAnimationFrame(paint);
  }

  function draw() {
    const wide = width();
    const context = fit(field, wide, wide / aspect());
    const size = placed.cell * 0.92 * wide;
    const label = Math.max(10, Math.min(18, size * 0.36));
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.font = `600 ${label}px ${theme.font}`;
    for (const [cluster, region] of placed.regions) {
      const [x, y, w, h] = region.map((value) => value * wide);
      const colour = theme.palette[cluster % theme.palette.length];
      context.beginPath();
      context.roundRect(x, y, w, h, size * 0.14);
      context.fillStyle = colour;
      context.globalAlpha = theme.dark ? 0.16 : 0.1;
      context.fill();
      context.globalAlpha = 1;
      context.strokeStyle = colour;
      context.lineWidth = 1.5;
      context.setLineDash(OUTLINES[Math.floor(cluster / theme.palette.length) % OUTLINES.length]);
      context.stroke();
      context.setLineDash([]);
      context.fillText(String(cluster + 1), x + label * 0.7, y - label * 0.55);
    }
    for (let neuron = 0; neuron < seen.clusters.length; neuron++) drawTile(context, neuron, size, wide);
    drawTwins(context, size, wide);
  }

  function drawTile(context, neuron, size, wide) {
    const [x, y] = [places[2 * neuron] * wide, places[2 * neuron + 1] * wide];
    const colour = theme.palette[seen.clusters[neuron] % theme.palette.length];
    const edge = Math.max(1.5, size * 0.085);
    const solid = seen.agree[neuron];
    context.fillStyle = solid ? colour : theme.background;
    context.fillRect(x, y, size, size);
    context.fillStyle = theme.background;
    context.fillRect(x + edge, y + edge, size - 2 * edge, size - 2 * edge);
    context.globalAlpha = seen.dead[neuron] ? 0.3 : 1;
    drawPicture(context, neuron, x + edge, y + edge, size - 2 * edge);
    context.globalAlpha = 1;
    if (!solid) {
      const line = Math.max(1, size * 0.035);
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.setLineDash([size * 0.13, size * 0.1]);
      context.strokeRect(x + line / 2, y + line / 2, size - line, size - line);
      context.setLineDash([]);
    }
    if (seen.dead[neuron]) {
      context.strokeStyle = theme.text;
      context.lineWidth = Math.max(1.5, size * 0.05);
      context.beginPath();
      context.moveTo(x + size * 0.22, y + size * 0.22);
      context.lineTo(x + size * 0.78, y + size * 0.78);
      context.moveTo(x + size * 0.78, y + size * 0.22);
      context.lineTo(x + size * 0.22, y + size * 0.78);
      context.stroke();
    }
  }

  function drawPicture(context, neuron, x, y, size) {
    if (!atlas) return; // on its way
    const columns = atlas.width / ACROSS;
    const rows = atlas.height / Math.ceil(seen.clusters.length / ACROSS);
    const [left, top] = [(neuron % ACROSS) * columns, Math.floor(neuron / ACROSS) * rows];
    context.imageSmoothingEnabled = rows > 4;
    if (rows > 4) {
      context.drawImage(atlas, left, top, columns, rows, x, y, size, size);
      return;
    }
    for (let row = 0; row < rows; row++) {
      context.drawImage(atlas, left, top + row, columns, 1, x, y + (row * size) / rows, size, size / rows - (rows > 1 ? 1 : 0));
    }
  }

  function drawTwins(context, size, wide) {
    const middle = (neuron) => [places[2 * neuron] * wide + size / 2, places[2 * neuron + 1] * wide + size / 2];
    const drawn = new Set();
    for (let neuron = 0; neuron < seen.twin.length; neuron++) {
      const twin = seen.twin[neuron];
      const pair = neuron < twin ? `${neuron} ${twin}` : `${twin} ${neuron}`;
      if (twin === neuron || drawn.has(pair)) continue;
      drawn.add(pair);
      const [x, y] = middle(neuron);
      const [toX, toY] = middle(twin);
      const bend = 0.14;
      for (const [colour, line] of [[theme.background, 4.5], [theme.text, 2]]) {
        context.strokeStyle = colour;
        context.lineWidth = line;
        context.beginPath();
        context.moveTo(x, y);
        context.quadraticCurveTo((x + toX) / 2 + (toY - y) * bend, (y + toY) / 2 - (toX - x) * bend, toX, toY);
        context.stroke();
      }
      context.fillStyle = theme.text;
      for (const [atX, atY] of [[x, y], [toX, toY]]) {
        context.beginPath();
        context.arc(atX, atY, 3, 0, 2 * Math.PI);
        context.fill();
      }
    }
  }

  // ---- the strips over time --------------------------------------------------------------------------------------------------

  function drawStrips() {
    if (!head?.epoch || !theme) return;
    const wide = strips.parentElement.clientWidth;
    if (!wide) return;
    const narrow = wide < NARROW;
    const heights = narrow && root.clientWidth < NARROW ? [46, 58, 46, 46] : [72, 104, 84, 84];
    const [left, right, gap, foot] = [44, 10, 20, 20];
    const total = heights.reduce((sum, each) => sum + each + gap, foot);
    const context = fit(strips, wide, total);
    const span = Math.max(FEWEST_EPOCHS * head.epoch, head.step * 1.04);
    const x = (step) => left + (step / span) * (wide - left - right);
    context.font = `13px ${theme.font}`;
    context.textBaseline = "middle";
    const inks = Object.fromEntries(Object.entries(data.looks).map(([what, { colour }]) => [what, theme.lines(colour)]));
    const faint = theme.dark ? "rgba(255,255,255,.18)" : "rgba(0,0,0,.14)";
    let top = gap;

    function axes(title, low, high, texts, tall) {
      const y = (value) => top + ((high - value) / (high - low)) * tall;
      context.fillStyle = theme.text;
      context.textAlign = "left";
      context.fillText(title, left, top - 9);
      context.textAlign = "right";
      for (const [value, text] of texts) {
        context.fillText(text, left - 6, y(value));
        context.strokeStyle = faint;
        context.lineWidth = 1;
        context.beginPath();
        context.moveTo(left, y(value));
        context.lineTo(wide - right, y(value));
        context.stroke();
      }
      return y;
    }

    function line(points, what) {
      context.strokeStyle = inks[what];
      context.setLineDash(DASHES[data.looks[what].dash] ?? []);
      context.lineWidth = 2.5;
      context.lineJoin = "round";
      context.beginPath();
      points.forEach(([atX, atY], i) => (i ? context.lineTo(atX, atY) : context.moveTo(atX, atY)));
      context.stroke();
      context.setLineDash([]);
    }

    // The rate of each layer, and where the viewer acted.
    {
      const y = axes("dropout rate", 0, 1, [[0, "0"], [0.5, ".5"], [1, "1"]], heights[0]);
      const parts = [[0, head.dropout ?? head.rates], ...pieces];
      const apart = parts.some(([, rates]) => rates.some((rate) => rate !== rates[0]));
      for (const number of apart ? [0, 1, 2] : [0]) {
        const points = [];
        parts.forEach(([step, rates], i) => {
          const until = i + 1 < parts.length ? parts[i + 1][0] : head.step;
          points.push([x(step), y(rates[number])], [x(until), y(rates[number])]);
        });
        points.push([x(head.step), y(head.rates[number])]);
        context.globalAlpha = apart ? 0.12 : 0.25;
        context.fillStyle = inks.rate;
        context.beginPath();
        context.moveTo(points[0][0], y(0));
        for (const point of points) context.lineTo(...point);
        context.lineTo(points.at(-1)[0], y(0));
        context.fill();
        context.globalAlpha = 1;
        line(points, "rate");
      }
      // Layers that share a rate share a label.
      const shared = new Map();
      head.rates.forEach((rate, at) => shared.set(rate, [...(shared.get(rate) ?? []), at + 1]));
      context.fillStyle = theme.text;
      context.textAlign = "left";
      for (const [rate, layers] of apart ? shared : []) {
        const text = layers.join(", ");
        context.fillText(text, Math.min(x(head.step) + 4, wide - context.measureText(text).width), y(rate) - (rate < 0.1 ? 7 : 0));
      }
      context.fillStyle = inks.acted;
      for (const [step] of pieces) {
        context.beginPath();
        context.moveTo(x(step), top + 7);
        context.lineTo(x(step) - 4.5, top - 1);
        context.lineTo(x(step) + 4.5, top - 1);
        context.fill();
      }
      top += heights[0] + gap;
    }

    const columns = (at) => history.map((moment) => [moment[0], moment[at]]);
    {
      const most = Math.max(0.3, ...history.map((moment) => moment[2]));
      const y = axes(`adjusted Rand, layer ${layer}; band: chance`, -0.1, Math.ceil(most * 10) / 10, [[0, "0"], [0.2, ".2"], ...(most > 0.4 ? [[0.5, ".5"]] : [])], heights[1]);
      context.fillStyle = inks.chance;
      context.globalAlpha = 0.28;
      context.beginPath();
      const band = [...history.map((moment) => [moment[0], moment[4]]), ...history.map((moment) => [moment[0], moment[3]]).reverse()];
      band.forEach(([step, value], i) => (i ? context.lineTo(x(step), y(value)) : context.moveTo(x(step), y(value))));
      context.fill();
      context.globalAlpha = 1;
      line(columns(2).map(([step, value]) => [x(step), y(value)]), "adjusted");
      top += heights[1] + gap;
    }
    {
      const units = head.units ?? 100;
      const y = axes(`neurons with a twin, layer ${layer}`, 0, units, [[0, "0"], [units / 2, String(Math.round(units / 2))], [units, String(units)]], heights[2]);
      line(columns(5).map(([step, value]) => [x(step), y(value)]), "twins");
      top += heights[2] + gap;
    }
    {
      const y = axes("accuracy on held-out images", 0.85, 1, [[0.9, ".90"], [0.95, ".95"], [1, "1"]], heights[3]);
      line(columns(1).map(([step, value]) => [x(step), y(Math.max(0.85, value))]), "accuracy");
      top += heights[3];
    }
    context.fillStyle = theme.text;
    context.textAlign = "center";
    const epochs = span / head.epoch;
    const every = [1, 2, 5, 10, 20].find((each) => epochs / each <= 8) ?? 20;
    for (let epoch = 0; epoch <= epochs; epoch += every) context.fillText(String(epoch), x(epoch * head.epoch), top + 12);
    context.textAlign = "right";
    context.fillText("epoch", left - 8, top + 12);
    strips.setAttribute(
      "aria-label",
      `Over ${(head.step / head.epoch).toFixed(1)} epochs: dropout rate now ${head.rates.map(rateText).join(", ")}, changed ${pieces.length} times.` +
        (history.length ? ` Adjusted Rand index of layer ${layer} now ${share(history.at(-1)[2], 2)}.` : ""),
    );
    strips.dataset.step = String(head.step);
    strips.dataset.rates = head.rates.join(" ");
    strips.dataset.changes = String(pieces.length);
  }

  // ---- mounted and gone --------------------------------------------------------------------------------------------------------

  function makeLayers() {
    find(".layers").replaceChildren(
      ...[1, 2, 3].map((number) => {
        const label = document.createElement("label");
        const input = document.createElement("input");
        Object.assign(input, { type: "radio", name: `layer-${data.name}`, value: number, checked: number === layer });
        input.addEventListener("change", () => {
          layer = number;
          [seen, placed, places, atlas, levels, history] = [null, null, null, null, null, []];
          listen();
        });
        label.append(input, ` Layer ${number}`);
        return label;
      }),
    );
  }

  const resized = new ResizeObserver(() => {
    if (placed) {
      placed = null;
      place();
      places = placed ? Float64Array.from(placed.goals) : null;
      request();
    }
    requestAnimationFrame(drawStrips);
  });

  root.addEventListener("click", onClick);
  document.addEventListener("keydown", onKey);
  find("[data-apart]").addEventListener("change", makeSliders);
  find("[data-open]").addEventListener("change", (event) => act({ do: "open", open: event.target.checked }));
  find("[data-pace]").addEventListener("change", (event) => {
    act({ do: "pace", pace: event.target.value === "" ? null : Number(event.target.value) });
    event.target.blur();
  });
  resized.observe(find(".stage"));

  return {
    update(next) {
      theme = readTheme(root);
      root.toggleAttribute("data-dark", theme.dark);
      if (levels) atlas = drawAtlas(levels, theme);
      if (next.name !== data.name) {
        data = next;
        [head, pieces, history, seen, placed, places, atlas, levels] = [null, [], [], null, null, null, null, null];
        // Who started a run steers it after a reload too: the browser keeps the token, not the address.
        const where = `dropclust-live-${data.name}`;
        try {
          if (next.token) localStorage.setItem(where, next.token);
          token = next.token || localStorage.getItem(where) || "";
        } catch {
          token = next.token;
        }
        makeLayers();
        makeSliders();
        listen();
      }
      data = next;
      request();
      requestAnimationFrame(drawStrips);
    },
    destroy() {
      feed?.close();
      resized.disconnect();
      document.removeEventListener("keydown", onKey);
      cancelAnimationFrame(frame);
      clearTimeout(saying);
      clearTimeout(aloud);
    },
  };
}
