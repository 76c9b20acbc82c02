"""The walk through the gate that `make demo` takes: somebody else's records system, somebody else's data."""
