"""Faults that beginners make, and the test that notices each of them.

Each fault is written into a copy of the project. The test named beside it must fail
there, and must pass in a copy without the fault; forked.py runs it.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest

from helpers import ROOT

FAULTS = {
    "no division by the root of K": (
        "layers",
        "(q_BHTK / q_BHTK.shape[-1] ** 0.5) @ k_BHSK.mT",
        "q_BHTK @ k_BHSK.mT",
        "test_layers.py::test_attend_equals_explicit_loops",
    ),
    "softmax before the mask": (
        "layers",
        "scores_BHTS = (q_BHTK / q_BHTK.shape[-1] ** 0.5) @ k_BHSK.mT",
        "scores_BHTS = ((q_BHTK / q_BHTK.shape[-1] ** 0.5) @ k_BHSK.mT).softmax(-1)",
        "test_layers.py::test_attend_equals_explicit_loops",
    ),
    "zero instead of minus infinity in the mask": (
        "layers",
        'float("-inf")',
        "0.0",
        "test_layers.py::test_padding_gets_no_weight_and_no_gradient",
    ),
    "softmax over the positions that look": (
        "layers",
        "scores_BHTS.softmax(dim=-1)",
        "scores_BHTS.softmax(dim=-2)",
        "test_layers.py::test_attend_equals_explicit_loops",
    ),
    "weights with T and S swapped": (
        "layers",
        "return used_BHTS @ v_BHSK, weights_BHTS",
        "return used_BHTS @ v_BHSK, weights_BHTS.mT",
        "test_layers.py::test_self_attention_equals_torch_multihead_attention",
    ),
    "heads split without transposing": (
        "layers",
        "return x_BTD.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)",
        "return x_BTD.reshape(len(x_BTD), self.n_heads, x_BTD.shape[1], -1)",
        "test_layers.py::test_self_attention_equals_torch_multihead_attention",
    ),
    "weights returned after dropout": (
        "layers",
        "return used_BHTS @ v_BHSK, weights_BHTS",
        "return used_BHTS @ v_BHSK, used_BHTS",
        "test_layers.py::test_weights_are_those_before_dropout",
    ),
    "no residual connection around attention": (
        "layers",
        "x_BTD = gather_positions(x_BSD, at_BT) + self.dropout(mixed_BTD)",
        "x_BTD = self.dropout(mixed_BTD)",
        "test_layers.py::test_block_equals_torch_encoder_layer",
    ),
    "positions turned the wrong way": (
        "layers",
        "first * cos - second * sin",
        "first * cos + second * sin",
        "test_layers.py::test_rotate_is_multiplication_by_complex_numbers",
    ),
    "dropout of the fused kernel on in evaluation": (
        "layers",
        "dropout.p if dropout is not None and dropout.training else 0.0",
        "dropout.p if dropout is not None else 0.0",
        "test_layers.py::test_dropout_acts_in_training_and_not_in_eval",
    ),
    "two draws, hence 81/10/9": (
        "masking",
        "selected_BT & (draw_BT < 0.8), MASK)\n"
        "    swapped_BT = selected_BT & (draw_BT >= 0.8) & (draw_BT < 0.9)",
        "selected_BT & (draw_BT < 0.9), MASK)\n"
        "    second_BT = torch.rand(ids_BT.shape, generator=generator)\n"
        "    swapped_BT = selected_BT & (second_BT < 0.1)",
        "test_masking.py::test_80_10_10",
    ),
    "special tokens selected": (
        "masking",
        "return ids_BT >= len(SPECIALS)",
        "return ids_BT == ids_BT",
        "test_masking.py::test_eligible_is_all_but_special_tokens_and_unk",
    ),
    "[UNK] selected": (
        "masking",
        "return ids_BT >= len(SPECIALS)",
        "return (ids_BT >= len(SPECIALS)) | (ids_BT == 1)",
        "test_masking.py::test_eligible_is_all_but_special_tokens_and_unk",
    ),
    "a random word that may be special": (
        "masking",
        "len(SPECIALS), vocab_size, ids_BT.shape",
        "0, vocab_size, ids_BT.shape",
        "test_masking.py::test_random_words_are_drawn_evenly_and_are_never_special",
    ),
    "input changed in place": (
        "masking",
        "inputs_BT = ids_BT.masked_fill(selected_BT",
        "inputs_BT = ids_BT.masked_fill_(selected_BT",
        "test_masking.py::"
        "test_mask_tokens_labels_what_it_selected_and_touches_nothing_else",
    ),
    "labels at all positions": (
        "masking",
        "return inputs_BT, ids_BT.masked_fill(~selected_BT, IGNORE)",
        "return inputs_BT, ids_BT",
        "test_masking.py::test_nothing_eligible_nothing_masked",
    ),
    "loss at all positions": (
        "masking",
        "labels_BM.flatten(),\n        ignore_index=IGNORE,",
        "labels_BM.flatten().clamp(min=0),",
        "test_masking.py::test_loss_does_not_see_what_stands_at_other_positions",
    ),
    "[PAD] looked at": (
        "model",
        "mask_BS = None if real_BT.all() else real_BT",
        "mask_BS = None",
        "test_model.py::"
        "test_padding_cannot_change_the_output_of_a_real_position[rotary-pre]",
    ),
    "output layer not tied": (
        "model",
        "if config.tied:",
        "if not config.tied:",
        "test_model.py::test_tied_weights_are_one_parameter_and_untied_are_two",
    ),
    "equally frequent words in the order in which they came": (
        "tokenizer",
        "key=lambda word: (-counts[word], word)",
        "key=lambda word: -counts[word]",
        "test_tokenizer.py::test_ids_follow_frequency_then_the_word",
    ),
    "dropout on in evaluation": (
        "evaluate",
        "model, device = shallow_copy(model).eval(), next(model.parameters()).device\n"
        "    total,",
        "device = next(model.parameters()).device\n    total,",
        "test_faults.py::test_dropout_is_off_while_scoring_and_on_again_after",
    ),
    "dropout off after the first evaluation": (
        "evaluate",
        "shallow_copy(model).eval(), next(model.parameters()).device\n    total,",
        "model.eval(), next(model.parameters()).device\n    total,",
        "test_faults.py::test_dropout_is_off_while_scoring_and_on_again_after",
    ),
    "best weights that go on changing": (
        "run",
        "{k: v.clone() for k, v in own_weights(model).items()}",
        "own_weights(model)",
        "test_faults.py::test_early_stopping_keeps_a_copy_of_the_best_weights",
    ),
    "best weights not restored": (
        "train",
        "    run.stopping.restore(model)\n    return",
        "    return",
        "test_faults.py::test_training_ends_with_the_best_weights",
    ),
    "resume forgets the state of the optimizer": (
        "run",
        "optimizer.load_state_dict(saved)",
        "pass",
        "test_faults.py::test_an_interrupted_run_ends_as_if_it_had_not_been",
    ),
    "resume repeats the first batches": (
        "train",
        "config.batch_size, config.seed, run.step)",
        "config.batch_size, config.seed)",
        "test_faults.py::test_an_interrupted_run_ends_as_if_it_had_not_been",
    ),
    "hidden position off by one": (
        "predict",
        "[:, None] + 1  # after",
        "[:, None]  # after",
        "test_faults.py::test_the_word_asked_for_is_the_one_hidden",
    ),
    "attention of the position beside the hidden one": (
        "predict",
        "self.weights_NHTS[:, :, self.position + 1]",
        "self.weights_NHTS[:, :, self.position]",
        "test_faults.py::test_the_word_asked_for_is_the_one_hidden",
    ),
}


# Settings that are 1 while copies are tested.
ONE = "OMP_NUM_THREADS", "PYTHONDONTWRITEBYTECODE", "PYTEST_DISABLE_PLUGIN_AUTOLOAD"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What pytest returned for each fault, and under "" for none."""
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork a process")
    top = tmp_path_factory.mktemp("faults")
    skip = shutil.ignore_patterns("__pycache__")
    jobs = []
    for i, fault in enumerate(["", *FAULTS]):
        folder = top / str(i)
        for part in ("helpers", "studies", "tests"):
            shutil.copytree(ROOT / part, folder / part, ignore=skip)
        if not fault:
            chosen = {node for *_, node in FAULTS.values()}
        else:
            module, old, new, node = FAULTS[fault]
            path = folder / "helpers" / f"{module}.py"
            source = path.read_text("utf-8")
            assert source.count(old) == 1, f"{fault}: {old!r} is not there once"
            path.write_text(source.replace(old, new), "utf-8")
            chosen = {node}
        jobs.append([str(folder), [f"tests/{node}" for node in sorted(chosen)]])
    told = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "forked.py"), str(top / "codes.json")],
        input=json.dumps(jobs),
        env=os.environ | dict.fromkeys(ONE, "1"),
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    assert told.returncode == 0, told.stdout
    codes = json.loads((top / "codes.json").read_text("utf-8"))
    return dict(zip(["", *FAULTS], codes, strict=True)), told.stdout


def test_without_a_fault_all_named_tests_pass(outcomes):
    codes, told = outcomes
    assert codes[""] == pytest.ExitCode.OK, told


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_noticed(fault, outcomes):
    codes, told = outcomes
    # Not just any failure: the test was found, ran, and failed.
    assert codes[fault] == pytest.ExitCode.TESTS_FAILED, told
