// A live run in the browser: hears what can be seen of it, draws it, and tells the server what the viewer does. It computes no result.

const SAY = 90; // milliseconds between two words about a slider that is dragged
const HAND = 900; // milliseconds after a viewer's last move in which the slider is the viewer's own
const USUAL = 0.5; // the rate that the button switches on, until another one held
const FEWEST_EPOCHS = 2; // that the strips have room for
const KEPT_MOMENTS = 600;
const BESIDE = 900; // CSS pixels from which on the strips stand beside the neurons (steer.css)
const WIDEST = 3.2; // width over height of a field for which little of the screen is left
const LETTERS = 0.96; // of the component's letters, those of the strips: 24 px where charts have 24 in a presentation
const PHONE_LETTERS = 13;
const STRIPS = [72, 104, 84, 84]; // how high the strips are, in parts of their sum
const LOWEST = 9; // their sum, in letters' heights
const HIGHEST = 22;

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

function createLive(root) {
  const find = (selector) => root.querySelector(selector);
  const all = (selector) => [...root.querySelectorAll(selector)];
  const canvas = find(".field canvas");
  const strips = find(".strips canvas");

  let data = { name: "" };
  let token = "";
  let feed = null;
  let layer = 0;
  let theme = null;
  let head = null; // what changes with every word of the server
  let pieces = [];
  let history = [];
  let seen = null; // the last look, unpacked
  let touched = 0; // when a slider was last moved
  let saying = 0;
  let wanted = null; // rates that are still to be said
  let last = [USUAL, USUAL, USUAL]; // the last rates above 0
  let aloud = 0;
  let shape = 1.75; // width over height of the field
  let sized = ""; // what it was last laid out for
  const field = createField(canvas, () => theme, () => shape);

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
    if (part.picture) levelsOf(part.picture).then(field.picture);
    write();
    requestAnimationFrame(drawStrips);
  }

  function see(look) {
    seen = unpacked(look);
    field.see(seen);
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
    const watching = steers() ? "" : "You are watching: whoever started it steers.";
    return [watching, batch ? said : "", message, notice].filter(Boolean).join(" ");
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
    find(".key").hidden = !may || ended();
    find('[data-do="end"]').disabled = ended();
    find("[data-open]").checked = head.open;
    const others = `${head.viewers} ${head.viewers === 1 ? "viewer" : "viewers"}.`;
    put(find(".watchers"), others);
    if (!seen) return;
    const units = seen.clusters.length;
    put(find('[data-number="twins"]'), String(seen.twins));
    put(find('[data-of="twins"]'), `of ${units} have a twin`);
    put(find('[data-number="adjusted"]'), share(seen.adjusted, 2));
    put(find('[data-of="adjusted"]'), `(chance ${share(seen.low, 2)} to ${share(seen.high, 2)})`);
    put(find('[data-number="accuracy"]'), share(seen.accuracy, 3));
    put(find('[data-number="dead"]'), String(seen.dead.reduce((sum, each) => sum + each, 0)));
    canvas.setAttribute("aria-label", spoken(seen, layer));
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

  // ---- the strips over time --------------------------------------------------------------------------------------------------

  const letters = () => parseFloat(getComputedStyle(root).fontSize);

  /** What the window has left below the top of an element, as long as the page is not scrolled. */
  const left = (element) => innerHeight - element.getBoundingClientRect().top - (document.getElementById("stMain")?.scrollTop ?? 0);

  /** Let the field and its legend end within the window, where they stand beside the strips. */
  function shapeField() {
    const wide = canvas.parentElement.clientWidth;
    const room = left(canvas) - find(".legend").offsetHeight - letters() / 2;
    shape = wide < NARROW ? 1.05 : 1.75;
    if (root.clientWidth >= BESIDE) shape = room > 0 ? Math.max(shape, Math.min(WIDEST, wide / room)) : WIDEST;
    const now = `${wide} ${Math.round(100 * shape)}`;
    if (now === sized) return;
    sized = now;
    field.resized();
  }

  function drawStrips() {
    if (!head?.epoch || !theme) return;
    const wide = strips.parentElement.clientWidth;
    if (!wide) return;
    const phone = root.clientWidth < NARROW;
    const size = phone ? PHONE_LETTERS : LETTERS * letters();
    const [start, right, gap, foot] = [3.4 * size, 10, 1.55 * size, 1.55 * size];
    const room = root.clientWidth < BESIDE ? Infinity : left(strips) - 4 * gap - foot - letters() / 2;
    const sum = phone ? 196 : Math.max(LOWEST * size, Math.min(HIGHEST * size, room));
    const heights = STRIPS.map((part) => (sum * part) / STRIPS.reduce((one, other) => one + other));
    const context = fit(strips, wide, sum + 4 * gap + foot);
    const span = Math.max(FEWEST_EPOCHS * head.epoch, head.step * 1.04);
    const x = (step) => start + (step / span) * (wide - start - right);
    context.font = `${size}px ${theme.font}`;
    context.textBaseline = "middle";
    const inks = Object.fromEntries(Object.entries(data.looks).map(([what, { colour }]) => [what, theme.lines(colour)]));
    const faint = theme.dark ? "rgba(255,255,255,.18)" : "rgba(0,0,0,.14)";
    let top = gap;

    function axes(title, low, high, texts, tall) {
      const y = (value) => top + ((high - value) / (high - low)) * tall;
      context.fillStyle = theme.text;
      context.textAlign = "left";
      context.fillText(title, start, top - 0.7 * size);
      context.textAlign = "right";
      for (const [value, text] of texts) {
        context.fillText(text, start - 0.45 * size, y(value));
        context.strokeStyle = faint;
        context.lineWidth = 1;
        context.beginPath();
        context.moveTo(start, y(value));
        context.lineTo(wide - right, y(value));
        context.stroke();
      }
      return y;
    }

    function line(points, what) {
      context.strokeStyle = inks[what];
      context.setLineDash(DASHES[data.looks[what].dash] ?? []);
      context.lineWidth = Math.max(2.5, 0.16 * size);
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
        context.fillText(text, Math.min(x(head.step) + 4, wide - context.measureText(text).width), y(rate) - (rate < 0.1 ? size / 2 : 0));
      }
      context.fillStyle = inks.acted;
      for (const [step] of pieces) {
        context.beginPath();
        context.moveTo(x(step), top + 0.5 * size);
        context.lineTo(x(step) - 0.34 * size, top - 1);
        context.lineTo(x(step) + 0.34 * size, top - 1);
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
    for (let epoch = 0; epoch <= epochs; epoch += every) context.fillText(String(epoch), x(epoch * head.epoch), top + 0.9 * size);
    context.textAlign = "right";
    context.fillText("epoch", start - 0.6 * size, top + 0.9 * size);
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
          [seen, history] = [null, []];
          field.clear();
          listen();
        });
        label.append(input, ` Layer ${number}`);
        return label;
      }),
    );
  }

  function onSize() {
    shapeField();
    requestAnimationFrame(drawStrips);
  }

  const resized = new ResizeObserver(onSize);

  root.addEventListener("click", onClick);
  document.addEventListener("keydown", onKey);
  find("[data-apart]").addEventListener("change", makeSliders);
  find("[data-open]").addEventListener("change", (event) => act({ do: "open", open: event.target.checked }));
  find("[data-pace]").addEventListener("change", (event) => {
    act({ do: "pace", pace: event.target.value === "" ? null : Number(event.target.value) });
    event.target.blur();
  });
  resized.observe(find(".stage"));
  addEventListener("resize", onSize);

  return {
    update(next) {
      theme = readTheme(root);
      root.toggleAttribute("data-dark", theme.dark);
      root.toggleAttribute("data-present", next.present);
      field.recolour();
      if (next.name !== data.name) {
        data = next;
        layer = data.layer;
        [head, pieces, history, seen] = [null, [], [], null];
        field.clear();
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
      requestAnimationFrame(drawStrips);
    },
    destroy() {
      feed?.close();
      resized.disconnect();
      document.removeEventListener("keydown", onKey);
      removeEventListener("resize", onSize);
      field.destroy();
      clearTimeout(saying);
      clearTimeout(aloud);
    },
  };
}
