"""``make demo``: a small data centre in namespaces, live."""
