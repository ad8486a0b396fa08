"""Every lesson of the project's origin, measured: `python -m studies.lessons`.

Arms, claims and figure of each stand in `length`, `layout`, `vocabulary`, `size`,
`tying`, `small` and `masks`, and another claim in `knowledge`; `study` joins them.
`arms` says what an arm is. `runs` trains and scores it, on the words of `asked`, too,
and `costs` times its steps. `readings` are the numbers that the claims
compare.
"""
