// What a reader sees and touches. All that is shown follows from `state`; the worker is
// asked for what is not known yet.
"use strict";

const byId = id => document.getElementById(id);
const given = JSON.parse(byId("given").textContent); // models, words, patterns, start, …
const BLANK = "___", UNK = 1, CLS = 2, SEP = 3, STRONGEST = 0.8; // of a colour behind text
const idOf = new Map(given.words.map((word, id) => [word, id]).slice(SPECIALS));
const nWords = idOf.size, longestText = given.models[0].config.max_length - 2;
const state = {words: [], position: 0, layer: "", head: "", paint: "attention", model: given.models[0].name};
const known = new Map(); // answers by question
let shown = {}; // the answer that is on the page: its question, and what is known of it

// Words and numbers as people read them.
const percent = share => share > 0.9995 || share === 0 ? `${Math.round(100 * share)} %`
  : share < 0.0005 ? "below 0.1 %" : `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
const points = change => Math.abs(change) < 0.0005 ? "0.0" : `${change < 0 ? "−" : "+"}${Math.abs(100 * change).toFixed(1)}`;
const short = word => [...word].length > 24 ? [...word].slice(0, 23).join("") + "…" : word;

/** An element with attributes and children; text is never read as HTML. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
const wordOf = word => make("bdi", {}, short(word));
const strong = word => make("b", {}, wordOf(word));
const bar = share => make("i", {class: "mt-bar", style: `--w:${share.toFixed(3)}`});
const button = (label, attributes, act) => {
  const made = make("button", {type: "button", ...attributes}, label);
  made.addEventListener("click", act);
  return made;
};

// The worker, made of the scripts of this very page, so that no other file is needed.
const scripts = ["product", "engine", "worker"].map(id => byId(id).textContent).join("\n");
const patterns = `const PATTERNS = ${JSON.stringify(given.patterns)};\n`;
const worker = new Worker(URL.createObjectURL(new Blob([patterns, scripts], {type: "text/javascript"})));
const waiting = new Map(), loaded = new Set(); // what is to be done with an answer, by tag
let lastTag = 0;

worker.addEventListener("message", ({data: {tag, ...answer}}) => waiting.get(tag)?.(answer));
worker.addEventListener("error", event => tell(`The model cannot run here: ${event.message}`));

/** Asks a model about the token `at`; `done` is called with each part of the answer. */
function ask(name, words, at, needs, done) {
  if (!loaded.has(name)) {
    const number = given.models.findIndex(model => model.name === name);
    const codes = new TextEncoder().encode(byId(`weights-${number}`).textContent);
    worker.postMessage({...given.models[number], codes}, [codes.buffer]);
    loaded.add(name);
  }
  const ids = [CLS, ...words.map(word => word === BLANK ? MASK : idOf.get(word) ?? UNK), SEP];
  const target = ids[at + 1] > MASK ? ids[at + 1] : undefined, tag = ++lastTag;
  ids[at + 1] = MASK;
  waiting.set(tag, done);
  worker.postMessage({tag, name, ids, at: at + 1, target, needs});
  return tag;
}

/** The best guesses, and the word that stood there: all that sentences are made of. */
function verdict(words, at, {chance_V}) {
  const order = [...chance_V.keys()].sort((a, b) => chance_V[b] - chance_V[a]);
  const true_ = idOf.get(words[at]), target = true_ ?? order[0];
  return {
    top: order.slice(0, 5).map(id => [given.words[id], chance_V[id]]),
    word: words[at], blank: words[at] === BLANK, known: true_ !== undefined,
    rank: order.indexOf(true_) + 1, p: chance_V[target], target: given.words[target],
  };
}

/** "The model says her, 66 %. The word that stood there: her. Right." */
function inWords({top: [[guess, p]], word, blank, known, rank, p: pTrue}) {
  const said = ["The model says ", strong(guess), `, ${percent(p)}. `];
  if (blank) return [...said, "You left a blank, so no word is right or wrong."];
  said.push("The word that stood there: ", strong(word));
  if (!known) return [...said, `. The model does not know it: it is not among its ${nWords.toLocaleString("en")} words.`];
  if (rank === 1) return [...said, ". Right."];
  const place = `, guess number ${rank.toLocaleString("en")}, ${percent(pTrue)}. `;
  return [...said, place, rank <= 5 ? "Wrong, but a near miss: it is among the first five." : "Wrong."];
}

function guessesTable(top, caption) {
  const rows = top.map(([word, p]) => make("tr", {"data-word": word, "data-p": p.toFixed(8)},
    make("th", {scope: "row"}, wordOf(word)), make("td", {}, percent(p)), make("td", {class: "mt-bars"}, bar(p))));
  return make("table", {class: "mt-top"}, make("caption", {}, caption), make("tbody", {}, ...rows));
}

/** Attention of the masked word over all tokens, as the controls say. */
function attention({looks_NHS, rollout_S}) {
  if (state.layer === "rollout") return rollout_S;
  const layers = state.layer === "" ? looks_NHS : [looks_NHS[state.layer]];
  const rows = layers.flatMap(looks_HS => state.head === "" ? looks_HS : [looks_HS[state.head]]);
  return rollout_S.map((_, s) => rows.reduce((sum, look_S) => sum + look_S[s], 0) / rows.length);
}

// The sentence.
function renderWords() {
  const buttons = state.words.map((word, i) => button(wordOf(word), {"data-position": i}, () => choose(i)));
  byId("words").replaceChildren(make("span", {class: "mt-special", title: "[CLS], a mark before each sentence"}, "start"),
    ...buttons, make("span", {class: "mt-special", title: "[SEP], a mark after each sentence"}, "end"));
}

/** Colours behind the words: blue for attention, orange and green for what was needed. */
function paintWords() {
  const {answer} = shown, need = state.paint === "need" && answer.chance_W;
  const share_S = attention(answer), {p} = shown.verdict;
  const change_S = need ? [0, ...answer.chance_W.map(after => after - p), 0] : [];
  const most = need ? Math.max(0.01, ...change_S.map(Math.abs)) : Math.max(...share_S);
  [...byId("words").children].forEach((token, s) => {
    const i = s - 1, value = need ? Math.abs(change_S[s]) : share_S[s];
    const word = state.words[i], isHidden = i === state.position;
    const unknown = word !== undefined && word !== BLANK && !idOf.has(word);
    token.classList.toggle("mt-ring", isHidden);
    token.classList.toggle("mt-unknown", unknown);
    token.classList.toggle("mt-fall", need && change_S[s] < 0);
    token.classList.toggle("mt-rise", need && change_S[s] > 0);
    token.style.setProperty("--a", (STRONGEST * value / most).toFixed(3));
    if (word === undefined) return;
    token.setAttribute("aria-pressed", isHidden);
    const told = need ? `${points(change_S[s])} points without it` : `attention ${percent(value)}`;
    token.title = [short(word), isHidden && "hidden", unknown && "unknown to the model", told].filter(Boolean).join(", ");
  });
  byId("scale").replaceChildren(...(need ? [
    make("span", {class: "mt-key mt-fall"}), " The answer needed it: without the word, ",
    strong(shown.verdict.target), ` loses up to ${(100 * most).toFixed(1)} points (hundredths of probability). `,
    make("span", {class: "mt-key mt-rise"}), " It was better off without."] : [
    make("span", {class: "mt-ramp"}), ` Where the model looked from the hidden word: 0 to ${percent(most)}.`,
    ` Even attention would be ${percent(1 / share_S.length)}.`]));
}

function renderAnswer() {
  const {answer, model, words, position} = shown;
  shown.verdict = verdict(words, position, answer);
  byId("verdict").replaceChildren(...inWords(shown.verdict));
  byId("guesses").replaceChildren(guessesTable(shown.verdict.top, "Its five best guesses"));
  for (const part of document.querySelectorAll(".mt-stale")) part.classList.remove("mt-stale");
  byId("answer").dataset.position = position;
  scoreGuess();
  paintWords();
  renderNeeds();
  renderControls();
  showOther();
}

/** What the models that are not chosen would say, once their weights have arrived. */
function showOther() {
  const {model, words, position} = shown;
  if (document.readyState === "loading")
    return document.addEventListener("DOMContentLoaded", () => shown.answer && showOther(), {once: true});
  const others = given.models.filter(({name}) => name !== model).map(({name}) => {
    const line = make("span", {});
    question(name, words, position, false, entry => {
      if (entry.of !== shown) return;
      const {top: [[guess, p]]} = verdict(words, position, entry.answer);
      line.replaceChildren("The model ", name, " says ", strong(guess), `, ${percent(p)}. `);
    });
    return line;
  });
  byId("other").replaceChildren(...others);
}

/** What each word and each head was worth. */
function renderNeeds() {
  const {answer, verdict: {p, target}, words, position} = shown, {chance_W, chance_NH, looks_NHS} = answer;
  byId("needs").classList.toggle("mt-waiting", !chance_W);
  if (!chance_W) return;
  const share_S = attention(answer), widest = Math.max(...share_S);
  const furthest = Math.max(0.01, ...[...chance_W, ...chance_NH].map(after => Math.abs(after - p)));
  const change = after => make("span", {class: "mt-change"}, make("i", {
    class: after < p ? "mt-fall" : "mt-rise", style: `--w:${(Math.abs(after - p) / furthest).toFixed(3)}`}));
  const rows = words.flatMap((word, i) => i === position ? [] : [make("tr",
    {"data-position": i, "data-attention": share_S[i + 1].toFixed(8), "data-p": chance_W[i].toFixed(8)},
    make("th", {scope: "row"}, wordOf(word)), make("td", {}, percent(share_S[i + 1])),
    make("td", {class: "mt-bars"}, bar(share_S[i + 1] / widest)), make("td", {}, percent(chance_W[i])),
    make("td", {}, points(chance_W[i] - p)), make("td", {}, change(chance_W[i])))]);
  const columns = [["word", 1], ["looked at", 2], ["without it", 1], ["points", 2]];
  const heading = columns.map(([label, span]) => make("th", {scope: "col", colspan: span}, label));
  byId("word-table").replaceChildren(
    make("caption", {}, "One other word at a time is hidden as well. While all other words are visible, ", strong(target),
      ` has ${percent(p)}. A point is a hundredth of probability.`),
    make("thead", {}, make("tr", {}, ...heading)), make("tbody", {}, ...rows));
  const H = looks_NHS[0].length, heads = [...Array(H).keys()];
  const cell = (n, h) => {
    const after = chance_NH[n * H + h], most = looks_NHS[n][h].indexOf(Math.max(...looks_NHS[n][h]));
    const seen = ["start", ...words, "end"][most];
    const pressed = String(n) === state.layer && String(h) === state.head;
    const told = `Layer ${n + 1}, head ${h + 1}: ${points(after - p)} points when it is silent; `
      + `it looks most at “${short(seen)}”`;
    const select = () => {
      Object.assign(state, {layer: String(n), head: String(h), paint: "attention"});
      renderChoice();
    };
    return make("td", {
      "data-layer": n + 1, "data-head": h + 1, "data-p": after.toFixed(8), class: after < p ? "mt-fall" : "mt-rise",
      style: `--a:${(STRONGEST * Math.abs(after - p) / furthest).toFixed(3)}`,
    }, button(points(after - p), {"aria-pressed": pressed, title: told}, select));
  };
  const numbers = heads.map(h => make("th", {scope: "col"}, `${h + 1}`));
  const body = looks_NHS.map((_, n) =>
    make("tr", {}, make("th", {scope: "row"}, `layer ${n + 1}`), ...heads.map(h => cell(n, h))));
  byId("head-table").replaceChildren(
    make("caption", {}, "Each head is silenced in turn; a number is the change in points. Press it to see where that head looked."),
    make("thead", {}, make("tr", {}, make("td"), ...numbers)), make("tbody", {}, ...body));
}

// The controls.
const range = n => [...Array(n).keys()].map(i => [String(i), String(i + 1)]);
const {n_layers, n_heads} = given.models[0].config;
const choices = {
  paint: [["attention", "where it looked"], ["need", "what it needed"]],
  layer: [["", "all"], ...range(n_layers), ["rollout", "rollout"]],
  head: [["", "all"], ...range(n_heads)],
  model: given.models.map(({name}) => [name, name]),
};
function renderControls() {
  for (const [name, options] of Object.entries(choices)) {
    const row = byId(name);
    if (!row.children.length) row.append(...options.map(([value, label]) => button(label, {"data-value": value}, () => {
      state[name] = value;
      if (name === "layer" && value === "rollout") state.head = "";
      if (name === "head" && state.layer === "rollout") state.layer = "";
      name === "model" ? choose(state.position) : renderChoice();
    })));
    for (const option of row.children) option.setAttribute("aria-pressed", option.dataset.value === state[name]);
  }
}
/** Another layer, head or paint: the same answer is shown in another way, at once. */
function renderChoice() {
  renderControls();
  if (!shown.answer) return;
  paintWords();
  const focused = document.activeElement.closest("#head-table td")?.dataset;
  renderNeeds();
  if (focused) document.querySelector(`#head-table [data-layer="${focused.layer}"][data-head="${focused.head}"] button`).focus();
}

