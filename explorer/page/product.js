// The product that the engine is made of, and the memory that it works on.
"use strict";

const pairs = n => n + n % 2, fours = n => Math.ceil(n / 4) * 4; // what the product takes

/** y = x · wᵀ + bias in plain JavaScript; kernel.wat says the same to WebAssembly. */
function slowProduct(x, w, bias, y, rows, outs, depth, xStride, wStride, yStride) {
  for (let o = 0; o < outs; o += 4) for (let r = 0; r < rows; r += 2) { // 2 rows meet 4
    let p0 = bias[o], p1 = bias[o + 1], p2 = bias[o + 2], p3 = bias[o + 3];
    let q0 = p0, q1 = p1, q2 = p2, q3 = p3;
    const x0 = r * xStride, x1 = x0 + xStride, y0 = r * yStride + o, y1 = y0 + yStride;
    const w0 = o * wStride, w1 = w0 + wStride, w2 = w1 + wStride, w3 = w2 + wStride;
    for (let d = 0; d < depth; d++) {
      const a = x[x0 + d], b = x[x1 + d];
      let c = w[w0 + d];
      p0 += a * c; q0 += b * c; c = w[w1 + d];
      p1 += a * c; q1 += b * c; c = w[w2 + d];
      p2 += a * c; q2 += b * c; c = w[w3 + d];
      p3 += a * c; q3 += b * c;
    }
    y[y0] = p0; y[y0 + 1] = p1; y[y0 + 2] = p2; y[y0 + 3] = p3;
    y[y1] = q0; y[y1 + 1] = q1; y[y1 + 2] = q2; y[y1 + 3] = q3;
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
