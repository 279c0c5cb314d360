// What no element of Streamlit does: keys for a lecture, the whole screen, a skip link that moves the focus, one live region,
// a chart as a file, names at the ends of its lines or in a legend.

let toggle = () => {}; // of the component that stands on the page now
let shown = { page: null, said: null, presenting: false };

// A slider is an input too, and nothing is typed into it.
const typing = (target) =>
  target.closest?.("input:not([type=range], [type=checkbox], [type=radio]), textarea, select, [contenteditable='true'], [role='textbox']");
const press = (selector) => document.querySelector(selector)?.click();
const panel = () => document.querySelector(".st-key-shell-link details");
const inFront = () => document.querySelector("[data-testid='stDialog'], [data-testid='stPopoverBody'], [role='listbox'], [role='menu']");

const turnPanel = () => press(".st-key-shell-link summary");

function fillScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen?.().catch(() => {}); // a frame around the page may forbid it
}

/** The keys of a lecture; Escape takes away what is in front before it ends the presentation. */
function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || typing(event.composedPath()[0])) return;
  const letter = event.key.toLowerCase();
  if (letter === "p") {
    if (panel()?.open) turnPanel(); // it would stand before the presentation
    toggle();
  }
  else if (letter === "f") fillScreen();
  else if (letter === "l" && panel()) turnPanel();
  else if (event.key === "Escape" && panel()?.open && !inFront()) turnPanel();
  else if (shown.presenting && event.key === "Escape" && !inFront()) toggle();
  else if (panel()?.open) return; // it stands before the page
  else if (shown.presenting && event.key === "PageDown") press(".st-key-shell-foot .stPageLink a");
  else if (shown.presenting && event.key === "PageUp") press(".st-key-shell-back a");
  else return;
  event.preventDefault();
}

/** A clicker turns pages wherever the focus is: a slider of Streamlit's would take its keys for its own. */
function clicker(event) {
  if (!shown.presenting || inFront() || panel()?.open || !event.target.closest?.("input[type=range]")) return;
  const way = { PageDown: ".st-key-shell-foot .stPageLink a", PageUp: ".st-key-shell-back a" }[event.key];
  if (!way) return;
  event.preventDefault();
  event.stopPropagation();
  press(way);
}

/**
 * A click on the skip link moves the focus; a link to the same page keeps the session; one on a chart's "SVG" or "PNG" makes the
 * file from the chart as it stands.
 */
function click(event) {
  if (event.target.closest?.("[data-testid='stSkipToContent']")) {
    const main = document.getElementById("stMain");
    if (!main) return;
    event.preventDefault();
    main.tabIndex = -1;
    main.focus();
    return;
  }
  const link = event.target.closest?.("[data-testid='stMain'] a[href^='?']");
  if (link && !link.closest(".stPageLink") && !event.button && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey) {
    // This page with other parameters: the session, with its guess and its step of the tour, stays.
    event.preventDefault();
    history.pushState(null, "", new URL(link.getAttribute("href"), location.href));
    dispatchEvent(new PopStateEvent("popstate"));
    return;
  }
  // On a phone the list of pages lies over the page that was just chosen.
  if (event.target.closest?.("[data-testid='stSidebarNavLink']") && innerWidth < 768)
    setTimeout(() => press("[data-testid='stSidebarCollapseButton'] button"), 0);
  if (event.target.closest?.(".full-screen")) return fillScreen();
  const button = event.target.closest?.(".picture-of");
  if (!button) return;
  const { chart, format } = button.dataset;
  const drawn = document.querySelector(`.st-key-${CSS.escape(chart)} .js-plotly-plot`);
  if (!drawn || !window.Plotly) return;
  const { width, height } = drawn.getBoundingClientRect();
  window.Plotly.downloadImage(drawn, { format, filename: chart, width, height, scale: 2 });
}

const fitted = ({ layout }) => layout?.meta?.least;
const roomy = ({ layout: { meta, width, height } }) => width >= meta.least[0] && height >= meta.least[1];
const named = ({ layout: { meta } }) => meta.wide.showlegend === false; // at its lines' ends, where it is wide

/** A chart and those beside it; alone where it fills the screen. */
function row(chart) {
  const around = chart.closest("[data-testid='stHorizontalBlock']");
  if (!around || chart.layout.width > around.clientWidth) return [chart];
  return [...around.querySelectorAll(".js-plotly-plot")].filter(fitted);
}

/** Show that of each chart's two layouts which suits its size (dropclust/ui/figures/fit.py lays them out); beside a legend, a legend. */
function suit(chart) {
  if (!fitted(chart) || !window.Plotly) return;
  const charts = row(chart);
  const names = charts.every((each) => named(each) && roomy(each));
  for (const each of charts) {
    const { meta } = each.layout;
    const wanted = roomy(each) && (names || !named(each)) ? "wide" : "narrow";
    if (meta.shown !== wanted) window.Plotly.relayout(each, meta[wanted]);
  }
}

function suitNew() {
  for (const chart of document.querySelectorAll(".js-plotly-plot:not([data-suited])")) {
    if (!chart.on) continue;
    chart.dataset.suited = "on";
    chart.on("plotly_afterplot", () => suit(chart));
    suit(chart);
  }
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

/** Write into the address what came along to the page, in the place of its entry in the browser's history. */
function takeAlong(along) {
  const url = new URL(location.href);
  for (const [name, text] of Object.entries(along)) if (!url.searchParams.has(name)) url.searchParams.set(name, text);
  if (url.href !== location.href) history.replaceState(history.state, "", url);
}

/** Called by Streamlit at the first mount, and again when the data changes. */
export default function ({ data, setTriggerValue }) {
  toggle = () => setTriggerValue("toggled", true);
  if (data.page !== shown.page) takeAlong(data.along);
  // The first sentence of a page is read with the page: only one that a control changed is news.
  // What was said stays until something else is: a page runs again by itself, and nobody would hear what was said before.
  if (data.page !== shown.page) region().textContent = "";
  else if (data.said !== shown.said) region().textContent = data.said;
  // What one sees first of a page, and a room of a presentation, is its beginning, wherever one had scrolled to before.
  if ((shown.page && data.page !== shown.page) || (data.presenting && !shown.presenting))
    document.getElementById("stMain")?.scrollTo({ top: 0 });
  shown = data;
  if (!document.documentElement.dataset.dropclust) {
    document.documentElement.dataset.dropclust = "on";
    document.addEventListener("keydown", clicker, true);
    document.addEventListener("keydown", key);
    document.addEventListener("click", click);
    new MutationObserver(suitNew).observe(document.body, { childList: true, subtree: true });
    suitNew();
  }
}
