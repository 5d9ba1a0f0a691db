"""Policies: one rule a row of `rules.py`, judged on the typed fleet and on the resources of a preview or a state."""
