"""Diagnosis: what it concludes from plain values, and what it sees with real packets."""
