"""Training: resumed or whole, the same; scored without a trace; and it does learn."""

import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch

from helpers import train as train_module
from helpers.corpus import load_corpus
from helpers.data import TrainingData
from helpers.evaluate import evaluate, probe, unigram
from helpers.masking import IGNORE, evaluation_subsets, mask_tokens, mlm_loss
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.optimize import make_optimizers, pick_dtype, rate_factor, set_rates
from helpers.run import EarlyStopping, TrainingRun
from helpers.seeds import seeded
from helpers.tokenizer import CLS, MASK, PAD, SEP, SPECIALS, UNK, WordTokenizer
from helpers.train import (
    TrainConfig,
    batches,
    evaluation_steps,
    steps_per_epoch,
    train,
    train_step,
)

LENGTH = 32
SHORT = TrainConfig(
    epochs=1 / 6, batch_size=32, evaluations=3, patience=99, precision="float32"
)


@pytest.fixture(scope="module")
def toy():
    """The toy corpus as tensors, with its tokenizer."""
    corpus = load_corpus("toy")
    tokenizer = WordTokenizer.train(corpus.train)
    return TrainingData.prepare(tokenizer, corpus, LENGTH, sample=32), tokenizer


@pytest.fixture(autouse=True)
def no_clock(monkeypatch):
    """The seconds in a history do not depend on the machine."""
    monkeypatch.setattr(train_module, "time", SimpleNamespace(monotonic=lambda: 0.0))


def build(tokenizer, dropout=0.0, **sizes):
    torch.manual_seed(0)
    sizes = dict(n_layers=1, d_model=16, n_heads=2, d_ff=32) | sizes
    config = ModelConfig(
        vocab_size=len(tokenizer), max_length=LENGTH, dropout=dropout, **sizes
    )
    return MaskedLanguageModel(config)


class OnGpu:
    """What is asked of a model on a GPU."""

    device = torch.device("cuda")

    def parameters(self):
        yield self


class Interruption(Exception):
    pass


def stop_before(step, monkeypatch):
    """Ends the run just before it takes this step."""

    def interrupted(run, *arguments):
        if run.step == step:
            raise Interruption
        return train_step(run, *arguments)

    monkeypatch.setattr(train_module, "train_step", interrupted)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_resumed_run_equals_an_unbroken_one(toy, optimizer, tmp_path, monkeypatch):
    data, tokenizer = toy
    config = dataclasses.replace(SHORT, optimizer=optimizer)
    whole = build(tokenizer, dropout=0.1)
    history = train(whole, data, config)
    assert len(history) >= 5
    for step in (
        3,
        11,
        17,
    ):  # each run goes on from the last evaluation of the one before
        with monkeypatch.context() as patch, pytest.raises(Interruption):
            stop_before(step, patch)
            train(build(tokenizer, dropout=0.1), data, config, folder=tmp_path)
        torch.manual_seed(step)  # what ran in between leaves no trace
    resumed = build(tokenizer, dropout=0.1)
    assert train(resumed, data, config, folder=tmp_path) == history
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
    # A run that has ended gives the same again, without a step.
    with monkeypatch.context() as patch:
        patch.setattr(train_module, "train_step", None)
        assert train(build(tokenizer, 0.1), data, config, folder=tmp_path) == history


def test_a_resumed_run_keeps_its_number_format(toy, tmp_path, monkeypatch):
    data, tokenizer = toy
    config, formats = dataclasses.replace(SHORT, precision="auto"), []

    def noted(run, *arguments):
        formats.append(run.dtype)
        return train_step(run, *arguments)

    with monkeypatch.context() as patch, pytest.raises(Interruption):
        patch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
        stop_before(11, patch)
        train(build(tokenizer), data, config, folder=tmp_path)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(train_module, "train_step", noted)
    train(build(tokenizer), data, config, folder=tmp_path)
    assert set(formats) == {torch.bfloat16}


def test_evaluating_more_often_changes_nothing(toy):
    data, tokenizer = toy
    losses = []
    for evaluations in (1, 7):
        config = dataclasses.replace(SHORT, evaluations=evaluations)
        history = train(build(tokenizer, dropout=0.2), data, config)
        losses.append(history[-1]["validation_loss"])
    assert losses[0] == losses[1]


