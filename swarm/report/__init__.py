"""The report of a run: what the terminal says at its end, and one HTML file that asks no network for anything.

`aggregates` makes the tables small, `charts` says how a chart looks, `sections` has a file for each part of the page,
`deciders` and `wording` put the summary into words, `outcome` is the terminal's, and `page` lays all of it out.
"""
