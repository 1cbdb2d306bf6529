"""The centre: collects what stations report, stores it, shows it."""
