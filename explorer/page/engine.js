// The explorer's engine: a sentence in, probabilities and attention out, as in helpers/
// and explorer/. Names carry shapes: B sentences of T tokens in R = B·T rows, D d_model,
// H heads, K = D/H, F feed-forward, V vocabulary, N layers; S is T where it is looked at.
// The patterns are those of helpers/text.py, which explains them.
const [UNSEEN, TAIL, INNER, OPENING, WORD] = PATTERNS.map(source => new RegExp(source, "gu"));
/** Words of a text, split as in WikiText. */
function splitWords(text) {
  text = text.replace(UNSEEN, "$1").normalize("NFC").replace(/[\x1c-\x1f\x85]/g, " ");
  const tails = (text.match(TAIL) ?? []).values(); // for each of them stands one ˑ
  text = text.replace(TAIL, "ˑ").replace(/[“”„](?=\S)|(?<=\S)[“”„]/gu, '"')
    .replace(/[‘’](?=\S)|(?<=\S)[‘’]/gu, "'").replace(INNER, " @$&@ ").replace(OPENING, "' ");
  return (text.match(WORD) ?? []).map(word => word.replace(/ˑ/g, () => tails.next().value)
    .replace(/^[\u200c\u200d]+|[\u200c\u200d]+$/g, ""));
}
// GELU(x) = x·Φ(x). Φ, the normal distribution, becomes a table, exact to 1e-7 between its steps.
const PHI = new Float64Array(6146);
for (let i = 0; i <= 6144; i++)
  PHI[i + 1] = PHI[i] + Math.exp(-(((i + 0.5) / 512 - 6) ** 2) / 2) / Math.sqrt(2 * Math.PI) / 512;
function gelu(x, count) {
  for (let i = 0; i < count; i++) {
    const place = Math.min(Math.max((x[i] + 6) * 512, 0), 6144), step = Math.floor(place);
    x[i] *= PHI[step] + (place - step) * (PHI[step + 1] - PHI[step]);
  }
}

/** Scores, `count` of them from `start` on, become shares of 1. */
function softmax(x, start, count, scale = 1) {
  let most = -Infinity, sum = 0;
  for (let i = start; i < start + count; i++) most = Math.max(most, x[i]);
  for (let i = start; i < start + count; i++) sum += x[i] = Math.exp((x[i] - most) * scale);
  for (let i = start; i < start + count; i++) x[i] /= sum;
}

const MASK = 4, SPECIALS = 5, BATCH = 8; // so many sentences go through a block at once
class Model {
  /** `kernel` is the compiled product; without it the products are plain JavaScript. */
  constructor(config, weights, kernel) {
    const {d_model: D, n_heads: H, d_ff: F, n_layers: N, vocab_size: V} = config, K = D / H;
    const longest = fours(config.max_length), R = BATCH * longest + 4;
    Object.assign(this, {D, H, K, F, N, V, eps: config.norm_eps});
    const sizes = {v_DR: D * R, hidden_RF: R * F, scores_HTS: H * longest ** 2, logits_BV: BATCH * fours(V)};
    for (const name of ["x", "normed", "q", "k", "mixed", "made"]) sizes[`${name}_RD`] = R * D;
    Object.assign(this, makeRoom(weights, {...sizes, zeros: R}, kernel)); // see product.js
    const turns = Float64Array.from({length: longest * K / 2}, (_, i) =>
      Math.floor(2 * i / K) / 10000 ** (2 * i / K % 1));
    [this.cos, this.sin] = [turns.map(Math.cos), turns.map(Math.sin)];
  }

  linear(name, x, y, rows) {
    const weight = this[`${name}.weight`], bias = this[`${name}.bias`];
    const outs = bias.length, depth = weight.length / outs;
    this.product(x, weight, bias, y, fours(rows), outs, depth, depth, depth, outs);
  }

  norm(name, x, y, rows) {
    const {D, eps} = this, weight = this[`${name}.weight`], bias = this[`${name}.bias`];
    for (let start = 0; start < rows * D; start += D) {
      let mean = 0, variance = 0;
      for (let d = 0; d < D; d++) mean += x[start + d];
      mean /= D;
      for (let d = 0; d < D; d++) variance += (x[start + d] - mean) ** 2;
      const scale = 1 / Math.sqrt(variance / D + eps);
      for (let d = 0; d < D; d++) y[start + d] = (x[start + d] - mean) * scale * weight[d] + bias[d];
    }
  }

