// Answers the page's questions, in a thread of its own. What is asked last comes first:
// long work pauses between its steps, and ends where a newer question has arrived.
"use strict";

/** `count` numbers from -1 to 1, each of some digits in base 93 (explorer/page/pack.py). */
function decode(text, at, count, digits) {
  const numbers = new Float32Array(count), half = (93 ** digits - 1) / 2;
  for (let i = 0; i < count; i++) {
    let level = 0;
    for (let digit = 0; digit < digits; digit++, at++) {
      const code = text.charCodeAt(at);
      level = 93 * level + (code === 33 ? 60 : code) - 34; // "!" stands for "<"
    }
    numbers[i] = level / half - 1;
  }
  return numbers;
}

/** Weights by name. A matrix is written as the scales of its rows, then its numbers. */
function unpack(table, text, digits) {
  const weights = {};
  let at = 0;
  for (const [name, [rows, columns], scale] of table) {
    const scales = decode(text, at, rows, 3).map(number => number * scale);
    at += 3 * rows;
    if (columns === undefined) {
      weights[name] = scales; // a vector
      continue;
    }
    const numbers = weights[name] = decode(text, at, rows * columns, digits);
    at += digits * rows * columns;
    for (let row = 0, i = 0; row < rows; row++)
      for (const end = i + columns; i < end; i++) numbers[i] *= scales[row];
  }
  return weights;
}
