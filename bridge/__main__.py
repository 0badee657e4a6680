"""`python -m bridge` is `fleetwire`."""

from bridge.cli import main

main()
