/* The static side of explore(): shows precomputed frames. No dependency; works from file:// too. */
(function () {
  "use strict";
  const waiting = {};
  // A file of frames calls this. It is a script, not fetched data: browsers refuse fetch on file://.
  window.exploreFrames = (key, packed) => waiting[key] && waiting[key](packed);

  function packedFrames(tag) {
    const source = tag.dataset.src;
    if (!source) return Promise.resolve(tag.textContent);
    return new Promise((done, failed) => {
      waiting[tag.dataset.key] = done;
      const script = document.createElement("script");
      script.src = source;
      script.onerror = () => failed(new Error("cannot load " + source));
      document.head.append(script);
    });
  }

  async function unpack(tag) {
    const bytes = Uint8Array.from(atob(await packedFrames(tag)), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  }

  function control(axis, id) {
    let input;
    if (axis.kind === "select") {
      input = document.createElement("select");
      axis.stops.forEach((stop, i) => input.add(new Option(stop, i)));
    } else {
      input = document.createElement("input");
      input.type = axis.kind === "check" ? "checkbox" : "range";
    }
    if (axis.kind === "range") {
      input.min = 0;
      input.max = axis.stops.length - 1;
      input.step = 1;
    }
    if (axis.kind === "check") input.checked = Boolean(axis.at);
    else input.value = axis.at;
    input.id = id;
    return input;
  }

  function start(figure, number) {
    const tag = figure.querySelector('script[type="application/x-explore"]');
    if (!tag || figure.dataset.ready || typeof DecompressionStream === "undefined") return;
    figure.dataset.ready = "1";
    const axes = JSON.parse(figure.dataset.axes);
    const at = axes.map((axis) => axis.at);
    const view = figure.querySelector(".explore-view");
    const said = figure.querySelector(".explore-said");
    const box = figure.querySelector(".explore-controls");
    const alt = view.getAttribute("aria-label");
    let frames = null;
    const load = () => (frames = frames || unpack(tag));

    function show() {
      load().then(
        (doc) => {
          const i = axes.reduce((sum, axis, k) => sum * axis.stops.length + at[k], 0);
          view.innerHTML = doc.frm[i].map((element) => doc.tok[element]).join("");
          if (said) said.textContent = doc.txt[i];
          const values = axes.map((axis, k) => axis.name + " " + axis.stops[at[k]]);
          view.setAttribute("aria-label", alt + " (" + values.join(", ") + ")");
          figure.dataset.frame = i;
        },
        (error) => {
          frames = null; // the next touch tries again
          view.setAttribute("data-error", String(error));
        }
      );
    }

    axes.forEach((axis, k) => {
      const id = "explore-" + number + "-" + k;
      const row = document.createElement("div");
      const label = document.createElement("label");
      const input = control(axis, id);
      row.className = "explore-row";
      label.htmlFor = id;
      label.textContent = axis.name;
      row.append(label, input);
      let reading = null;
      if (axis.kind === "range") {
        reading = document.createElement("output");
        reading.htmlFor = id;
        row.append(reading);
      }
      const read = () => {
        if (!reading) return;
        reading.textContent = axis.stops[at[k]];
        input.setAttribute("aria-valuetext", axis.stops[at[k]]);
      };
      input.addEventListener("input", () => {
        at[k] = axis.kind === "check" ? Number(input.checked) : Number(input.value);
        read();
        show();
      });
      input.addEventListener("focus", load);
      input.addEventListener("pointerenter", load);
      read();
      box.append(row);
    });
    const note = document.createElement("p");
    note.className = "explore-note";
    note.textContent = tag.dataset.frames + " precomputed frames.";
    if (axes.some((axis) => axis.kind === "range"))
      note.textContent += " Run the notebook for every value in between.";
    box.append(note);
  }

  const startAll = () => document.querySelectorAll(".explore[data-axes]").forEach(start);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", startAll);
  else startAll();
})();
