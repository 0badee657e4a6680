"""How devices speak. Pure: bytes in, observations out. One file per convention; the order is in `registry`."""
