"""The only part that knows HTTP and WebSockets."""
