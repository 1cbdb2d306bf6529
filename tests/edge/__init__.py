"""The edges: real sockets, a real database, a real broker, and in a cell the real kernel."""
