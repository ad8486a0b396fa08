// The product that the engine is made of, and the memory that it works on.
"use strict";

const fours = n => Math.ceil(n / 4) * 4; // the product takes rows and columns by fours

/** y = x · wᵀ + bias in plain JavaScript; kernel.wat says the same to WebAssembly. Four
    rows of x meet three of w: twelve sums are what a processor's registers hold. */
function slowProduct(x, w, bias, y, rows, outs, depth, xStride, wStride, yStride) {
  for (let next = 0; next < outs; next += 3) for (let r = 0; r < rows; r += 4) {
    const o = Math.min(next, outs - 3); // at the end some are computed a second time
    const x0 = r * xStride, x1 = x0 + xStride, x2 = x1 + xStride, x3 = x2 + xStride;
    const w0 = o * wStride, w1 = w0 + wStride, w2 = w1 + wStride;
    let p0 = bias[o], p1 = bias[o + 1], p2 = bias[o + 2];
    let q0 = p0, q1 = p1, q2 = p2, s0 = p0, s1 = p1, s2 = p2, t0 = p0, t1 = p1, t2 = p2;
    for (let d = 0; d < depth; d++) {
      const a = x[x0 + d], b = x[x1 + d], c = x[x2 + d], e = x[x3 + d];
      const f = w[w0 + d], g = w[w1 + d], h = w[w2 + d];
      p0 += a * f; q0 += b * f; s0 += c * f; t0 += e * f;
      p1 += a * g; q1 += b * g; s1 += c * g; t1 += e * g;
      p2 += a * h; q2 += b * h; s2 += c * h; t2 += e * h;
    }
    let at = r * yStride + o;
    y[at] = p0; y[at + 1] = p1; y[at + 2] = p2; at += yStride;
    y[at] = q0; y[at + 1] = q1; y[at + 2] = q2; at += yStride;
    y[at] = s0; y[at + 1] = s1; y[at + 2] = s2; at += yStride;
    y[at] = t0; y[at + 1] = t1; y[at + 2] = t2;
  }
}

/** Arrays by name, some filled and some empty ones of given sizes, and the `product` of
    what they hold. They are parts of one memory, the only one that a kernel sees. */
function makeRoom(arrays, sizes, kernel) {
  const all = {...sizes, ...Object.fromEntries(Object.entries(arrays).map(([name, {length}]) => [name, length]))};
  const bytes = Object.values(all).reduce((sum, size) => sum + 4 * fours(size), 0);
  const pages = {initial: Math.ceil(bytes / 65536)};
  const memory = kernel ? new WebAssembly.Memory(pages) : {buffer: new ArrayBuffer(bytes)};
  const room = {product: slowProduct};
  let at = 0;
  for (const [name, size] of Object.entries(all)) {
    room[name] = new Float32Array(memory.buffer, at, size);
    if (name in arrays) room[name].set(arrays[name]);
    at += 4 * fours(size);
  }
  if (kernel) {
    const {product} = new WebAssembly.Instance(kernel, {engine: {memory}}).exports;
    room.product = (x, w, bias, y, rows, outs, depth, xStride, wStride, yStride) => product(
      x.byteOffset, w.byteOffset, bias.byteOffset, y.byteOffset,
      rows, outs, depth, 4 * xStride, 4 * wStride, 4 * yStride);
  }
  return room;
}
