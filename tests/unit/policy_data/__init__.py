"""An invented fleet on an invented catalogue, and the cases of every rule of stacks/policy."""
