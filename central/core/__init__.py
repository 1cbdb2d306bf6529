"""Decides; no clock, no sockets, no files, no asyncio. Time is an argument."""
