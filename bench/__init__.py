"""Side-by-side measurements with real packets; each prints a table and writes it into the docs."""
