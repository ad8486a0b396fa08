"""The explorer of notebook 05: hide a word, see the guess, the gaze and what it needs.

Bottom floor first: `vocabulary` asks a tokenizer, `chances` a model, `predict` and
`knockout` put the questions, `drawn_text`, `attention_plots` and `heatmap` draw what
the model looked at, `markup` and `tables` write HTML, `views` knows what to show of one
sentence, `events` answers one event after the other, `controls` are what a reader
touches, `game` and `comparison` are more to try, `saving` writes files, and `widget`
puts them together. It stands on `helpers/`, which knows nothing of it.
"""


def __getattr__(name: str):
    """The widget's own packages are imported where it is used."""
    if name != "Explorer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from explorer.widget import Explorer

    return Explorer
