"""How Hypothesis generates for these tests."""

from hypothesis import settings

# On a machine that does other things as well, no example has its time: how long one takes is no result of a test.
settings.register_profile("stakeyard", deadline=None)
settings.load_profile("stakeyard")
