// Neurons in their clusters on a canvas: they glide from one look to the next, and twins are joined. It knows not where looks come
// from: what is said here is put before the script of each component that draws neurons so.

const GLIDE = 140; // milliseconds in which a tile covers two thirds of its way
const NARROW = 620; // CSS pixels below which a field is taller

const DASHES = { solid: [], dash: [7, 5], dot: [2, 4], dashdot: [9, 4, 2, 4], longdash: [13, 5] };
const BEND = 0.14; // of a line between two twins, as a part of its length
const ACROSS = 10; // neurons side by side in a picture

const rateText = (rate) => (rate === 0 ? "0" : share(rate, 2));
const whole = (value) => Math.round(value).toLocaleString("en");

/** Colours of the page's theme, and the 256 colours from negative over nothing to positive weights. */
function readTheme(root) {
  const page = pageOf(root);
  const { ground, dark } = page;
  const ends = dark ? [[96, 176, 255], [255, 140, 66]] : [[0, 90, 160], [200, 72, 0]];
  const weights = new Uint32Array(256);
  for (let level = 0; level < 256; level++) {
    const way = Math.min(1, Math.abs(level - 128) / 127) ** 1.2; // above 1, so that noise stays pale
    const end = ends[level < 128 ? 0 : 1];
    const [r, g, b] = ground.map((from, i) => Math.round(from + (end[i] - from) * way));
    weights[level] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  const lines = (colour) => (dark ? `color-mix(in srgb, ${colour} 62%, white)` : colour);
  return { ...page, weights, lines, palette: dark ? PALETTE.dark : PALETTE.light };
}

/** The levels of a grey picture, and its size, of what it is sent as. */
const levelsOf = (text) => greyLevels(new Blob([bytes(text)], { type: "image/webp" }));

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
const LABEL = 0.42; // above a region, where its letter stands

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

/** Where the neurons of looks lie that follow each other: each near to its place in the look before, whichever is seen first. */
function arrangedInOrder(looks, aspect) {
  let before = null;
  return looks.map(({ clusters, agree }) => (before = arrange(clusters, agree, before?.goals, aspect, before?.cell)));
}

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

/** A look as it is sent, with a number a neuron. */
function unpacked(look) {
  const flags = bytes(look.flags);
  return {
    ...look,
    clusters: [...bytes(look.clusters)],
    twin: bytes(look.twin),
    agree: flags.map((flag) => flag & 1),
    dead: flags.map((flag) => (flag >> 1) & 1),
  };
}

/** What a look says, for who cannot see it. */
const spoken = (seen, layer) =>
  `Layer ${layer}: ${seen.twins} of ${seen.clusters.length} neurons have a twin; ` +
  `${seen.agree.reduce((sum, each) => sum + each, 0)} are in the same cluster by incoming and by outgoing weights.`;

/**
 * A field of neurons on a canvas.
 *
 * `theme` gives the colours that hold, as `readTheme` has them; `aspect` width over height of the field for its width in CSS pixels;
 * `lies` where a look's neurons lie at an aspect, where that is known beforehand: else near to where they are.
 */
function createField(canvas, theme, aspect, lies = null) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let seen = null; // the last look, unpacked
  let atlas = null;
  let levels = null;
  let placed = null; // goals and regions
  let places = null;
  let frame = 0;
  let before = 0;

  const width = () => canvas.parentElement.clientWidth;

  function place() {
    if (!seen || !width()) return;
    if (places && places.length !== 2 * seen.clusters.length) places = placed = null;
    const wanted = aspect(width());
    placed = lies ? lies(seen, wanted) : arrange(seen.clusters, seen.agree, places, wanted, placed?.cell);
    if (!places || calm.matches) places = Float64Array.from(placed.goals);
    request();
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
    const context = fit(canvas, wide, wide / aspect(wide));
    const size = placed.cell * 0.92 * wide;
    const label = Math.max(10, Math.min(18, size * 0.36));
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.font = `600 ${label}px ${theme().font}`;
    for (const [cluster, region] of placed.regions) {
      const [x, y, w, h] = region.map((value) => value * wide);
      const colour = theme().palette[cluster % theme().palette.length];
      context.beginPath();
      context.roundRect(x, y, w, h, size * 0.14);
      context.fillStyle = colour;
      context.globalAlpha = theme().dark ? 0.16 : 0.1;
      context.fill();
      context.globalAlpha = 1;
      context.strokeStyle = colour;
      context.lineWidth = 1.5;
      const repeat = Math.floor(cluster / theme().palette.length);
      outlineRegion(context, [x, y, w, h], size * 0.14, repeat);
      context.fillText(clusterName(cluster), x + label * 0.7, y - label * 0.55 - (repeat ? 6 : 0));
    }
    for (let neuron = 0; neuron < seen.clusters.length; neuron++) drawTile(context, neuron, size, wide);
    drawTwins(context, size, wide);
  }

  function drawTile(context, neuron, size, wide) {
    const [x, y] = [places[2 * neuron] * wide, places[2 * neuron + 1] * wide];
    const colour = theme().palette[seen.clusters[neuron] % theme().palette.length];
    const edge = Math.max(1.5, size * 0.085);
    const solid = seen.agree[neuron];
    context.fillStyle = solid ? colour : theme().background;
    context.fillRect(x, y, size, size);
    context.fillStyle = theme().background;
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
      context.strokeStyle = theme().text;
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
    // From below their pictures, which are left free.
    const foot = (neuron) => [places[2 * neuron] * wide + size / 2, places[2 * neuron + 1] * wide + 0.94 * size];
    const thick = Math.max(1.2, 0.065 * size);
    const drawn = new Set();
    for (let neuron = 0; neuron < seen.twin.length; neuron++) {
      const twin = seen.twin[neuron];
      const pair = neuron < twin ? `${neuron} ${twin}` : `${twin} ${neuron}`;
      if (twin === neuron || drawn.has(pair)) continue;
      drawn.add(pair);
      const [x, y] = foot(neuron);
      const [toX, toY] = foot(twin);
      const level = Math.abs(toY - y) < size / 2; // side by side: an arc below them
      const [overX, overY] = level
        ? [(x + toX) / 2, y + size * (0.3 + 0.08 * Math.min(4, Math.abs(toX - x) / size))]
        : [(x + toX) / 2 + (toY - y) * BEND, (y + toY) / 2 - (toX - x) * BEND];
      for (const [colour, line] of [[theme().background, 2.2 * thick], [theme().text, thick]]) {
        context.strokeStyle = colour;
        context.lineWidth = line;
        context.beginPath();
        context.moveTo(x, y);
        context.quadraticCurveTo(overX, overY, toX, toY);
        context.stroke();
      }
      context.fillStyle = theme().text;
      for (const [atX, atY] of [[x, y], [toX, toY]]) {
        context.beginPath();
        context.arc(atX, atY, 1.5 * thick, 0, 2 * Math.PI);
        context.fill();
      }
    }
  }

  return {
    /** Let the neurons go where a look, unpacked by `unpacked`, has them. */
    see(look) {
      seen = look;
      place();
    },
    /** Draw them by the levels of a picture. */
    picture(found) {
      levels = found;
      atlas = drawAtlas(levels, theme());
      request();
    },
    /** The theme has changed. */
    recolour() {
      if (levels) atlas = drawAtlas(levels, theme());
      request();
    },
    /** The canvas has another width: everything is at its place at once. */
    resized() {
      if (!seen) return;
      placed = places = null;
      place();
    },
    clear() {
      seen = placed = places = atlas = levels = null;
    },
    destroy() {
      cancelAnimationFrame(frame);
    },
  };
}
