"""Writing: a Graph becomes a bundle."""