  /** Rotary positions: coordinates i and i + K/2 turn by an angle; more, further to the right. */
  rotate(x, rows, position) {
    const {D, K, cos, sin} = this, half = K / 2;
    for (let row = 0; row < rows; row++) for (let start = row * D; start < (row + 1) * D; start += K)
      for (let i = start, turn = position(row) * half; i < start + half; i++, turn++) {
        const first = x[i], second = x[i + half];
        x[i] = first * cos[turn] - second * sin[turn];
        x[i + half] = first * sin[turn] + second * cos[turn];
      }
  }

  embed(ids_T, b = 0) {
    const {D, x_RD} = this, table = this["embedding.token.weight"], start = b * ids_T.length;
    ids_T.forEach((id, t) => x_RD.set(table.subarray(id * D, (id + 1) * D), (start + t) * D));
  }

  /** What the heads of block n mix for B sentences; with `at`, for that token of each. */
  mix(n, B, T, at) {
    const {D, H, K, x_RD, normed_RD, q_RD, k_RD, v_DR, mixed_RD, scores_HTS, zeros} = this;
    const name = `blocks.${n}.attention`, R = B * T, S = fours(T), all = at === undefined;
    const Q = all ? T : 1, value = this[`${name}.value.weight`], bias = this[`${name}.value.bias`];
    this.norm(`${name}_norm`, x_RD, normed_RD, R);
    this.linear(`${name}.key`, normed_RD, k_RD, R);
    this.rotate(k_RD, R, row => row % T);
    // Exchanged operands give the values transposed, as the mix needs them. Their bias may
    // wait until they are mixed, since shares add up to 1.
    this.product(value, normed_RD, zeros, v_DR, D, fours(R), D, D, D, fours(R));
    for (let b = 0; b < B && !all; b++) for (const x of [x_RD, normed_RD])
      x.copyWithin(b * D, (b * T + at) * D, (b * T + at + 1) * D);
    this.linear(`${name}.query`, normed_RD, q_RD, B * Q);
    this.rotate(q_RD, B * Q, row => all ? row % T : at);
    for (let b = 0; b < B; b++) for (let h = 0; h < H; h++) {
      const q = b * Q * D + h * K, k = b * T * D + h * K, v = h * K * fours(R) + b * T;
      const scores = scores_HTS.subarray(h * T * S);
      this.product(q_RD.subarray(q), k_RD.subarray(k), zeros, scores, fours(Q), S, K, D, D, S);
      for (let start = 0; start < Q * S; start += S)
        softmax(scores.fill(0, start + T, start + S), start, T, 1 / Math.sqrt(K));
      this.product(scores, v_DR.subarray(v), bias.subarray(h * K), mixed_RD.subarray(q),
        fours(Q), K, S, S, fours(R), D);
    }
  }

  /** The rest of block n: x takes in what was mixed, then what the feed-forward layer makes. */
  finish(n, rows) {
    const {D, F, x_RD, normed_RD, mixed_RD, made_RD, hidden_RF} = this, name = `blocks.${n}`;
    const add = () => { for (let i = 0; i < rows * D; i++) x_RD[i] += made_RD[i]; };
    this.linear(`${name}.attention.output`, mixed_RD, made_RD, rows);
    add();
    this.norm(`${name}.feed_forward_norm`, x_RD, normed_RD, rows);
    this.linear(`${name}.feed_forward.expand`, normed_RD, hidden_RF, rows);
    gelu(hidden_RF, rows * F);
    this.linear(`${name}.feed_forward.contract`, hidden_RF, made_RD, rows);
    add();
  }

