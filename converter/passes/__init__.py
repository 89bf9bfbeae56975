"""Graph → Graph: each pass a file with `run(graph) -> Graph`; the order and its reasons stand in pipelines.py."""
