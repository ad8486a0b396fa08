"""Runs the page's engine in Node, where it can be held beside PyTorch.

Questions go in and answers come out as JSON, one process for a list of questions.
"""

import json
import shutil
import subprocess
from dataclasses import asdict

from explorer.page.build import page_source
from explorer.page.packed_weights import pack_weights
from explorer.page.patterns import javascript_patterns
from explorer.page.wasm import kernel_wasm
from explorer.tokens import sentence_tokens, tokens_with_mask

NODE = shutil.which("node")
ENGINE = "const PATTERNS = {};\n{}\n".format(
    json.dumps([*javascript_patterns().values()]),
    "\n".join(page_source(f"{name}.js") for name in ("product", "engine", "worker")),
)
# The questions that can be asked.
RUN = """
const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const bytes = input.kernel && Uint8Array.from(input.kernel);
const compiled = bytes ? new WebAssembly.Module(bytes) : null;
const finish = work => {
  for (;;) { const {done, value} = work.next(); if (done) return value; }
};
const {model: given, texts, questions} = input;
const answers = {};
if (texts) answers.words = texts.map(splitWords);
if (given) {
  const codes = new TextEncoder().encode(given.text);
  const weights = unpack(given.table, codes, given.digits);
  const model = new Model(given.config, weights, compiled);
  answers.readings = questions.map(({ids, at, target}) => {
    const reading = model.read(ids, at), {chance_V, weights_NHTS} = reading;
    const looks_NHS = weights_NHTS.map(heads => heads.map(rows => [...rows[at]]));
    const rollout_S = model.rollout(reading);
    const answer = {chance_V: [...chance_V], looks_NHS, rollout_S};
    if (target === null) return answer;
    return {...answer, ...finish(model.knockOuts(reading, target))};
  });
}
console.log(JSON.stringify(answers));
"""
SELF = "globalThis.self = {addEventListener() {}, postMessage() {}};\n"


def run_in_node(simd: bool = True, **questions) -> dict:
    """The engine's answers: of `texts`, or a `model` to its `questions`.

    RuntimeError with what Node said if it fails.
    """
    given = questions | {"kernel": [*kernel_wasm()] if simd else None}
    done = subprocess.run(
        [NODE, "-e", SELF + ENGINE + RUN],
        input=json.dumps(given),
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2_000:])
    return json.loads(done.stdout)


def node_model(model, digits: int) -> dict:
    """A model as the page carries it."""
    table, text = pack_weights(model, digits)
    config = asdict(model.config)
    return {"config": config, "table": table, "text": text, "digits": digits}


def node_question(
    tokenizer, words: list[str], position: int, target: str | None
) -> dict:
    """A question about one word, and about what a target's probability needs."""
    encoded = sentence_tokens(tokenizer, words)
    ids = tokens_with_mask(tokenizer, encoded, [position])[0].tolist()
    target = None if target is None else tokenizer.ids[target]
    return {"ids": ids, "at": position + 1, "target": target}
