"""The core: plain values and a number for time."""