def test_another_seed_is_another_run(toy):
    data, tokenizer = toy
    runs = [
        train(build(tokenizer), data, dataclasses.replace(SHORT, seed=seed))
        for seed in (0, 0, 1)
    ]
    assert runs[0] == runs[1]
    assert runs[0][0] == runs[2][0]  # the weights have a seed of their own
    assert runs[0][-1]["validation_loss"] != runs[2][-1]["validation_loss"]


def test_early_stopping_stops_and_restores_the_best(toy, monkeypatch):
    """Nine steps that help, then one after which the model is wrecked."""
    data, tokenizer = toy
    taken = []

    def wrecking(run, *arguments):
        taken.append(run.step)
        loss = train_step(run, *arguments)
        if taken[-1] == 9:
            with torch.no_grad():
                run.model.head.norm.weight.mul_(-9)
        return loss

    monkeypatch.setattr(train_module, "train_step", wrecking)
    model = build(tokenizer)
    config = dataclasses.replace(SHORT, evaluations=20, patience=3)
    history = train(model, data, config)
    best = min(history, key=lambda entry: entry["validation_loss"])
    assert best["step"] <= 9
    after = [e for e in history if e["step"] > best["step"]]
    assert len(after) == 3
    assert max(taken) == history[-1]["step"] - 1 < 19
    found = evaluate(model, data.validation_BT, data.subset_BT)
    assert found["loss"] == best["validation_loss"]


def test_early_stopping_looks_at_the_validation_loss(toy, monkeypatch):
    """The training loss falls throughout; the best validation loss is the third."""
    data, tokenizer = toy
    losses = iter([3.0, 2.0, 1.0, 2.0, 2.0, 2.0, 2.0])

    def scripted(model, data):
        loss = next(losses)
        return {"train_loss": -loss, "validation_loss": loss}

    monkeypatch.setattr(train_module, "validate", scripted)
    config = dataclasses.replace(SHORT, evaluations=20, patience=2)
    history = train(build(tokenizer), data, config)
    assert [entry["validation_loss"] for entry in history] == [3, 2, 1, 2, 2]


def test_early_stopping_counts_evaluations_in_a_row():
    model, stopping = torch.nn.Linear(1, 1), EarlyStopping(patience=2)
    said = []
    for step, loss in enumerate([3.0, 2.0, 2.0, 1.0, 5.0, float("nan")]):
        stopping.update(loss, step, model)
        said.append(stopping.done)
    assert said == [False] * 5 + [True]
    assert (stopping.loss, stopping.step) == (1.0, 3)


def test_evaluation_happens_at_the_start_the_end_and_evenly():
    assert evaluation_steps(6_400, 4) == {0, 100, 200, 400, 1600, 3200, 4800, 6400}
    assert evaluation_steps(1, 12) == {0, 1}
    assert {0, 7} <= evaluation_steps(7, 3)


def test_the_rate_rises_to_its_peak_and_falls_to_zero():
    rates = [rate_factor(step, 100, 0.1, 0.9) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0 == max(rates)
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == 0
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    for total in (1, 2, 3):
        for warmup in (0.0, 0.05, 1.0):
            steps = [rate_factor(step, total, warmup, 0.95) for step in range(total)]
            assert all(0 < factor <= 1 for factor in steps)


def test_the_rate_may_stay_at_its_peak_for_a_while_or_to_the_end():
    half = [rate_factor(step, 100, 0.1, 0.5) for step in range(101)]
    assert half[9:51] == [1.0] * 42
    assert half[75] == pytest.approx(0.5) and half[100] == 0
    assert {rate_factor(step, 100, 0.1, 0.0) for step in range(9, 100)} == {1.0}


def test_each_step_has_the_rate_of_the_schedule(toy, monkeypatch):
    data, tokenizer = toy
    rates = []

    def noted(run, *arguments):
        loss = train_step(run, *arguments)
        rates.append(run.optimizers[0].param_groups[0]["lr"])
        return loss

    monkeypatch.setattr(train_module, "train_step", noted)
    train(build(tokenizer), data, SHORT)
    total, peak = len(rates), SHORT.learning_rate
    shape = total, SHORT.warmup, SHORT.cooldown
    want = [peak * rate_factor(step, *shape) for step in range(total)]
    assert rates == pytest.approx(want)


def test_the_mask_rate_moves_from_its_first_to_its_last_value(toy):
    data, tokenizer = toy
    run, shares = TrainingRun(build(tokenizer), TrainConfig(), torch.float32), []
    config = TrainConfig(mask_rate=0.6, last_mask_rate=0.2)

    def noted(ids, size, rate, *arguments, **choices):
        shares.append((rate, choices["fixed"]))
        return mask_tokens(ids, size, rate, *arguments, **choices)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module, "mask_tokens", noted)
        for masks in ("fixed", "independent"):
            for run.step in (0, 5, 10):
                chosen = dataclasses.replace(config, masks=masks)
                train_step(run, data.validation_BT[:4], chosen, 10)
    rates = [pytest.approx(rate) for rate in (0.6, 0.4, 0.2)]
    assert shares == [(r, True) for r in rates] + [(r, False) for r in rates]


