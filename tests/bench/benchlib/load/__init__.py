"""Crowds of clients, well behaved and not, and the sink that counts what comes out behind the gate."""
