"""What Ethereum's protocol says of signing: histories, keystores, addresses, and what a chain shows of validators.

Standard library only, except where a function says otherwise: parts of it run on the hosts.
"""
