"""The tables of the store, as a Django app, and their migrations."""
