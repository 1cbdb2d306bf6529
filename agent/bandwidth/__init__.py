"""Bandwidth tests of one uplink: a process of its own, never part of the daemon."""
