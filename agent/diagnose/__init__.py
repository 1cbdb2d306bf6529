"""One uplink looked at closely, layer by layer, in a process of its own; the daemon never imports this."""
