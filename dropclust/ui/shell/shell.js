// What no element of Streamlit does: the key P, a clicker's keys, a skip link that moves the focus, one live region, a chart as a file.

let toggle = () => {}; // of the component that stands on the page now
let shown = { page: null, said: null, presenting: false };

const typing = (target) => target.closest?.("input, textarea, select, [contenteditable='true'], [role='textbox']");
const press = (selector) => document.querySelector(selector)?.click();

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || typing(event.target)) return;
  if (event.key === "p" || event.key === "P") toggle();
  else if (shown.presenting && event.key === "PageDown") press(".st-key-shell-next a");
  else if (shown.presenting && event.key === "PageUp") press(".st-key-shell-back a");
  else return;
  event.preventDefault();
}

/** A click on the skip link moves the focus; one on a chart's "SVG" or "PNG" makes the file from the chart as it stands. */
function click(event) {
  if (event.target.closest?.("[data-testid='stSkipToContent']")) {
    const main = document.getElementById("stMain");
    if (!main) return;
    event.preventDefault();
    main.tabIndex = -1;
    main.focus();
    return;
  }
  const button = event.target.closest?.(".picture-of");
  if (!button) return;
  const { chart, format } = button.dataset;
  const drawn = document.querySelector(`.st-key-${CSS.escape(chart)} .js-plotly-plot`);
  if (!drawn || !window.Plotly) return;
  const { width, height } = drawn.getBoundingClientRect();
  window.Plotly.downloadImage(drawn, { format, filename: chart, width, height, scale: 2 });
}

function region() {
  let said = document.querySelector(".dropclust-said");
  if (!said) {
    said = document.createElement("div");
    said.className = "dropclust-said";
    said.setAttribute("role", "status");
    said.setAttribute("aria-live", "polite");
    (document.getElementById("stMain") ?? document.body).append(said);
  }
  return said;
}

/** Called by Streamlit at the first mount, and again when the data changes. */
export default function ({ data, setTriggerValue }) {
  toggle = () => setTriggerValue("toggled", true);
  // The first sentence of a page is read with the page: only one that a control changed is news.
  // What was said stays until something else is: a page runs again by itself, and nobody would hear what was said before.
  if (data.page !== shown.page) region().textContent = "";
  else if (data.said !== shown.said) region().textContent = data.said;
  shown = data;
  if (!document.documentElement.dataset.dropclust) {
    document.documentElement.dataset.dropclust = "on";
    document.addEventListener("keydown", key);
    document.addEventListener("click", click);
  }
}
