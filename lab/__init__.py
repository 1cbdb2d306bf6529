"""Virtual polling stations in network namespaces, with real packets and weather on every link."""
