"""Runs a checkout's program without an engine, or with an engine that is asked only what is in question.

The checkout may be another revision, so nothing here imports anything of `stacks`: that is the checkout's own.
"""
