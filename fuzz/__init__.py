"""Bytes from outside, made up by a machine that sees which branches they reach; each reader must refuse or read."""