def test_a_step_may_mask_in_another_way(toy):
    data, tokenizer = toy
    ids_BT, seen = data.validation_BT[:4], []

    def hide(*arguments, **choices):
        seen.append((arguments, choices))
        labels_BT = ids_BT.where(ids_BT == ids_BT.max(), IGNORE)
        return ids_BT, labels_BT

    run = TrainingRun(build(tokenizer), SHORT, torch.float32)
    before = run.model.embedding.token.weight.clone()
    loss = train_step(run, ids_BT, SHORT, 10, hide)
    model = build(tokenizer)
    assert torch.equal(model.embedding.token.weight, before)
    logits_BTV, labels_BT = model(ids_BT), hide()[1]
    assert loss.item() == pytest.approx(mlm_loss(logits_BTV, labels_BT).item())
    (given, ids, rate), choices = seen[0][0][:3], seen[0][1]
    assert given is ids_BT and ids == len(tokenizer)
    assert rate == SHORT.mask_rate and choices == {"fixed": SHORT.masks == "fixed"}


def test_rates_are_set_from_their_own_peaks(toy):
    model = build(toy[1])
    config = TrainConfig(optimizer="muon", learning_rate=3e-3, muon_rate=0.04)
    optimizers = make_optimizers(model, config)
    for factor in (0.5, 0.25):
        set_rates(optimizers, factor)
        found = [group["lr"] for o in optimizers for group in o.param_groups]
        assert found == pytest.approx([3e-3 * factor] * 2 + [0.04 * factor])


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_every_parameter_has_one_optimizer_and_only_matrices_decay(toy, optimizer):
    model = build(toy[1])
    optimizers = make_optimizers(model, TrainConfig(optimizer=optimizer))
    groups = [group for o in optimizers for group in o.param_groups]
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    for group in groups:
        decays = {p.ndim == 2 for p in group["params"]}
        assert decays == {group["weight_decay"] > 0}
    inner = {id(p) for p in model.blocks.parameters() if p.ndim == 2}
    if optimizer == "muon":
        assert {id(p) for p in groups[-1]["params"]} == inner


def test_batches_hold_one_pass_of_the_text_an_epoch():
    """Each token once an epoch, but for the few that do not fill a batch."""
    stream = torch.arange(10, 10 + 31 * 8 * 5 + 40)
    per_epoch = steps_per_epoch(stream, LENGTH, 8)
    assert per_epoch == 5
    source, passes = batches(stream, LENGTH, 8, seed=0), []
    for _ in range(3):
        made = torch.cat([next(source) for _ in range(per_epoch)])
        assert made.shape == (40, LENGTH)
        assert (made[:, 0] == CLS).all()
        text = made[:, 1:][made[:, 1:] != PAD]
        assert len(text.unique()) == len(text) > len(stream) - 2 * 31 - 40
        rows = made[(made != PAD).all(1), 1:]
        assert (rows.diff(dim=1) == 1).all()  # neighbours stay neighbours
        passes.append(made)
    starts = [set(made[:, 1].tolist()) for made in passes]
    assert not starts[0] & starts[1]  # cut elsewhere
    assert passes[0][:, 1].tolist() != sorted(passes[0][:, 1].tolist())


def test_batches_are_a_function_of_seed_and_step():
    stream = torch.arange(10, 10 + 31 * 8 * 5)

    def first(count, start=0, seed=0):
        source = batches(stream, LENGTH, 8, seed, start)
        return [next(source) for _ in range(count)]

    whole = first(12)
    for start in (1, 3, 5, 7, 11):
        for made, again in zip(whole[start:], first(12 - start, start), strict=True):
            assert torch.equal(made, again)
    assert not torch.equal(whole[0], first(1, seed=1)[0])


