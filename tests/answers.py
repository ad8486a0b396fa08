"""Plausible wrong answers to the exercises, each a change of the published solution.

Above each change stands the number of the exercise and what its grader has to say.
"""

TABLE = """\
1.1 you counted different words
    sum(counts[word] for word in known) / counts.total() => len(known) / len(counts)
1.1 five of the entries are special tokens
    size - 5 => size
1.1 <unk> is a part of the text
    counts.total() => (counts.total() - counts["<unk>"])
1.1 one half of
    counts.total() => len(lines)
1.1 all but <unk> is covered
    sum(counts[word] for word in known) / counts.total() => 1 / 2
1.2 is returned with its ##
    found.append(mark + => found.append(
1.2 take the longest piece that fits
    "##" if found else "" => ""
    max(fits) => min(fits)
1.2 after a ##b no piece fits
    return ["[UNK]"] => return [*found, "[UNK]"]
1.2 unbelievable is un ##believ ##able
    return found => return found[:1]
1.2 bab is b ##a ##b
    range(1, => range(2,
1.2 the answer is a list of pieces
    return found => return " ".join(found)
1.3 this is in bits
    math.log(p) => math.log2(p)
1.3 take the mean of the losses, not of the probabilities
    sum(-math.log(p) for p in chances) / len(chances) =>
        -math.log(sum(chances) / len(chances))
1.3 this is the sum of both losses
    / len(chances) =>
1.3 a loss is not negative
    -math.log => math.log
1.3 the mean of -ln p is not
    -math.log(p) => p
    sum(-math.log(p) for p in chances) / len(chances) => math.log(4)

2.1 return the mixed values alone
    @ v_BHSK => @ v_BHSK, scores_BHTS
2.1 looks at words that come after
    .masked_fill(~left_TS, float("-inf")) =>
    .tril() => .triu()
    .tril() => .tril(1)
2.1 does the mask act in time
    .masked_fill(~left_TS, float("-inf")) =>
        | softmax(dim=-1) => softmax(dim=-1) * left_TS
2.1 with the wrong weights
    / q_BHTK.shape[-1] ** 0.5 =>
2.1 able to look at itself
    .tril() => .tril(-1)
2.1 or at a word before it
    .tril() => .tril().triu(-1)
2.2 each nn.Linear also has a bias
    (d_model * d_model + d_model) => d_model * d_model
2.2 one more matrix follows
    4 * => 3 *
2.2 that is one nn.Linear
    4 * =>
2.2 are there D × D matrices per head
    4 * => 4 * n_heads *
2.2 begin with one nn.Linear
    4 * (d_model * d_model + d_model) => 263_168
    4 * => 0 *
2.3 return a tensor of shape
    .abs() => .abs()[0]
2.3 get different penalties
    -slope * (at_T[:, None] - at_T[None, :]).abs() => slope * (at_T[:, None] - at_T)
2.3 lower scores, not higher
    -slope => slope
2.3 for each step of distance
    .abs() => .square()
2.3 four times as large
    -slope => -0.5
2.3 its own score must not change
    -slope * => slope -

3.1 The embedding counts twice
    (V + T) => (2 * V + T)
3.1 The table of positions is missing
    (V + T) => V
3.1 one more encoder block adds
    4 * (D * D + D) => 4 * D * D
3.1 the LayerNorm outside the blocks
    2 * D + N => 4 * D + N
3.2 There are too many rows
    eligible(ids_T).nonzero()[:, 0] => torch.arange(len(ids_T))
3.2 Some rows hide more than one word
    inputs_MT[m, at_M] = => inputs_MT[:, at_M] =
3.2 may stand only where the word is hidden
    torch.full_like(inputs_MT, IGNORE) => ids_T.repeat(len(at_M), 1)
3.2 Your function changes the text
    = MASK => = ids_T[at_M] = MASK
3.2 The shapes are
    return inputs_MT, labels_MT => return inputs_MT, ids_T[at_M]
3.2 with its m-th eligible word hidden
    inputs_MT[m, at_M] => inputs_MT[m, at_M + 1]
3.2 must be the id of the true word
    = ids_T[at_M] => = MASK
3.3 should be
    chosen_BT = labels_BT != IGNORE => chosen_BT = labels_BT > -200
        | labels_BT[chosen_BT] => labels_BT[chosen_BT].clamp(min=0)
3.3 You divide by the number of all positions
    .mean() => .sum() / labels_BT.numel()
3.3 You average within each row first
    return -log_p_MV => return sum(-torch.mean(row) for row in log_p_MV
        | .mean() => .split(chosen_BT.sum(1).tolist())) / len(labels_BT)
3.3 These are bits
    .mean() => .mean() / math.log(2)
3.3 The sign is wrong
    return -log_p_MV => return log_p_MV
3.3 no gradient can flow
    logits_BTV[chosen_BT] => logits_BTV.detach()[chosen_BT]
3.3 This is the sum
    .mean() => .sum()
3.3 The loss is one number
    .mean() =>

4.1 the first step is as long as the rate
    m / (1 - 0.9**t), v / (1 - 0.98**t) => m, v
4.1 without weight decay it is right
    0.1 * g => 0.1 * (g := g + decay * w) | rate * decay * w - =>
    rate * decay * w - =>
    rate * decay => decay
4.1 m is 0.05 and v is 0.005
    g**2 => g
4.1 The corrections depend on t
    0.9**t => 0.9 | 0.98**t => 0.98
4.1 return the new w, m and v
    return w, m, v => return w
4.1 return three values
    return w, m, v => return w, m
4.2 a new lowest loss starts the count anew
    now - best >= patience => patience <=
        sum(losses[i] >= min(losses[:i]) for i in range(1, now + 1))
4.2 but not than the lowest
    loss < losses[best] => loss < losses[now - 1]
4.2 two in a row were not lower
    return now, best => return now, now
4.2 an equal loss is not a lower one
    loss < losses[best] => loss <= losses[best]
4.2 nothing stops it early
    return len(losses) - 1, => return len(losses),
4.2 the list ends before patience does
    now - best >= patience => now - best >= patience or now == len(losses) - 1 > 2
        | return len(losses) - 1, best => return best, best
4.2 return two numbers
    return len(losses) - 1, best => return best

5.1 the best guess for the first word is still
    ["."] => []
    ["."] => ["the"]
    ["."] => [","]
5.1 give a list of words
    ["."] => "."
5.1 words are more than it takes
    ["."] => ["."] * 9
5.2 it gives
    chance_B.log() => chance_B
    one + 1 => one | two + 1 => two
5.2 the sign is turned round
    return (none - both) - => return -(none - both) +
        | (none - first) - (none => (none - first) + (none
5.2 that is the fall with both
    - (none - first) - (none - second) =>
5.3 Which tokens must not win
    share_W[answer.position] = -1 => pass
    [1:-1] => [:-2]
    key=total.get) => key=total.get)[::-1]
5.3 return a layer and a head
    key=total.get) => key=total.get)[0]

6.1 Which scatter enters
    (stdev(arm)**2 + stdev(reference)**2) =>
        stdev(a - b for a, b in zip(arm, reference))**2
    / len(arm) =>
6.1 the middle of the interval
    fmean(arm) - fmean(reference) => fmean(reference) - fmean(arm)
6.2 that is what the square root alone asks for
    5 => 12
6.2 more than enough
    5 => 6
6.2 not yet half
    5 => 4
6.2 compute t/√n
    5 => 9
6.3 an interval from
    else "does not hold" if outside else "open" => else "does not hold"
    high < -margin, low > -margin => high < 0, low > 0
    low, high = -high, -low => low, high = -low, -high
    -margin < low and high < margin => low < 0 < high

7.1 which is no power of two
    2.0 ** math.floor(math.log2(room)) => room
7.1 more than 65,504
    floor => ceil
    max() => min()
7.1 twice as much still fits
    2.0 ** math.floor => 0.5 * 2.0 ** math.floor
7.1 a scale is positive
    2.0 => -2.0
    2.0 ** math.floor(math.log2(room)) => 0.0
7.2 as much as it has words
    g * n => g | sum(counts) => len(counts)
7.2 By what must the sum be divided
    g * n => g / n | / sum(counts) =>
    / sum(counts) =>
    g * n => g | / sum(counts) =>
7.2 return one gradient
    total / sum(counts) => [total / sum(counts)]

8.1 80 % of the chosen words become [MASK]
    case_BT >= 0.9 => torch.rand(ids_BT.shape, generator=generator) < 0.1
8.1 a random word is never a special token
    randint(first, => randint(0,
8.2 the order of lines 7 and 8
    {2, 7} => {7, 8}
8.2 line 2 comes too early
    {2, 7} => {2, 8}
8.2 line 7 comes too early
    {2, 7} => {4, 7}
8.2 answer with a set
    {2, 7} => [2, 7]
8.2 follow one weight and one mask
    {2, 7} => {4, 8}
8.3 a function without any mask passes
    not torch.allclose(one, two) =>
        not torch.allclose(attend(q, k, v, real_BS, 0.0)[1].sum(-1), torch.ones(()))
    [True] * 3 + [False] * 2 => [True] * 5 | (v, other) => (real_BS, None)
        | attend(q, k, x, real_BS, 0.0) => attend(q, k, v, x, 0.0)
8.3 its leak is small
    100.0 => 1.0 | one, two) => one, two, atol=0.3)
8.3 suspects a function that hides
    not torch.allclose(one, two) => True

9.1 you are off by
    4 * (D * D + D) => 4 * D * D
    2 * 2 * D => 2 * D
    (V + T + 2) => (V + T)
    D * F + F + => D * F +
9.2 which is not its name in BERT
    _, number, rest = name.split(".", 2) =>
        number, rest = name[7], name.split(".", 2)[2]
    attention.output.LayerNorm => output.LayerNorm
    encoder.layer.{number}.{BLOCK[module]}.{kind} => {name}
9.3 which is the longest piece
    range(len(word), start, -1) => range(start + 1, len(word) + 1)
    ("##" if start else "") => ""
9.3 the whole word is one
    return ["[UNK]"] => return [*found, "[UNK]"]
"""
