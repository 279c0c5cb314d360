// The drawing canvas in the browser: strokes of a pointer or of the arrow keys become MNIST's 784 numbers. It knows no network.

const CELLS = 28; // a side of MNIST's images
const BOX = 20; // a side of the box that MNIST scales a digit into
const CENTRE = 14; // MNIST moves by whole pixels: centres of mass lie from 14 up to 15 of 28, both ways, in all its test images
const SIDE = 560; // canvas pixels a side
const CELL = SIDE / CELLS;
const PEN = 2.4 * CELL; // about as wide as the strokes of a digit that fills MNIST's box
const BLOCK = 2 * CELL; // a side of what the keys paint and erase, and of their cursor: a stroke of about the pen's width
const LAST = CELLS - 2; // the block's last row and column
const REST = 300; // milliseconds without a key after which a walk counts as a stroke
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const drawings = new WeakMap();

/** Called by Streamlit at the first mount, and again when the data or the theme changes. */
export default function (component) {
  const { parentElement, data } = component;
  let drawing = drawings.get(parentElement);
  if (!drawing) {
    drawing = createDrawing(parentElement.querySelector(".drawing"), data.start);
    drawings.set(parentElement, drawing);
  }
  drawing.update((pixels) => component.setStateValue("pixels", pixels));
  return () => {
    drawings.delete(parentElement);
    drawing.destroy();
  };
}

const turned = (lines) => lines[0].map((_, at) => lines.map((line) => line[at]));

/** Where the ink of a picture's lines begins and ends, and where its mass lies. */
function extent(lines) {
  const mass = lines.map((line) => line.reduce((sum, ink) => sum + ink, 0));
  const total = mass.reduce((sum, each) => sum + each, 0);
  const middle = mass.reduce((sum, each, at) => sum + each * (at + 0.5), 0) / total;
  return { first: mass.findIndex((each) => each > 0), last: mass.findLastIndex((each) => each > 0) + 1, middle };
}

/** The mean ink under each of 28 cells along every line; the mass comes to the centre unless the ink would leave the field. */
function shrunk(lines, { first, last, middle }, scale) {
  const place = Math.ceil(CENTRE - (middle - first) * scale - 1e-6); // of the ink's first cell
  const origin = first - Math.max(0, Math.min(CELLS - Math.ceil((last - first) * scale - 1e-6), place)) / scale;
  return lines.map((line) =>
    Array.from({ length: CELLS }, (_, cell) => {
      const [from, to] = [origin + cell / scale, origin + (cell + 1) / scale];
      let ink = 0;
      for (let at = Math.max(0, Math.floor(from)); at < Math.min(SIDE, to); at++) {
        ink += line[at] * (Math.min(at + 1, to) - Math.max(at, from));
      }
      return ink * scale;
    }),
  );
}

/** A drawing as MNIST would hold it, 784 numbers row by row from 0 to 1 (ink); none where there is no ink. */
function asMnist(context) {
  const { data } = context.getImageData(0, 0, SIDE, SIDE);
  if (!data.some((value, at) => at % 4 === 3 && value)) return [];
  const rows = Array.from({ length: SIDE }, (_, y) => Array.from({ length: SIDE }, (_, x) => data[4 * (y * SIDE + x) + 3] / 255));
  const [down, across] = [extent(rows), extent(turned(rows))];
  const scale = BOX / Math.max(down.last - down.first, across.last - across.first);
  const narrow = shrunk(rows, across, scale);
  return turned(shrunk(turned(narrow), down, scale)).flat().map((ink) => Math.min(1, Math.round(ink * 1000) / 1000));
}

function createDrawing(root, start) {
  const [canvas, button, cursor, spoken] = ["canvas", "button", ".cursor", ".spoken"].map((each) => root.querySelector(each));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let report, last, timer;
  let [column, row] = [13, 13];

  const say = (what) => (spoken.textContent = `Row ${row + 1}, column ${column + 1}: ${what}.`);
  const block = () => [column * CELL, row * CELL, BLOCK, BLOCK];
  /** How much of the block under the cursor is inked. */
  const inked = () => {
    const opacities = context.getImageData(...block()).data.filter((_, at) => at % 4 === 3);
    if (opacities.every((each) => each > 127)) return "painted";
    return opacities.some((each) => each > 127) ? "partly painted" : "empty";
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
  };

  function line(from, to) {
    context.lineWidth = PEN;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(to[0], to[1] + 0.01); // a line of no length would leave no dot
    context.stroke();
    root.toggleAttribute("data-drawn", true);
  }

  function walk(right, down) {
    column = Math.min(LAST, Math.max(0, column + right));
    row = Math.min(LAST, Math.max(0, row + down));
    cursor.style.translate = `${column * 50}% ${row * 50}%`;
  }

  function send() {
    clearTimeout(timer);
    timer = undefined;
    const pixels = asMnist(context);
    root.toggleAttribute("data-drawn", pixels.length > 0);
    report(pixels);
  }

  canvas.onpointerdown = (event) => {
    if (!event.isPrimary || event.button) return;
    canvas.setPointerCapture(event.pointerId);
    last = place(event);
    line(last, last);
  };
  canvas.onpointermove = (event) => {
    if (!last || !event.isPrimary) return;
    for (const each of [...event.getCoalescedEvents(), event]) line(last, (last = place(each)));
  };
  canvas.onlostpointercapture = (event) => {
    if (!last || !event.isPrimary) return;
    last = undefined;
    send();
  };
  canvas.onkeydown = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || !(WAYS[event.key] || event.key === " ")) return;
    event.preventDefault();
    const paints = event.key === " " || event.shiftKey;
    if (event.key === " " && inked() === "painted") context.clearRect(...block());
    else if (paints) context.fillRect(...block());
    if (WAYS[event.key]) walk(...WAYS[event.key]);
    if (WAYS[event.key] && paints) context.fillRect(...block());
    if (paints) {
      root.toggleAttribute("data-drawn", true);
      clearTimeout(timer);
      timer = setTimeout(send, REST);
    }
    say(inked());
  };
  button.onclick = () => {
    context.clearRect(0, 0, SIDE, SIDE);
    spoken.textContent = "The canvas is empty.";
    send();
  };

  start.forEach((ink, at) => {
    context.globalAlpha = ink;
    context.fillRect((at % CELLS) * CELL, Math.floor(at / CELLS) * CELL, CELL, CELL);
  });
  context.globalAlpha = 1;
  root.toggleAttribute("data-drawn", start.length > 0);
  walk(0, 0);

  return {
    update(next) {
      report = next;
      // The ink is the canvas's opacity: another theme colours it anew.
      context.strokeStyle = context.fillStyle = getComputedStyle(root).color;
      context.globalCompositeOperation = "source-in";
      context.fillRect(0, 0, SIDE, SIDE);
      context.globalCompositeOperation = "source-over";
    },
    destroy: () => clearTimeout(timer),
  };
}
