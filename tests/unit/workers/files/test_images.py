"""Images: upright, large enough for models, and without the place where they were taken."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from chat.files.location import remove_location
from tests import made_files as made
from workers.files.base import Read
from workers.files.formats.images import MAX_BYTES, read_image


def read(content: bytes, folder: Path) -> Read:
    path = folder / "content"
    path.write_bytes(content)
    return read_image(path, folder)


def pixel(image: Image.Image, place: tuple[int, int]) -> Any:
    return image.getpixel(place)


def opened(folder: Path, name: str) -> Image.Image:
    return Image.open(folder / name)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF"])
def test_each_format(kind: str, tmp_path: Path) -> None:
    found = read(made.image((640, 480), kind), tmp_path)
    assert (found.width, found.height, found.thumbnail) == (640, 480, True)
    with opened(tmp_path, found.images[0]) as image:
        assert image.format in ("JPEG", "PNG")
        assert image.size == (640, 480)
        red, green, blue = pixel(image.convert("RGB"), (300, 200))
        assert red > 240
        assert max(green, blue) < 16


def test_orientation_is_applied_and_exif_is_gone(tmp_path: Path) -> None:
    found = read(made.image((400, 300), "JPEG", exif=made.gps_exif(6)), tmp_path)
    assert (found.width, found.height) == (300, 400)
    with opened(tmp_path, found.images[0]) as image:
        assert image.size == (300, 400)
        assert not image.getexif()
    with opened(tmp_path, "thumbnail.webp") as small:
        assert small.size == (240, 320)
        assert not small.getexif()


def test_at_least_2048_pixels_are_kept(tmp_path: Path) -> None:
    found = read(made.image((4032, 3024), "JPEG"), tmp_path)
    assert (found.width, found.height) == (4032, 3024)
    with opened(tmp_path, found.images[0]) as image:
        assert image.size == (2048, 1536)


def test_a_long_screenshot_is_cut_so_that_it_can_be_read(tmp_path: Path) -> None:
    found = read(made.image((1200, 9000)), tmp_path)
    assert len(found.images) > 3
    heights = 0
    for name in found.images:
        with opened(tmp_path, name) as image:
            assert image.width == 1200
            heights += image.height
    assert heights == 9000


def test_cmyk_transparency_animation_and_sixteen_bits(tmp_path: Path) -> None:
    cmyk = read(made.image((90, 60), "JPEG", mode="CMYK", colour=(0, 255, 255, 0)), tmp_path)
    with opened(tmp_path, cmyk.images[0]) as image:
        assert image.mode == "RGB"
        assert pixel(image, (40, 30))[0] > 200
    read(made.image((90, 60), mode="RGBA", colour=(0, 0, 255, 128)), tmp_path)
    frames = [Image.new("P", (50, 50), at) for at in (1, 2, 3)]
    made_gif = io.BytesIO()
    frames[0].save(made_gif, "GIF", save_all=True, append_images=frames[1:])
    assert read(made_gif.getvalue(), tmp_path).images == ["image-1.png"]
    deep = read(made.image((40, 40), mode="I;16", colour=40_000), tmp_path)
    with opened(tmp_path, deep.images[0]) as image:
        assert 150 < pixel(image.convert("L"), (20, 20)) < 162


def test_noise_stays_below_what_apis_take(tmp_path: Path) -> None:
    noise = Image.effect_noise((3000, 3000), 100).convert("RGB")
    written = io.BytesIO()
    noise.save(written, "PNG", compress_level=0)
    found = read(written.getvalue(), tmp_path)
    assert (tmp_path / found.images[0]).stat().st_size <= MAX_BYTES


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_the_place_is_removed_from_the_bytes_and_nothing_else(kind: str) -> None:
    before = made.image((64, 48), kind, exif=made.gps_exif())
    with Image.open(io.BytesIO(before)) as image:
        assert image.getexif().get_ifd(0x8825)
    data = bytearray(before)
    assert remove_location(data)
    assert len(data) == len(before)
    with Image.open(io.BytesIO(bytes(data))) as image:
        image.load()
        assert not image.getexif().get_ifd(0x8825)
        assert image.getexif()[0x010F] == "Camera Works"
        pixels = image.convert("RGB").tobytes()
    with Image.open(io.BytesIO(before)) as image:
        assert image.convert("RGB").tobytes() == pixels
    assert not remove_location(data)


def test_the_place_is_removed_from_xmp() -> None:
    packet = (
        b'<x:xmpmeta exif:GPSLatitude="52,31.2N" exif:Make="Cam">'
        b"<exif:GPSLongitude>13,24E</exif:GPSLongitude></x:xmpmeta>"
    )
    data = bytearray(packet)
    assert remove_location(data)
    assert b"52,31" not in data
    assert b"13,24" not in data
    assert b'exif:Make="Cam"' in data
    assert len(data) == len(packet)