  /** Probabilities of all words at the first B rows; special tokens are no answers. */
  head(B) {
    const {D, V, x_RD, normed_RD, made_RD, logits_BV} = this, stride = fours(V);
    this.norm("norm", x_RD, normed_RD, B);
    this.linear("head.transform", normed_RD, made_RD, B);
    gelu(made_RD, B * D);
    this.norm("head.norm", made_RD, normed_RD, B);
    const table = this["head.decoder.weight"] ?? this["embedding.token.weight"];
    this.product(normed_RD, table, this["head.decoder.bias"], logits_BV, fours(B), stride, D, D, D, stride);
    const chance_BV = Array.from({length: B}, (_, b) => logits_BV.slice(b * stride, b * stride + V));
    for (const chance_V of chance_BV) softmax(chance_V.fill(-Infinity, 0, SPECIALS), 0, V);
    return chance_BV;
  }

  /** The answer about the token `at`, and what knock-outs begin with. */
  read(ids_T, at) {
    const {D, H, x_RD, mixed_RD, scores_HTS} = this, T = ids_T.length, S = fours(T);
    const before_NRD = [], mixed_NRD = [], weights_NHTS = [];
    this.embed(ids_T);
    for (let n = 0; n < this.N; n++) {
      before_NRD.push(x_RD.slice(0, T * D));
      this.mix(n, 1, T);
      mixed_NRD.push(mixed_RD.slice(0, T * D));
      weights_NHTS.push(Array.from({length: H}, (_, h) => ids_T.map((_, t) =>
        scores_HTS.slice((h * T + t) * S, (h * T + t) * S + T))));
      this.finish(n, T);
    }
    x_RD.copyWithin(0, at * D, (at + 1) * D);
    return {ids_T, at, before_NRD, mixed_NRD, weights_NHTS, chance_V: this.head(1)[0]};
  }

  /** Attention followed through all layers: Ã = (A + 1) / 2, and a row of Ã_N … Ã_1. */
  rollout({ids_T, at, weights_NHTS}) {
    let share_S = ids_T.map((_, t) => Number(t === at));
    for (const weights_HTS of weights_NHTS.toReversed()) {
      const mean = (t, s) => weights_HTS.reduce((sum, weights_TS) => sum + weights_TS[t][s], 0) / this.H;
      share_S = share_S.map((own, s) => share_S.reduce((sum, share, t) => sum + share * mean(t, s), own) / 2);
    }
    return share_S;
  }

  /** B sentences climb from block n to the head; a newer question may come in after each block. */
  *climb(n, B, {ids_T: {length: T}, at}) {
    for (; n < this.N; n++) {
      const last = n === this.N - 1; // of which only the masked word is wanted
      this.mix(n, B, T, last ? at : undefined);
      this.finish(n, last ? B : B * T);
      yield;
    }
    return this.head(B);
  }

  /** The target's chance with each other word masked as well, and with each head silent. */
  *knockOuts(reading, target) {
    const {ids_T, at, before_NRD, mixed_NRD, chance_V} = reading, {D, H, K, N, x_RD, mixed_RD} = this;
    const chance_W = ids_T.slice(1, -1).fill(chance_V[target]), chance_NH = [];
    const others = [...chance_W.keys()].filter(i => i + 1 !== at);
    while (others.length) {
      const some = others.splice(0, BATCH);
      some.forEach((i, b) => this.embed(ids_T.with(i + 1, MASK), b));
      const chance_BV = yield* this.climb(0, some.length, reading);
      some.forEach((i, b) => { chance_W[i] = chance_BV[b][target]; });
    }
    // Below a silent head all is as before, so its sentence starts from what was mixed there.
    for (let n = 0; n < N; n++) for (let first = 0; first < H; first += BATCH) {
      const [from, to] = n === N - 1 ? [at, at + 1] : [0, ids_T.length]; // as in `climb`
      const B = Math.min(BATCH, H - first), size = (to - from) * D;
      for (let b = 0; b < B; b++) {
        x_RD.set(before_NRD[n].subarray(from * D, to * D), b * size);
        mixed_RD.set(mixed_NRD[n].subarray(from * D, to * D), b * size);
        for (let start = b * size + (first + b) * K; start < (b + 1) * size; start += D)
          mixed_RD.fill(0, start, start + K);
      }
      this.finish(n, B * (to - from));
      chance_NH.push(...(yield* this.climb(n + 1, B, reading)).map(chance_V => chance_V[target]));
    }
    return {chance_W, chance_NH};
  }
}
