"""The studies as Markdown tables; what has not been run is named, with its command."""

from studies.lab.report import plus_minus



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
