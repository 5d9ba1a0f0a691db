"""`python -m images.lab`."""

from images.lab.cli import main

main()
