"""Plausible wrong answers to the exercises, each a change of the published solution.

An entry is the number of the exercise, the change, and what its grader has to say.
"""

TABLE = """\
1.1 sum(counts[word] for word in known) / counts.total() => len(known) / len(counts)
    ✗ you counted different words
1.1 size - 5 => size ✗ five of the entries are special tokens
1.1 counts.total() => (counts.total() - counts["<unk>"]) ✗ <unk> is a part of the text
1.1 counts.total() => len(lines) ✗ one half of
1.1 sum(counts[word] for word in known) / counts.total() => 1 / 2
    ✗ all but <unk> is covered
1.2 found.append(mark + => found.append( ✗ is returned with its ##
1.2 "##" if found else "" => "" ✗ take the longest piece that fits
1.2 end = len(word) => end = 1 | end > 0 => end <= len(word) | -= => +=
    | end == 0 => end > len(word) ✗ take the longest piece that fits
1.2 return ["[UNK]"] => return [*found, "[UNK]"] ✗ as no piece fits after a ##b
1.2 return found => return found[:1] ✗ “unbelievable” is un ##believ ##able
1.2 end > 0 => end > 1 | end == 0 => end == 1 ✗ “bab” is b ##a ##b
1.2 return found => return " ".join(found) ✗ the answer is a list of pieces
1.3 math.log(p) => math.log2(p) ✗ this is in bits
1.3 sum(-math.log(p) for p in chances) / len(chances) =>
    -math.log(sum(chances) / len(chances))
    ✗ take the mean of the losses, not of the probabilities
1.3 / len(chances) => ✗ this is the sum of both losses
1.3 -math.log => math.log ✗ a loss is not negative
1.3 -math.log(p) => p ✗ the mean of -ln p is not
1.3 sum(-math.log(p) for p in chances) / len(chances) => math.log(4)
    ✗ the mean of -ln p is not

2.1 @ v_BHSK => @ v_BHSK, scores_BHTS ✗ return the mixed values alone
2.1 .masked_fill(~left_TS, float("-inf")) => ✗ looks at words that come after
2.1 .tril() => .triu() ✗ looks at words that come after
2.1 .tril() => .tril(1) ✗ looks at words that come after
2.1 .masked_fill(~left_TS, float("-inf")) =>
    | softmax(dim=-1) => softmax(dim=-1) * left_TS ✗ does the mask act in time
2.1 / q_BHTK.shape[-1] ** 0.5 => ✗ with the wrong weights
2.1 .tril() => .tril(-1) ✗ able to look at itself
2.1 .tril() => .tril().triu(-1) ✗ or at a word before it
2.2 (d_model * d_model + d_model) => d_model * d_model ✗ nn.Linear also has a bias
2.2 4 * => 3 * ✗ one more matrix follows
2.2 4 * => ✗ that is one nn.Linear
2.2 4 * => 4 * n_heads * ✗ are there D × D matrices per head
2.2 4 * (d_model * d_model + d_model) => 263_168 ✗ begin with one nn.Linear
2.2 4 * => 0 * ✗ begin with one nn.Linear
2.3 .abs() => .abs()[0] ✗ return a tensor of shape
2.3 -slope * (at_T[:, None] - at_T[None, :]).abs() => slope * (at_T[:, None] - at_T)
    ✗ get different penalties
2.3 -slope => slope ✗ lower scores, not higher
2.3 .abs() => .square() ✗ for each step of distance
2.3 -slope => -0.5 ✗ four times as large
2.3 -slope * => slope - ✗ its own score must not change

3.1 (V + T) => (2 * V + T) ✗ You count the embedding twice
3.1 (V + T) => V ✗ The table of positions is missing
3.1 4 * (D * D + D) => 4 * D * D ✗ one more encoder block adds
3.1 2 * D + N => 4 * D + N ✗ the LayerNorm outside the blocks
3.2 eligible(ids_T).nonzero()[:, 0] => torch.arange(len(ids_T))
    ✗ There are too many rows
3.2 inputs_MT[m, at_M] = => inputs_MT[:, at_M] = ✗ Some rows hide more than one word
3.2 torch.full_like(inputs_MT, IGNORE) => ids_T.repeat(len(at_M), 1)
    ✗ may stand only where the word is hidden
3.2 = MASK => = ids_T[at_M] = MASK ✗ Your function changes the text
3.2 return inputs_MT, labels_MT => return inputs_MT, ids_T[at_M] ✗ The shapes are
3.2 inputs_MT[m, at_M] => inputs_MT[m, at_M + 1] ✗ only the m-th eligible word
3.2 = ids_T[at_M] => = MASK ✗ must be the id of the true word
3.3 chosen_BT = labels_BT != IGNORE => chosen_BT = labels_BT > -200
    | labels_BT[chosen_BT] => labels_BT[chosen_BT].clamp(min=0) ✗ Does the softmax run
3.3 .mean() => .sum() / labels_BT.numel() ✗ You divide by the number of all positions
3.3 return -log_p_MV => return sum(-torch.mean(row) for row in log_p_MV
    | .mean() => .split(chosen_BT.sum(1).tolist())) / len(labels_BT)
    ✗ You average within each row first
3.3 .mean() => .mean() / math.log(2) ✗ These are bits
3.3 return -log_p_MV => return log_p_MV ✗ The sign is wrong
3.3 logits_BTV[chosen_BT] => logits_BTV.detach()[chosen_BT] ✗ no gradient can flow
3.3 .mean() => .sum() ✗ This is the sum
3.3 .mean() => ✗ The loss is one number

4.1 m / (1 - 0.9**t), v / (1 - 0.98**t) => m, v ✗ the first step is as long
4.1 0.1 * g => 0.1 * (g := g + decay * w) | rate * decay * w - =>
    ✗ is right without weight decay
4.1 rate * decay * w - => ✗ is right without weight decay
4.1 rate * decay => decay ✗ is right without weight decay
4.1 + 1e-8) => ) ✗ with a first gradient as small as ε
4.1 (v_hat**0.5 + 1e-8) => (v_hat + 1e-8) ** 0.5 ✗ ε is added to the square root itself
4.1 g**2 => g ✗ m is 0.05 and v is 0.005
4.1 0.9**t => 0.9 | 0.98**t => 0.98 ✗ The corrections depend on t
4.1 return w, m, v => return w ✗ return the new w, m and v
4.1 return w, m, v => return w, m ✗ return three values
4.2 now - best >= patience =>
    patience <= sum(losses[i] >= min(losses[:i]) for i in range(1, now + 1))
    ✗ a new lowest loss starts the count anew
4.2 loss < losses[best] => loss < losses[now - 1] ✗ but not lower than 2
4.2 return now, best => return now, now ✗ two in a row were not lower
4.2 loss < losses[best] => loss <= losses[best] ✗ an equal loss is not a lower loss
4.2 return len(losses) - 1, => return len(losses), ✗ nothing stops it early
4.2 now - best >= patience => now - best >= patience or now == len(losses) - 1 > 2
    | return len(losses) - 1, best => return best, best
    ✗ the list ends before the patience runs out
4.2 return len(losses) - 1, best => return best ✗ return two indices

5.1 ["."] => [] ✗ the best guess for the first word is still
5.1 ["."] => ["the"] ✗ the best guess for the first word is still
5.1 ["."] => [","] ✗ the best guess for the first word is still
5.1 ["."] => "." ✗ give a list of words
5.1 ["."] => ["."] * 9 ✗ you need fewer than 9 words
5.2 chance_B.log() => chance_B ✗ it gives
5.2 one + 1 => one | two + 1 => two ✗ it gives
5.2 return (none - both) - => return -(none - both) +
    | (none - first) - (none => (none - first) + (none ✗ the sign is reversed
5.2 - (none - first) - (none - second) => ✗ that is the fall for both
5.3 share_W[answer.position] = -1 => pass ✗ Which tokens must not win
5.3 [1:-1] => [:-2] ✗ Which tokens must not win
5.3 key=total.get) => key=total.get)[::-1] ✗ Which tokens must not win
5.3 key=total.get) => key=total.get)[0] ✗ return a layer and a head

6.1 (stdev(arm)**2 + stdev(reference)**2) =>
    stdev(a - b for a, b in zip(arm, reference))**2 ✗ Which two variances enter
6.1 / len(arm) => ✗ Which two variances enter
6.1 difference - half, difference + half => difference + half, difference - half
    ✗ return the lower end first
6.1 fmean(arm) - fmean(reference) => fmean(reference) - fmean(arm)
    ✗ the middle of the interval
6.2 5 => 12 ✗ that is what the square root alone asks for
6.2 5 => 6 ✗ are more than you need
6.2 5 => 4 ✗ which is more than half
6.2 5 => 9 ✗ compute t/√n
6.3 else "does not hold" if outside else "open" => else "does not hold"
    ✗ an interval from
6.3 high < -margin, low > -margin => high < 0, low > 0 ✗ an interval from
6.3 low, high = -high, -low => low, high = -low, -high ✗ an interval from
6.3 low > margin or high < -margin => abs(low) > margin and abs(high) > margin
    ✗ an interval from
6.3 -margin < low and high < margin => low < 0 < high ✗ an interval from

7.1 2.0 ** math.floor(math.log2(room)) => room ✗ which is not a power of two
7.1 floor => ceil ✗ more than 65,504
7.1 max() => min() ✗ more than 65,504
7.1 2.0 ** math.floor => 0.5 * 2.0 ** math.floor ✗ still fits
7.1 2.0 => -2.0 ✗ a scale is positive
7.1 2.0 ** math.floor(math.log2(room)) => 0.0 ✗ a scale is positive
7.2 g * n => g | sum(counts) => len(counts) ✗ by its number of masked words
7.2 g * n => g / n | / sum(counts) => ✗ What divides the sum
7.2 / sum(counts) => ✗ What divides the sum
7.2 g * n => g | / sum(counts) => ✗ What divides the sum
7.2 total / sum(counts) => [total / sum(counts)] ✗ return one gradient

8.1 case_BT >= 0.9 => torch.rand(ids_BT.shape, generator=generator) < 0.1
    ✗ 80 % of the selected words become [MASK]
8.1 randint(first, => randint(0, ✗ a random word is never a special token
8.2 {2, 7} => {7, 8} ✗ the order of lines 7 and 8
8.2 {2, 7} => {2, 8} ✗ line 2 comes too early
8.2 {2, 7} => {4, 7} ✗ line 7 comes too early
8.2 {2, 7} => [2, 7] ✗ answer with a set
8.2 {2, 7} => {4, 8} ✗ follow one weight and one mask
8.3 not torch.allclose(one, two) =>
    not torch.allclose(attend(q, k, v, real_BS, 0.0)[1].sum(-1), torch.ones(()))
    ✗ a function without any mask passes
8.3 [True] * 3 + [False] * 2 => [True] * 5 | (v, other) => (real_BS, None)
    | attend(q, k, x, real_BS, 0.0) => attend(q, k, v, x, 0.0)
    ✗ a function without any mask passes
8.3 100.0 => 1.0 | one, two) => one, two, atol=0.3) ✗ its leak is small
8.3 not torch.allclose(one, two) => True ✗ suspects a function that hides

9.1 4 * (D * D + D) => 4 * D * D ✗ one more encoder block adds
9.1 2 * 2 * D => 2 * D ✗ one more encoder block adds
9.1 (V + T + 2) => (V + T) ✗ Look at the segments
9.1 D * F + F + => D * F + ✗ one more encoder block adds
9.2 _, number, rest = name.split(".", 2) =>
    number, rest = name[7], name.split(".", 2)[2] ✗ which is not its name in BERT
9.2 attention.output.LayerNorm => output.LayerNorm ✗ which is not its name in BERT
9.2 encoder.layer.{number}.{BLOCK[module]}.{kind} => {name}
    ✗ which is not its name in BERT
9.3 range(len(word), start, -1) => range(start + 1, len(word) + 1)
    ✗ which is the longest piece
9.3 return found => return tuple(found) ✗ is a list of pieces
9.3 ("##" if start else "") => "" ✗ which is the longest piece
9.3 return ["[UNK]"] => return [*found, "[UNK]"] ✗ the whole word is one
"""
