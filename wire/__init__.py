"""The contract: all that agent and centre share. It imports nothing of ours."""
