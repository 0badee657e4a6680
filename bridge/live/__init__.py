"""The live plane: channels, sessions and the messages between bridge and dashboards. No socket is touched here."""
