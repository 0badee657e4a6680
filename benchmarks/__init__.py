"""Measured claims: each module prints the figures that README quotes."""
