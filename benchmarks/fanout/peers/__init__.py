"""The servers we compare with, each as its own documentation or the usual tutorial writes it."""