function scoreGuess() {
  const [word, ...more] = splitWords(byId("own").value), id = idOf.get(word);
  if (word === undefined || !shown.answer) return byId("own-score").replaceChildren();
  if (more.length || id === undefined)
    return byId("own-score").replaceChildren(`That is not one of the ${nWords.toLocaleString("en")} words that the model knows.`);
  const {chance_V} = shown.answer, rank = chance_V.filter(p => p > chance_V[id]).length + 1;
  byId("own-score").replaceChildren(strong(word), `: ${percent(chance_V[id])}, guess number ${rank.toLocaleString("en")}.`);
}

// What happens.
function tell(sentence) {
  byId("alert").textContent = sentence;
  byId("alert").hidden = !sentence;
}

/** Asks once; what is known already is told at once. `done` gets the answer as it grows. */
function question(model, words, position, needs, done) {
  const key = JSON.stringify([model, position, words]), of = shown;
  const answer = known.get(key) ?? {};
  known.set(key, answer);
  const report = () => done({of, answer});
  if (answer.chance_V) report();
  if (!answer.chance_V || (needs && !answer.chance_W)) ask(model, words, position, needs, part => {
    Object.assign(answer, part);
    report();
  });
}

/** Hides a word. Whatever is answered about another one later is not shown. */
function choose(position) {
  const {words, model} = state;
  if (!words.length) return; // the sentence was refused
  state.position = position;
  const now = shown = {words, position, model};
  byId("other").replaceChildren();
  question(model, words, position, true, ({answer}) => {
    if (now !== shown) return;
    const first = !now.answer;
    now.answer = answer;
    first ? renderAnswer() : renderChoice();
    if (first && !performance.getEntriesByName("first answer").length) performance.mark("first answer");
  });
}

/** Takes over a sentence, or says why not and greys what does not belong to it. */
function read(text, position) {
  const words = splitWords(text).map(word => /^(\[MASK\]|_{3,})$/.test(word) ? BLANK : word);
  const refused = /\p{Surrogate}/u.test(text) ? "� is half a character; delete it, or type it again."
    : !words.length ? "There is no word in the text; type a sentence."
      : words.length > longestText ? `The text has ${words.length} words; the model takes at most ${longestText}. Shorten it.` : "";
  tell(refused);
  if (refused) {
    [shown, state.words] = [{}, []];
    for (const part of document.querySelectorAll(".mt-replaced")) part.classList.add("mt-stale");
    for (const word of byId("words").querySelectorAll("button")) word.disabled = true;
    return;
  }
  state.words = words;
  renderWords();
  const blank = words.indexOf(BLANK);
  choose(Math.min(position ?? Math.max(blank, 0), words.length - 1));
}
