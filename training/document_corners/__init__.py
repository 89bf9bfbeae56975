"""Document corners: a synthetic photo generator, a small corner network, and its road to a bundle."""
