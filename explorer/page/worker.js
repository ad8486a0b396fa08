// Answers the page's questions, in a thread of its own. What is asked last comes first:
// long work pauses between its steps, and ends where a newer question has arrived.
"use strict";

/** `count` numbers from -1 to 1, each of some digits in base 93 (packed_weights.py). */
function decode(codes, at, count, digits) {
  const numbers = new Float32Array(count), half = (93 ** digits - 1) / 2;
  for (let i = 0; i < count; i++) {
    let level = 0;
    for (const end = at + digits; at < end; at++)
      level = 93 * level + (codes[at] === 33 ? 60 : codes[at]) - 34; // "!" stands for "<"
    numbers[i] = level / half - 1;
  }
  return numbers;
}

/** Weights by name. A matrix is written as the scales of its rows, then its numbers. */
function unpack(table, codes, digits) {
  const weights = {};
  let at = 0;
  for (const [name, [rows, columns], scale] of table) {
    const scales = decode(codes, at, rows, 3).map(number => number * scale);
    at += 3 * rows;
    if (columns === undefined) {
      weights[name] = scales; // a vector
      continue;
    }
    const numbers = weights[name] = decode(codes, at, rows * columns, digits);
    at += digits * rows * columns;
    for (let row = 0, i = 0; row < rows; row++)
      for (const end = i + columns; i < end; i++) numbers[i] *= scales[row];
  }
  return weights;
}

// Messages. A model comes with its weights; a question names a model and has a tag, which
// its answers bear, too.
const models = {};
let kernel, newest; // the tag of the last question that wanted knock-outs

/** Waits until messages that have arrived meanwhile are served. */
const pause = () => new Promise(go => {
  const {port1, port2} = new MessageChannel();
  port1.onmessage = go;
  port2.postMessage("");
});

/** First the answer, then what it needed, unless somebody has asked for something newer. */
async function answer({tag, name, ids, at, target, needs}) {
  const model = models[name], reading = model.read(ids, at), {chance_V, weights_NHTS} = reading;
  const looks_NHS = weights_NHTS.map(weights_HTS => weights_HTS.map(weights_TS => weights_TS[at]));
  self.postMessage({tag, chance_V, looks_NHS, rollout_S: model.rollout(reading)});
  if (!needs) return;
  newest = tag;
  const work = model.knockOuts(reading, target ?? chance_V.indexOf(Math.max(...chance_V)));
  for (;;) {
    await pause();
    if (newest !== tag) return;
    const {done, value} = work.next();
    if (done) return self.postMessage({tag, ...value});
  }
}

self.addEventListener("message", ({data}) => {
  if (data.kernel) {
    kernel = data.simd && WebAssembly.validate(data.kernel) ? new WebAssembly.Module(data.kernel) : null;
  } else if (data.codes) {
    models[data.name] = new Model(data.config, unpack(data.table, data.codes, data.digits), kernel);
  } else {
    answer(data);
  }
});
