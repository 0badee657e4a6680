"""What the fleet said, kept: journal, chunks, rollups, and questions about the past. See docs/history.md."""
