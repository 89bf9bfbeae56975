"""How each embedded model was made; pictures and checkpoints stay outside the repository."""
