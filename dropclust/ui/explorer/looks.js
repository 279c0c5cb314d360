// What all that draws neurons shares: bytes, shares, the page's colours, pictures. It is put before the script of each component
// that draws them, and knows none of these.

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** A share without its leading zero, as everywhere in the app. */
const share = (value, digits) => (value < 0 ? "−" : "") + Math.abs(value).toFixed(digits).replace(/^0/, "");

/** A cluster's name: a letter, for its neurons are drawn as digits; two of them beyond the 26th. */
const clusterName = (cluster) => String.fromCharCode(65 + (cluster % 26)).repeat(1 + Math.floor(cluster / 26));

// Okabe and Ito's colours, safe for colour-blind viewers. Beyond eight clusters they repeat; outline and letter tell them apart.
const PALETTE = {
  light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#2f8fca", "#b87d00", "#8a7c00", "#5a5a5a"],
  dark: ["#4aa3e0", "#f0783c", "#2cc495", "#e39ac4", "#8fd0f7", "#f0b030", "#f0e442", "#bdbdbd"],
};

// Of clusters whose colour is another's again: the second's outline is double, the next ones' are dashed.
const REPEATS = [[], [], [2, 4], [12, 4, 2, 4], [4, 3]];

/** Outline a cluster's region; `repeat` says how often its colour was there before. */
function outlineRegion(context, [x, y, w, h], radius, repeat) {
  context.setLineDash(REPEATS[repeat % REPEATS.length]);
  for (const inner of repeat === 1 ? [0, 4] : [0]) {
    context.beginPath();
    context.roundRect(x - inner, y - inner, w + 2 * inner, h + 2 * inner, radius + inner);
    context.stroke();
  }
  context.setLineDash([]);
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

/** The page's ground, also as [r, g, b], whether that is dark, its text's colour and its font. */
function pageOf(root) {
  const style = getComputedStyle(root);
  const background = style.getPropertyValue("--st-background-color").trim() || "#ffffff";
  const text = style.getPropertyValue("--st-text-color").trim() || "#31333f";
  const ground = rgb(background);
  return { background, text, ground, dark: luminance(ground) < 0.5, font: style.fontFamily };
}

/** The levels of a grey picture, and its size. */
async function greyLevels(blob) {
  const picture = await createImageBitmap(blob);
  const { width, height } = picture;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, levels: Uint8Array.from({ length: width * height }, (_, i) => data[4 * i]) };
}
