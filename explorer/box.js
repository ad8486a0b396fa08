/* What stock widgets lack in a page. Runs for each explorer, as soon as its style is there. */
const box = this.closest(".mt-box");
const buttons = row => [...box.querySelectorAll(`.mt-${row} button`)];
const chosen = row => String(buttons(row).findIndex(button => button.matches(".mod-active")));
let last = null; // the control that had the focus

function name(element, role, label) {
  element.setAttribute("role", role);
  element.setAttribute("aria-label", label);
}
function describe() {
  box.querySelector(".mt-said")?.setAttribute("aria-live", "polite");
  for (const row of box.querySelectorAll(".mt-toggles")) {
    const label = row.querySelector(".widget-label");
    name(row, "group", label ? label.textContent : "The sentence: press a word to hide it");
    for (const button of row.querySelectorAll("button"))
      button.setAttribute("aria-pressed", button.matches(".mod-active"));
  }
  const layer = chosen("layer"), head = chosen("head");
  for (const {dataset, firstChild} of box.querySelectorAll(".mt-heads [data-head]"))
    firstChild.setAttribute("aria-pressed", layer === dataset.layer && head === dataset.head);
  for (const button of box.querySelectorAll("button")) button.type = "button";
  if (last && !last.checkVisibility() && [last, document.body].includes(document.activeElement))
    [...last.closest(".mt-play")?.querySelectorAll("input, button") ?? []].find(e => e.checkVisibility())?.focus();
}
if (box) {
  name(box, "region", "Explorer: which word is missing?");
  describe();
  new MutationObserver(describe)
    .observe(box, {subtree: true, childList: true, attributeFilter: ["class", "style"]});
  box.addEventListener("focusin", event => { last = event.target; });
  /* Half a character (a lone surrogate) ends the connection of a classic server: it becomes
     � when a field changes, before the field itself hears of it. */
  box.addEventListener("change", ({target}) => {
    if (target.matches("input")) target.value = target.value.toWellFormed();
  }, true);
  /* A number in the table of heads chooses its layer and its head. */
  box.addEventListener("click", ({target}) => {
    const cell = target.closest(".mt-heads [data-head]");
    if (cell) for (const row of ["layer", "head"]) buttons(row)[cell.dataset[row]].click();
  });
  box.addEventListener("keydown", ({key, target}) => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[key];
    if (step && target.matches(".mt-words button")) buttons("words")[buttons("words").indexOf(target) + step]?.focus();
    /* Enter in a form presses its button, once the field has told its value. */
    if (key === "Enter" && target.matches(".mt-play input"))
      setTimeout(() => target.closest(".mt-form").querySelector("button").click());
  }, true);
}
