"""The contract: golden files, topics, codes."""
