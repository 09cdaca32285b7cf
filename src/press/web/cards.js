/* Flashcards: shuffle, and repeat when due. The schedule is FSRS (ts-fsrs, beside this file), kept in
   this browser only; it can be taken to another one. Without scripts the cards still unfold. */
(function () {
  "use strict";
  const STORE = "dlnotes-cards";
  const library = new URL("../vendor/ts-fsrs.js", document.currentScript.src).href;
  const GRADES = [["Again", 1], ["Hard", 2], ["Good", 3], ["Easy", 4]];
  let loading = null;

  function scheduler() {
    // Read when the first card is graded: most visits grade none.
    loading = loading || new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = library;
      script.onload = () => done(window.FSRS);
      script.onerror = () => failed(new Error("cannot load " + library));
      document.head.append(script);
    });
    return loading;
  }

  function read() {
    try {
      return JSON.parse(localStorage.getItem(STORE)) || {};
    } catch {
      return {}; // a browser that keeps nothing, or what it kept is broken: start anew
    }
  }
  const write = (state) => localStorage.setItem(STORE, JSON.stringify(state));
  const isDue = (id, now) => {
    const card = read()[id];
    return !card || new Date(card.due) <= now;
  };

  function button(text, act, place) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", act);
    place.append(made);
    return made;
  }

  async function grade(card, rating, deck) {
    const { fsrs, createEmptyCard } = await scheduler();
    const state = read(), now = new Date();
    const { card: next } = fsrs().next(state[card.id] || createEmptyCard(now), now, rating);
    write({ ...state, [card.id]: next });
    card.open = false;
    deck.refresh();
    deck.say("Next: " + new Date(next.due).toLocaleString());
  }

  function addGrades(card, deck) {
    const row = document.createElement("div");
    row.className = "card-grades";
    row.setAttribute("role", "group");
    row.setAttribute("aria-label", "How well did you know it?");
    GRADES.forEach(([name, rating]) => button(name, () => grade(card, rating, deck), row));
    card.append(row);
  }

  function start(place) {
    const cards = [...place.querySelectorAll("details.flashcard")];
    if (!cards.length) return;
    const bar = document.createElement("div");
    bar.className = "card-bar";
    const status = document.createElement("output");
    status.setAttribute("aria-live", "polite");
    const deck = {
      onlyDue: false,
      say: (text) => (status.textContent = text),
      refresh() {
        const now = new Date();
        const due = cards.filter((card) => isDue(card.id, now));
        cards.forEach((card) => (card.hidden = deck.onlyDue && !due.includes(card)));
        place.querySelectorAll("[data-card-group]").forEach((group) => {
          const mine = group.querySelectorAll("details.flashcard:not([hidden])");
          group.hidden = deck.onlyDue && !mine.length;
        });
        deck.say(due.length + " of " + cards.length + " cards are due");
      },
    };
    button("Shuffle", () => {
      const groups = new Map();
      cards.forEach((card) => groups.set(card.parentNode, [...(groups.get(card.parentNode) || []), card]));
      groups.forEach((mine, parent) => {
        for (let i = mine.length - 1; i > 0; i--) {
          const j = Math.floor(Math.random() * (i + 1));
          [mine[i], mine[j]] = [mine[j], mine[i]];
        }
        mine.forEach((card) => parent.append(card));
      });
    }, bar);
    const toggle = button("Only due", () => {
      deck.onlyDue = !deck.onlyDue;
      toggle.setAttribute("aria-pressed", deck.onlyDue);
      deck.refresh();
    }, bar);
    toggle.setAttribute("aria-pressed", "false");
    button("Export progress", () => {
      const link = document.createElement("a");
      const text = JSON.stringify(read(), null, 1);
      link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
      link.download = "dlnotes-cards.json";
      link.click();
      URL.revokeObjectURL(link.href);
    }, bar);
    const file = document.createElement("input");
    file.type = "file";
    file.accept = "application/json";
    file.hidden = true;
    file.addEventListener("change", async () => {
      try {
        const state = JSON.parse(await file.files[0].text());
        const sound = state && !Array.isArray(state) && typeof state === "object" &&
          Object.values(state).every((card) => card && !isNaN(new Date(card.due)));
        if (!sound) throw new Error("it holds no schedule of cards");
        write({ ...read(), ...state });
        deck.refresh();
      } catch (error) {
        deck.say("This file was not taken: " + error.message);
      }
      file.value = "";
    });
    bar.append(file);
    button("Import progress", () => file.click(), bar);
    bar.append(status);
    place.prepend(bar);
    cards.forEach((card) => addGrades(card, deck));
    deck.refresh();
  }

  /* A quiz question: the options are radio buttons; a choice is judged and explained at once. */
  function startQuiz(question) {
    const right = question.dataset.right;
    const verdict = question.querySelector(".quiz-verdict");
    question.querySelectorAll("li").forEach((item, i) => {
      const label = document.createElement("label"), input = document.createElement("input");
      input.type = "radio";
      input.name = question.id;
      label.append(input, ...item.childNodes);
      item.append(label);
      input.addEventListener("change", () => {
        const hit = String(i) === right;
        question.querySelectorAll("li").forEach((one) => one.removeAttribute("data-judged"));
        item.dataset.judged = hit ? "right" : "wrong";
        verdict.textContent = hit ? "Right." : "No.";
        question.querySelector("details").open = true;
      });
    });
  }

  function startAll() {
    document.querySelectorAll(".cards").forEach(start);
    document.querySelectorAll(".quiz-question").forEach(startQuiz);
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", startAll);
  else startAll();
})();
