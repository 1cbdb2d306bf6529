"""How the device gets its identity and keeps it: commands of their own, because cryptography is 12 MB."""
