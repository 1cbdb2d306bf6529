"""Virtual polling stations in network namespaces; a tool, not shipped in the wheel."""
