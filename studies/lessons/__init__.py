"""Every lesson of the project's origin, measured: `python -m studies.lessons`.

`arms` says what is trained, and `runs` trains and scores it, on the words of `asked`,
too. `costs` times the steps. `readings` takes numbers from the records, which decide
the `claims` and are drawn in `figures`; `study` joins all of these.
"""
