"""Tests of what the benches rest on: sentences about a link and a rule, with chance and time given."""