def test_a_text_shorter_than_a_batch_makes_one_batch():
    made = next(batches(torch.arange(10, 80), LENGTH, 64, seed=0))
    assert made.shape[1] == LENGTH
    assert 1 <= len(made) <= 3


def test_seeded_depends_on_its_key_alone():
    torch.manual_seed(5)
    first = torch.rand(3, generator=seeded(0, "mask", 7))
    torch.manual_seed(6)
    assert torch.equal(first, torch.rand(3, generator=seeded(0, "mask", 7)))
    for other in ((1, "mask", 7), (0, "order", 7), (0, "mask", 8)):
        assert not torch.equal(first, torch.rand(3, generator=seeded(*other)))


class Bigram(torch.nn.Module):
    """Knows only that each id is followed by the next; notes what it was shown."""

    def __init__(self, vocab_size):
        super().__init__()
        self.config = ModelConfig(vocab_size=vocab_size, max_length=16)
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.shown = []

    def forward(self, ids_BT, at_BM):
        assert not self.training
        self.shown.append(ids_BT)
        guess = (ids_BT.roll(1, 1) + 1).gather(1, at_BM) % self.config.vocab_size
        return 3.0 * torch.nn.functional.one_hot(guess, self.config.vocab_size).float()


def test_evaluation_scores_each_word_once_and_by_the_book():
    ids = torch.arange(5, 15).repeat(40, 1)
    ids[:, 0], ids[::3, 4], ids[7, 6:] = CLS, UNK, PAD
    subset, model = evaluation_subsets(ids), Bigram(20)
    found = evaluate(model, ids, subset, subsets=range(7), batch_size=16)
    words = int((ids >= len(SPECIALS)).sum())
    assert found["words"] == words
    masked = sum((shown == MASK).sum() for shown in model.shown)
    assert masked == words
    # The same from a loop over all words.
    losses, right = [], []
    for number in range(7):
        inputs = ids.masked_fill(subset == number, MASK).tolist()
        for b, t in (subset == number).nonzero().tolist():
            guess, true = (inputs[b][t - 1] + 1) % 20, ids[b, t].item()
            right.append(guess == true)
            losses.append(math.log(math.e**3 + 19) - 3 * right[-1])
    assert len(losses) == words
    assert found["loss"] == pytest.approx(sum(losses) / words, rel=1e-5)
    assert found["accuracy"] == pytest.approx(sum(right) / words)


def test_evaluation_names_the_word_predicted_most_often(toy):
    data, tokenizer = toy
    model = build(tokenizer)
    with torch.no_grad():
        model.head.decoder.bias[17] = 99
    found = evaluate(model, data.validation_BT, data.subset_BT)
    assert (found["most_predicted"], found["most_predicted_share"]) == (17, 1.0)


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_leaves_no_trace(toy, training):
    data, tokenizer = toy
    model = build(tokenizer, dropout=0.5).train(training)
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    text, state = data.validation_BT.clone(), torch.get_rng_state()
    first = evaluate(model, data.validation_BT, data.subset_BT)
    probes = probe(model, data)
    assert first == evaluate(model, data.validation_BT, data.subset_BT)
    assert probes == probe(model, data)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(data.validation_BT, text)
    assert model.training == training
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert first == evaluate(model, data.validation_BT, data.subset_BT)
        assert probes == probe(model, data)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, weights[name])
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("score", [evaluate, probe])
def test_an_interrupted_evaluation_leaves_each_mode_as_it_was(toy, score):
    data, tokenizer = toy
    model = build(tokenizer, dropout=0.5).train()
    model.blocks[0].eval()
    modes = [module.training for module in model.modules()]
    given = (data,) if score is probe else (data.validation_BT, data.subset_BT)
    score(model, *given)
    assert [module.training for module in model.modules()] == modes

    def interrupt(*_):
        raise KeyboardInterrupt

    model.head.register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        score(model, *given)
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_a_reader_may_have_gradients_off(toy, off):
    data, tokenizer = toy
    model = build(tokenizer)
    with off():
        history = train(model, data, SHORT)
    assert history == train(build(tokenizer), data, SHORT)


def test_a_folder_without_a_name_is_refused(toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="^folder is ''; name one"):
        train(build(toy[1]), toy[0], SHORT, "")
    assert [*tmp_path.iterdir()] == []


