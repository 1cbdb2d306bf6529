"""How well the agent measures: each section is a table of its own in docs/measuring.md."""
