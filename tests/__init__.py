"""Tests are sentences about a station; seconds pass because we say so."""