def test_probes_are_predictions_of_masked_words(toy):
    data, tokenizer = toy
    model = build(tokenizer).eval()
    with torch.no_grad():
        for p in model.parameters():  # answers that differ from place to place
            p.add_(0.5 * torch.randn_like(p))
    for found in probe(model, data):
        row, at = found["block"], found["position"]
        assert data.subset_BT[row, at] == 0
        masked = data.validation_BT[row].masked_fill(data.subset_BT[row] == 0, MASK)
        with torch.no_grad():
            chances = model(masked[None])[0, at].softmax(-1)
        assert found["predicted"] == chances.argmax()
        assert found["p"] == pytest.approx(chances.max().item(), rel=1e-4)


def test_unigram_is_counted_by_hand():
    stream = torch.tensor([5, 5, 5, 6, 6, 7, SEP, SEP, SEP, SEP, UNK])
    ids, subset = torch.tensor([[6, 5, 7, 5]]), torch.tensor([[0, 0, 0, 1]])
    found = unigram(stream, ids, subset, vocab_size=9)
    # 6 words of 3 kinds, and one more of each of the 9 ids.
    want = -sum(math.log(n / 15) for n in (3, 4, 2)) / 3
    assert found["loss"] == pytest.approx(want)
    assert found["accuracy"] == pytest.approx(1 / 3)
    rare = unigram(stream, torch.tensor([[7]]), torch.tensor([[0]]), vocab_size=9)
    assert rare["accuracy"] == 0


def test_prepared_data_is_the_corpus(toy):
    data, tokenizer = toy
    corpus = load_corpus("toy")
    for lines, ids in ((corpus.train, data.stream), (corpus.validation, None)):
        words = [word for line in lines for word in (*line.split(), "[SEP]")]
        stream = data.validation_BT[:, 1:].flatten() if ids is None else ids
        stream = stream[stream != PAD]
        assert [tokenizer.words[i] for i in stream.tolist()] == words
    assert data.sample_BT.shape == (32, LENGTH)


@pytest.mark.parametrize("bf16", [True, False])
def test_on_a_cpu_its_instructions_decide(toy, bf16, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    want = torch.bfloat16 if bf16 else torch.float32
    assert {pick_dtype(build(toy[1])) for _ in range(5)} == {want}


@pytest.mark.parametrize(
    ("capability", "want"), [((7, 5), torch.float16), ((8, 0), torch.bfloat16)]
)
def test_on_a_gpu_its_capability_decides(capability, want, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert pick_dtype(OnGpu()) == want


def test_a_named_precision_is_taken_or_refused(toy):
    model = build(toy[1])
    for name in ("float32", "bfloat16"):
        assert pick_dtype(model, name) == getattr(torch, name)
    assert pick_dtype(OnGpu(), "float16") == torch.float16
    with pytest.raises(ValueError, match="'int8'; choose"):
        pick_dtype(model, "int8")
    with pytest.raises(ValueError, match="'float16'; choose 'auto', as float16 needs"):
        pick_dtype(model, "float16")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_step_clips_and_updates_each_parameter(toy, dtype):
    data, tokenizer = toy
    model = build(tokenizer)
    config = TrainConfig(clip=1e-3, mask_rate=0.5)
    run, norms = TrainingRun(model, config, dtype), []
    before = {name: p.clone() for name, p in model.named_parameters()}
    run.optimizers[0].register_step_pre_hook(
        lambda *_: norms.append(
            torch.stack([p.grad.norm() for p in model.parameters()]).norm().item()
        )
    )
    loss = train_step(run, data.validation_BT[:8], config, 1)
    assert loss.dtype == torch.float32 and loss.item() < 5
    assert norms == pytest.approx([1e-3], rel=1e-3)
    assert all((p != before[name]).any() for name, p in model.named_parameters())


def test_training_learns_more_than_word_frequencies(toy):
    """The rules of the toy grammar lie between 3.96 nats (frequencies) and about 2."""
    data, tokenizer = toy
    model = build(tokenizer, n_layers=2, d_model=48, n_heads=4, d_ff=96)
    config = TrainConfig(
        epochs=1,
        batch_size=32,
        optimizer="muon",
        mask_rate=0.3,
        evaluations=4,
        precision="float32",
    )
    history = train(model, data, config)
    chance = unigram(data.stream, data.validation_BT, data.subset_BT, len(tokenizer))
    assert history[0]["validation_loss"] == pytest.approx(math.log(107), abs=0.15)
    assert history[-1]["validation_loss"] < chance["loss"] - 0.8
    assert history[-1]["validation_accuracy"] > 2 * chance["accuracy"]
