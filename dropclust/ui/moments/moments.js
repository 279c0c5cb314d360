// The neurons of four networks at the moments of a time slider. Fetches them once, and computes no result.

const PACE = 1100; // milliseconds from one moment to the next when it plays
const FIRST = 2; // of the courses, where one is shown: dropout that is switched on

const mounted = new WeakMap();

/** What a tile shows: of the first layer the weights from the image, of the others those to what comes after. */
const tileWords = (layer) =>
  layer === 1
    ? "a tile is a neuron, drawn as its weights from the image: ink on orange excites it, on blue calms it"
    : `a tile is a neuron, drawn as its weights to the ${layer === 3 ? "digits" : "next layer"}: orange excites, blue calms`;

/** Called by Streamlit at the first mount, and again when the data or the theme changes. */
export default function (component) {
  const { parentElement, data } = component;
  let moments = mounted.get(parentElement);
  if (!moments) {
    moments = createMoments(parentElement.querySelector(".moments"));
    mounted.set(parentElement, moments);
  }
  moments.update(data);
  return () => {
    mounted.delete(parentElement);
    moments.destroy();
  };
}

function createMoments(root) {
  const find = (selector) => root.querySelector(selector);
  const slider = find("input[type=range]");
  const play = find(".play");
  let theme = null;
  let file = "";
  let told = null; // what was fetched
  let courses = []; // a field each, with what is written beside it
  let chosen = FIRST;
  let playing = 0;

  async function load(address) {
    file = address;
    try {
      const answer = await fetch(address);
      if (!answer.ok) throw new Error(String(answer.status));
      const text = await new Response(answer.body.pipeThrough(new DecompressionStream("gzip"))).text();
      if (file !== address) return; // another layer was chosen
      const before = told;
      told = JSON.parse(text);
      for (const { looks } of told.courses) looks.forEach((look, at) => (looks[at] = unpacked(look)));
      find(".told").hidden = true;
      slider.max = told.examples.length - 1;
      if (!before) slider.value = told.examples.length - 1;
      make();
      show();
    } catch {
      const line = find(".told");
      line.hidden = false;
      line.textContent = "The neurons could not be fetched: load the page again.";
    }
  }

  function make() {
    for (const { field } of courses) field.destroy();
    courses = told.courses.map(({ name }, at) => {
      const figure = document.createElement("figure");
      const caption = document.createElement("figcaption");
      const [title, counts] = [document.createElement("b"), document.createElement("span")];
      const lying = new Map(); // by the field's aspect, where the neurons of each look lie
      const lies = (look, aspect) => {
        const { looks } = told.courses[at];
        if (!lying.has(aspect)) lying.set(aspect, arrangedInOrder(looks, aspect));
        return lying.get(aspect)[looks.indexOf(look)];
      };
      const box = document.createElement("div");
      const canvas = document.createElement("canvas");
      figure.className = "course";
      figure.classList.toggle("chosen", at === chosen);
      title.textContent = name[0].toUpperCase() + name.slice(1);
      box.className = "field";
      canvas.setAttribute("role", "img");
      caption.append(title, counts);
      box.append(canvas);
      figure.append(caption, box);
      const field = createField(canvas, () => theme, (wide) => (wide < 420 ? 1.25 : 2), lies);
      return { figure, counts, canvas, field, drawn: -1 };
    });
    find(".fields").replaceChildren(...courses.map(({ figure }) => figure));
    find(".which").replaceChildren(
      ...told.courses.map(({ name }, at) => {
        const label = document.createElement("label");
        const input = document.createElement("input");
        Object.assign(input, { type: "radio", name: "dropclust-course", value: at, checked: at === chosen });
        input.addEventListener("change", () => {
          chosen = at;
          courses.forEach(({ figure }, other) => figure.classList.toggle("chosen", other === chosen));
        });
        label.append(input, ` ${name}`);
        return label;
      }),
    );
    for (const { canvas } of courses) resized.observe(canvas.parentElement);
    find(".tile-words").textContent = tileWords(told.layer);
    const last = told.examples.length - 1;
    find(".marks").replaceChildren(
      ...told.examples.map((images, at) => {
        const mark = document.createElement("i");
        mark.style.left = `${(100 * at) / last}%`;
        mark.classList.toggle("switch", images === told.switch);
        const named = { 0: whole(images), [last]: `${whole(images)} images` }[at];
        mark.textContent = images === told.switch ? "switch" : (named ?? "");
        return mark;
      }),
    );
  }

  function when(at) {
    const [shown, after] = [told.examples[at], told.examples[at] - told.switch];
    const where = after < 0 ? `${whole(-after)} before the switch` : after ? `${whole(after)} after the switch` : "the switch";
    return `After ${whole(shown)} images: ${where}`;
  }

  function show() {
    const at = Number(slider.value);
    find(".when").textContent = when(at);
    slider.setAttribute("aria-valuetext", when(at));
    root.dataset.moment = String(at);
    courses.forEach((course, number) => {
      const look = told.courses[number].looks[at];
      const dead = look.dead.reduce((sum, each) => sum + each, 0);
      course.counts.textContent =
        `${look.twins} have a twin · adjusted Rand ${share(look.adjusted, 2)}` + (dead ? ` · ${dead} dead` : "");
      course.canvas.setAttribute("aria-label", `${told.courses[number].name}. ${spoken(look, told.layer)}`);
      course.field.see(look);
      course.drawn = at;
      levelsOf(look.picture).then((levels) => {
        if (course.drawn === at) course.field.picture(levels);
      });
    });
  }

  function stop() {
    clearInterval(playing);
    playing = 0;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  }

  function start() {
    if (!told) return;
    if (Number(slider.value) === Number(slider.max)) slider.value = 0;
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
    show();
    playing = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (Number(slider.value) === Number(slider.max)) stop();
    }, PACE);
  }

  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) courses.find(({ canvas }) => canvas.parentElement === target)?.field.resized();
  });

  play.addEventListener("click", () => (playing ? stop() : start()));
  slider.addEventListener("input", () => {
    if (!told) return;
    stop();
    show();
  });

  return {
    update(data) {
      theme = readTheme(root);
      root.toggleAttribute("data-dark", theme.dark);
      for (const { field } of courses) field.recolour();
      if (data.file !== file) load(data.file);
    },
    destroy() {
      file = "";
      stop();
      resized.disconnect();
      for (const { field } of courses) field.destroy();
    },
  };
}
