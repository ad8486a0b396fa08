"""The studies as Markdown tables; what has not been run is named, with its command."""

from studies.lab.report import plus_minus

NAMES = {
    "none": "no dropout",
    "attention": "0.1 on attention weights",
    "all": "0.1 at BERT's sites",
}
GPU_EPOCHS, COMMAND = "50", "`python -m studies.dropout`"


def dropout_table(summary: dict) -> str:
    """The study as a Markdown table; a run that is missing is named as missing."""
    lines = [
        "| Epochs | Dropout | Seeds | Validation loss | Right | Minus none | Gap | "
        "Best epoch | Test loss |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for epochs, table in sorted(summary["budgets"].items(), key=lambda b: float(b[0])):
        for arm, name in NAMES.items():
            if arm not in table:
                missing = f"| {epochs} | {name} | 0 | not run yet: {COMMAND} |"
                lines.append(missing + " |" * 5)
                continue
            means = table[arm]["means"]
            minus = table[arm].get("minus_none", {}).get("loss")
            cells = [
                epochs,
                name,
                str(means["loss"]["n"]),
                plus_minus(means["loss"], 3),
                plus_minus(means["accuracy"], 1, 100) + " %",
                plus_minus(minus, 3, sign="+") if minus else "",
                plus_minus(means["gap"], 3),
                plus_minus(means["best_epoch"], 1),
                plus_minus(means["test_loss"], 3),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    if GPU_EPOCHS not in summary["budgets"]:
        missing = f"| {GPU_EPOCHS} | all three | 0 | not run yet: {COMMAND} on a GPU |"
        lines.append(missing + " |" * 5)
    return "\n".join(lines)


def plateau_table(summary: dict) -> str:
    """Steps until the plateau is left, by positions, as a Markdown table."""

    def told(step: int | None) -> str:
        return f"over {summary['steps']:,}" if step is None else f"{step:,}"

    rates = ", ".join(f"{rate:g}" for rate in summary["rates"])
    lines = [
        f"| Positions | Seed 0 at {rates} | Best rate | Steps at it, by seed | Mean |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, row in summary["arms"].items():
        mean = plus_minus(row["mean"], 0)
        mean = f"at least {row['mean']['mean']:.0f}" if row["never"] else mean
        trials, steps = (", ".join(map(told, row[key])) for key in ("trials", "steps"))
        lines.append(f"| {name} | {trials} | {row['rate']:g} | {steps} | {mean} |")
    row = summary["control"]
    steps = told(row["step_left"])
    lines.append(f"| none (control) |  | {row['rate']:g} | {steps} | one seed |")
    return "\n".join(lines)


def speed_table(summary: dict) -> str:
    """Time to quality as a Markdown table.

    A baseline's steps and minutes are those up to its best evaluation.
    """
    lines = [
        "| Recipe | Rate | Seeds | Steps | Validation loss | Minutes | Faster by | p |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    entry = summary["entry"]
    cells = ["the series', the whole process"]
    cells += [f"Muon {entry['muon_rate']:g}, AdamW {entry['rate']:g}"]
    cells += [f"{entry['loss']['n']}", f"{entry['steps']:,}"]
    cells += [plus_minus(entry["loss"], 3)]
    cells += [plus_minus(entry["seconds"], 1, 1 / 60), "", ""]
    lines.append("| " + " | ".join(cells) + " |")
    for arm in ("plain", "scheduled"):
        if row := summary.get(arm):
            times, p = row["times_faster"], row["p"]
            cells = [
                f"{arm}, the steps of 50 epochs up to its best",
                f"{row['rate']:g}",
            ]
            cells += ["1", f"{row['steps']:,}", f"{row['loss']:.3f}"]
            cells += [f"{row['seconds'] / 60:.1f}"]
            cells += ["not reached" if times is None else f"{times:.1f} times"]
            cells += ["one seed" if p is None else f"{p:.2g}"]
        else:
            command = f"`python -m studies.speed.speedrun --baselines {arm}`"
            cells = [f"{arm}, 50 epochs, not run yet: {command}", *[""] * 7]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
