"""Lets `python -m simulators` do what the `simulate` command does."""

from __future__ import annotations

from simulators.cli import main

main()
