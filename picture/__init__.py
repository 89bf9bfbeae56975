"""What a bundle's "preprocess" means, written once: the converter checks and verifies with it, the server runs it."""

from picture.preprocess import PictureError, apply, complete, output_size

__all__ = ["PictureError", "apply", "complete", "output_size"]
