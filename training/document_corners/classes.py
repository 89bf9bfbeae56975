"""The failure classes of the validation set, each a recipe of its own."""

from __future__ import annotations

from dataclasses import replace

from training.document_corners.scene import Recipe

USUAL = replace(Recipe(), negative=0.0)
CLASSES = {
    "usual": USUAL,
    "two_tone": replace(USUAL, kinds=("two_tone", "spiral")),
    "card_in_hand": replace(USUAL, kinds=("identity", "bank_card", "business_card"), held_card=1.0),
    "striped_card": replace(USUAL, kinds=("bank_card", "identity"), held_card=0.0),
    "magazine": replace(USUAL, kinds=("magazine", "menu")),
    "cover": replace(USUAL, kinds=("cover", "dark_print")),
    "pale_on_pale": replace(USUAL, kinds=("letter", "form", "plain", "notes", "ruled"), pale=1.0),
    "receipt": replace(USUAL, kinds=("receipt",)),
    "open_book": replace(USUAL, kinds=("open_book",), thick=0.6),
    "partly_out": replace(USUAL, outside=0.7, full=0.5),
    "cluttered": replace(USUAL, objects=0.8, papers=0.6, on_top=0.3),
    "fingers": replace(USUAL, fingers=0.8),
    "poor_light": replace(USUAL, cast=0.8, glare=0.5, dark=0.4, noisy=0.8),
    "negative": replace(USUAL, negative=1.0),
}
