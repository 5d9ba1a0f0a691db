"""What Pulumi runs of this folder as a policy pack."""

from stacks.policy.pack import run

run()
