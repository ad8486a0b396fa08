// Two things to do with the model, and the page's beginning.
"use strict";

// A guessing game: the word is hidden before anybody sees it.
const game = {};

function startGame() {
  const order = given.game.map(sentence => [Math.random(), sentence]).sort(([a], [b]) => a - b);
  Object.assign(game, {left: order.slice(0, 5).map(([, sentence]) => sentence), asked: 0, yours: 0, models: 0});
  nextRound();
}

function nextRound() {
  const {text, position} = game.left.pop();
  Object.assign(game, {words: splitWords(text), position, asked: game.asked + 1});
  const gap = make("b", {class: "mt-gap", role: "img", "aria-label": "blank"}, "?");
  const space = word => /^([.,;:!?]|'\p{L}+)$/u.test(word) ? "" : " ";
  byId("game-sentence").replaceChildren(...game.words.flatMap((word, i) => [space(word), i === position ? gap : wordOf(word)]));
  byId("game-told").replaceChildren(`Sentence ${game.asked} of 5. Which word is missing?`);
  byId("game-guess").value = "";
  byId("game-form").hidden = false;
  byId("game-next").hidden = true;
  byId("game-start").hidden = true;
  byId("game-guess").focus();
}

function reveal() {
  const [guess] = splitWords(byId("game-guess").value), {words, position} = game;
  if (guess === undefined) return;
  byId("game-form").hidden = true;
  ask(state.model, words, position, false, answer => {
    const {top, word, target} = verdict(words, position, answer), [[said]] = top;
    const yours = guess.toLowerCase() === word.toLowerCase(), models = said === target;
    game.yours += yours;
    game.models += models;
    const near = !yours && top.some(([one]) => one.toLowerCase() === guess.toLowerCase());
    byId("game-sentence").querySelector(".mt-gap").replaceWith(make("b", {class: "mt-gap"}, word));
    byId("game-told").replaceChildren(
      "It was ", strong(word), ". You said ", strong(guess), yours ? ": right. " : ": wrong. ",
      near ? "It was among the model's first five, a near miss. " : "",
      "The model said ", strong(said), `, ${percent(top[0][1])}: `,
      models ? "right. " : "wrong. ", `After ${game.asked} of 5: you ${game.yours}, the model ${game.models}.`);
    const over = !game.left.length;
    byId(over ? "game-start" : "game-next").hidden = false;
    byId(over ? "game-start" : "game-next").focus();
    if (over) byId("game-start").textContent = "Play again";
  });
}

// Another word in the place of one: the answer before and after.
function renderChange() {
  const options = state.words.map((word, i) => make("option", {value: i}, short(word)));
  byId("change-word").replaceChildren(...options.filter((_, i) => i !== state.position));
  byId("change-told").replaceChildren();
}

function compare() {
  const [by, ...rest] = splitWords(byId("change-by").value), {words, position} = state;
  const place = Number(byId("change-word").value), before = shown;
  if (by === undefined || rest.length) return byId("change-told").replaceChildren("Type one word.");
  if (!before.answer) return;
  const changed = words.with(place, by);
  ask(state.model, changed, position, false, answer => {
    if (before !== shown) return;
    const {verdict: was} = before, after = verdict(changed, position, answer);
    const p = answer.chance_V[idOf.get(was.target)];
    const keep = button("Go on with this sentence", {}, () => {
      byId("text").value = changed.join(" ");
      read(byId("text").value, position);
    });
    const side = (top, ...caption) => make("section", {}, guessesTable(top, make("span", {}, ...caption)));
    byId("change-told").replaceChildren(
      make("p", {}, strong(was.target), ` goes from ${percent(was.p)} to ${percent(p)}: ${points(p - was.p)} points.`),
      make("div", {class: "mt-cards"}, side(was.top, "Before, with ", strong(words[place])),
        side(after.top, "After, with ", strong(by))), keep);
  });
}

// The beginning.
const onSubmit = (id, act) => byId(id).addEventListener("submit", event => {
  event.preventDefault();
  act();
});
onSubmit("sentence", () => read(byId("text").value));
onSubmit("own-form", scoreGuess);
onSubmit("game-form", reveal);
onSubmit("change-form", compare);
byId("own").addEventListener("input", scoreGuess);
byId("game-start").addEventListener("click", startGame);
byId("game-next").addEventListener("click", nextRound);
byId("change").addEventListener("toggle", renderChange);
byId("examples").append(...given.examples.map(({label}, i) => make("option", {value: i}, label)));
byId("examples").addEventListener("change", ({target}) => {
  const {text, position} = given.examples[target.value];
  target.value = ""; // so that the same one can be chosen again
  byId("text").value = text;
  read(text, position);
});
// The arrow keys go from word to word, as the Tab key does.
byId("words").addEventListener("keydown", event => {
  const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
  const words = [...byId("words").querySelectorAll("button")], next = words[words.indexOf(event.target) + step];
  if (!next) return;
  next.focus();
  event.preventDefault();
});
if (matchMedia("(max-width: 999px)").matches) for (const fold of byId("needs").querySelectorAll("details")) fold.open = false;

/** Is called as soon as the first model's weights are there; others may still arrive. */
function begin() {
  const simd = !new URLSearchParams(location.search).has("slow"); // to see the page without it
  worker.postMessage({kernel: Uint8Array.from(atob(given.kernel), c => c.charCodeAt(0)), simd});
  Object.assign(state, given.start);
  byId("text").value = given.start.text;
  renderControls();
  read(given.start.text, given.start.position);
}
