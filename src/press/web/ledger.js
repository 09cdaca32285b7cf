/* Filters and search over the ledger. Without it the page is a plain table. */
(function () {
  "use strict";
  const table = document.querySelector("table.ledger");
  const place = document.querySelector(".ledger-controls");
  if (!table || !place) return;
  const rows = [...table.tBodies[0].rows];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const choices = JSON.parse(place.dataset.choices);
  const chosen = {};

  function apply() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => {
      const fits =
        Object.values(chosen).every((name) => !name || row.classList.contains(name)) &&
        words.every((word) => texts[i].includes(word));
      row.hidden = !fits;
      shown += fits;
    });
    count.textContent = shown + " of " + rows.length + " claims";
  }

  function field(label, input) {
    const box = document.createElement("label");
    box.append(label, input);
    ["input", "change"].forEach((event) => input.addEventListener(event, apply));
    place.append(box);
    return input;
  }

  choices.forEach(([label, options]) => {
    const select = document.createElement("select");
    select.add(new Option("all", ""));
    options.forEach(([name, text]) => select.add(new Option(text, name)));
    const choose = () => (chosen[label] = select.value);
    ["input", "change"].forEach((event) => select.addEventListener(event, choose));
    field(label, select);
  });
  const search = document.createElement("input");
  search.type = "search";
  field("search", search);
  const count = document.createElement("output");
  count.setAttribute("aria-live", "polite");
  place.append(count);
  apply();
})();
