"""The bytes of a JPEG, PNG or WebP file -> RGBA pixels, as a browser would show them: upright, sRGB. No Flask here."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps

import picture

FORMATS = ("JPEG", "PNG", "WEBP")
SRGB = ImageCms.createProfile("sRGB")

# Pillow's own limit only warns between one and two times its value. Ours is checked below, before anything is decoded.
Image.MAX_IMAGE_PIXELS = None


class NotAPicture(ValueError):
    """The bytes are no picture that can be read."""


class TooLarge(ValueError):
    """The picture, or the tensor it would become, is above the limits."""


def decode(content: bytes | memoryview, max_pixels: int, max_side: int) -> np.ndarray:
    """uint8 [h, w, 4]; only the first picture of an animation. Raises NotAPicture or TooLarge.

    JPEG is decoded whole, not at a reduced scale: the page decodes it whole too, and both must give the same answer.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            check_size(image.width, image.height, max_pixels, max_side)
            return to_rgba(image)
    except TooLarge:
        raise
    except Exception as error:  # Pillow's readers raise nearly everything on damaged files
        raise NotAPicture("the body is not a JPEG, PNG or WebP file, or it is damaged") from error


def check_size(width: int, height: int, max_pixels: int, max_side: int) -> None:
    """Raise TooLarge from the header alone."""
    if width * height > max_pixels or max(width, height) > max_side:
        most = f"{max_pixels / 1e6:g} megapixels and {max_side} pixels along a side"
        raise TooLarge(f"the picture is {width}×{height}; this server takes at most {most}")


def to_rgba(image: Image.Image) -> np.ndarray:
    """The decoded picture: turned as its EXIF says, in sRGB."""
    if image.mode.startswith("I"):  # 16 bits per pixel, grey: keep the upper eight
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    else:
        image = ImageOps.exif_transpose(image)
    profile = image.info.get("icc_profile")
    transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    if transparent:
        rgba = np.array(image.convert("RGBA"))
        rgba[rgba[:, :, 3] == 0] = 0  # a browser keeps no colour where nothing is seen
        return rgba
    return np.array(in_srgb(image, profile).convert("RGBA"))


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Colours of a wide-gamut photo as a browser shows them; a profile that makes no sense is left aside."""
    if not profile or image.mode not in ("RGB", "L", "CMYK"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image
        converted = ImageCms.profileToProfile(image, source, SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image
    return image if converted is None else converted


def tensor(spec: dict[str, Any], rgba_u8: np.ndarray, max_pixels: int, max_side: int) -> np.ndarray:
    """The model's input. Raises TooLarge before allocating, NotAPicture when the rule cannot take this picture."""
    height, width = picture.output_size(spec, *rgba_u8.shape[:2])
    if height * width > max_pixels or max(height, width) > max_side:
        raise TooLarge(f"the model would take this picture as {width}×{height}, which is above this server's limits")
    try:
        return picture.apply(spec, rgba_u8)
    except picture.PictureError as error:
        raise NotAPicture(error.what) from error
