"""Fleetwire: every device on an MQTT broker, live in a browser."""

__version__ = "0.1.0"
