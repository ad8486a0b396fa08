// The product that the engine is made of, and the memory that it works on.
"use strict";

const pairs = n => n + n % 2, fours = n => Math.ceil(n / 4) * 4; // what the product takes

/** y = x · wᵀ + bias in plain JavaScript; kernel.wat says the same to WebAssembly. Two
    rows of x meet three of w, which is as much as a processor's registers hold. */
function slowProduct(x, w, bias, y, rows, outs, depth, xStride, wStride, yStride) {
  for (let next = 0; next < outs; next += 3) for (let r = 0; r < rows; r += 2) {
    const o = Math.min(next, outs - 3); // at the end some are computed a second time
    let p0 = bias[o], p1 = bias[o + 1], p2 = bias[o + 2], q0 = p0, q1 = p1, q2 = p2;
    const x0 = r * xStride, x1 = x0 + xStride, y0 = r * yStride + o, y1 = y0 + yStride;
    const w0 = o * wStride, w1 = w0 + wStride, w2 = w1 + wStride;
    for (let d = 0; d < depth; d++) {
      const a = x[x0 + d], b = x[x1 + d], c0 = w[w0 + d], c1 = w[w1 + d], c2 = w[w2 + d];
      p0 += a * c0; p1 += a * c1; p2 += a * c2;
      q0 += b * c0; q1 += b * c1; q2 += b * c2;
    }
    y[y0] = p0; y[y0 + 1] = p1; y[y0 + 2] = p2;
    y[y1] = q0; y[y1 + 1] = q1; y[y1 + 2] = q2;
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
