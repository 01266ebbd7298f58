"""Images: turned upright, with the pixels that models need, and without what a camera noted in them."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any, Final

from workers.files.base import Read, Unreadable

MAX_PIXELS: Final = 100_000_000
MODEL_EDGE: Final = 2_048  # pixels that are kept of the longer edge
TILE_RATIO: Final = 2.5  # an image that is so much longer than wide is cut into several
MAX_TILES: Final = 8
MAX_BYTES: Final = 3_700_000  # of an image for a model: 5 MB in base64, which is the least that APIs take
THUMBNAIL_EDGE: Final = 320
QUALITIES: Final = (90, 80, 65, 45)


def read_image(path: Path, folder: Path) -> Read:
    """The images for models, a thumbnail, and the size of the first frame as it is shown."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # it is checked here, for every format
    _register_heif()
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Unreadable("too_many_pixels")
            photo = image.format in ("JPEG", "HEIF", "AVIF", "MPO")
            if image.format in ("JPEG", "MPO") and min(image.size) > 2 * MODEL_EDGE:
                size = image.size
                image.draft("RGB", (2 * MODEL_EDGE, 2 * MODEL_EDGE))  # decodes it smaller, with less memory
            else:
                size = image.size
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8) and image.format not in ("HEIF", "AVIF")
            ImageOps.exif_transpose(image, in_place=True)
            upright = _plain(image)
    except Unreadable:
        raise
    except MemoryError:
        raise
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, ArithmeticError, KeyError) as error:
        raise Unreadable("broken") from error
    width, height = (size[1], size[0]) if turned else size
    read = Read(width=width, height=height, total=1)
    for number, tile in enumerate(_tiles(upright), 1):
        read.images.append(save_image(tile, folder, f"image-{number}", photo=photo))
    read.total = len(read.images)
    save_thumbnail(upright, folder)
    read.thumbnail = True
    return read


def _register_heif() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()


def _plain(image: Any) -> Any:
    """An image in RGB or RGBA, in the colours of a screen as far as its profile says."""
    from PIL import ImageCms

    profile = image.info.get("icc_profile")
    if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        image = image.convert("F").point(lambda value: value / 256).convert("L")
    if image.mode == "P" or image.mode == "PA":
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    if profile and image.mode in ("RGB", "CMYK"):
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
            image = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
    mode = "RGBA" if image.mode in ("RGBA", "LA") or "transparency" in image.info else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    image.load()
    image.info = {}
    return image


def _tiles(image: Any) -> list[Any]:
    """The image, scaled so that its longer edge has at most `MODEL_EDGE` pixels. One that is far longer than wide, such
    as a screenshot of a whole page, is cut into several: scaled as a whole it could not be read.
    """
    long, short = max(image.size), min(image.size)
    if long <= MODEL_EDGE or long < TILE_RATIO * short:
        return [_scaled(image)]
    number = min(MAX_TILES, -(-long // max(MODEL_EDGE, min(int(short * 1.5), long))))
    step = -(-long // number)
    found = []
    for start in range(0, long, step):
        end = min(start + step, long)
        box = (0, start, image.width, end) if image.height == long else (start, 0, end, image.height)
        found.append(_scaled(image.crop(box)))
    return found


def _scaled(image: Any) -> Any:
    from PIL import Image

    factor = MODEL_EDGE / max(image.size)
    if factor >= 1:
        return image
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _flat(image: Any) -> Any:
    """Without transparency, on white."""
    from PIL import Image

    if image.mode != "RGBA":
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def save_image(image: Any, folder: Path, name: str, *, photo: bool) -> str:
    """Writes an image of at most `MAX_BYTES`: photos as JPEG, others as PNG if that is small enough. Its file name."""
    if not photo:
        path = folder / f"{name}.png"
        image.save(path, "PNG")
        if path.stat().st_size <= MAX_BYTES:
            return path.name
        path.unlink()
    path = folder / f"{name}.jpg"
    for quality in QUALITIES:
        _flat(image).save(path, "JPEG", quality=quality)
        if path.stat().st_size <= MAX_BYTES:
            break
    return path.name


def save_thumbnail(image: Any, folder: Path) -> None:
    """Writes `thumbnail.webp`."""
    from PIL import Image

    small = image.copy()
    small.thumbnail((THUMBNAIL_EDGE, THUMBNAIL_EDGE), Image.Resampling.LANCZOS)
    small.save(folder / "thumbnail.webp", "WEBP", quality=80)
