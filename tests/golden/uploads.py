"""Writes pictures as people have them, and what PIL reads of them: data/uploads/.

    python uploads.py

Pillow 13.0.0, which also reads the files back. The picture is a smooth one of 24x20 pixels, so that
JPEG keeps it. `expected.safetensors` holds for each file the RGBA that PIL reads, turned upright, and under `resized.` the
picture in other sizes by PIL's Lanczos filter, which diffusers' VaeImageProcessor takes.
"""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps
from safetensors.torch import save_file

FOLDER = Path(__file__).parent / "data" / "uploads"
WIDTH, HEIGHT = 24, 20
ORIENTATION = 0x0112
KINDS = [".png", ".jpg", ".webp"]


def picture():
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    red = 40 + 8 * x
    green = 230 - 9 * y
    blue = 128 + 60 * np.sin(x / 6) * np.cos(y / 5)
    return np.stack([red, green, blue], -1).round().astype(np.uint8)


def alpha():
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return ((x * 11 + y * 7) % 256).astype(np.uint8)


def exif(orientation):
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def profile(space):
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes())
    made[24:36] = bytes(12)  # the date
    return bytes(made)


# The passes of Adam7 (PNG specification, 8.2): first column and row, then the steps between them.
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def interlaced(pixels):
    """A PNG of 8-bit RGB in seven passes, which PIL reads but does not write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = [row.tobytes() for x, y, dx, dy in PASSES for row in pixels[y::dy, x::dx] if row.size]
    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def archive():
    """A ZIP with a web page: behind a picture, the file is both."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr(zipfile.ZipInfo("page.html"), "<script>alert(1)</script>")
    return file.getvalue()


def write(name, image, **options):
    image.save(FOLDER / name, **options)
    return name


def write_bytes(name, data):
    (FOLDER / name).write_bytes(data)
    return name


def main():
    FOLDER.mkdir(exist_ok=True, parents=True)
    rgb = Image.fromarray(picture())
    rgba = Image.fromarray(np.dstack([picture(), alpha()]))
    grey16 = Image.fromarray(picture()[..., 0].astype(np.uint16) * 257)
    names = [
        write("rgb.png", rgb),
        write("rgba.png", rgba),
        write("palette.png", rgb.quantize(16)),
        write("palette_transparent.png", rgb.quantize(16), transparency=3),
        write("grey.png", rgb.convert("L")),
        write("grey_16.png", grey16),
        write("grey_alpha.png", rgba.convert("LA")),
        write("bits.png", rgb.convert("1")),
        write("srgb.png", rgb, icc_profile=profile("sRGB")),
        write("xyz.png", rgb, icc_profile=profile("XYZ")),
        write("rgb.webp", rgb, lossless=True),
        write("rgba.webp", rgba, lossless=True, exact=True),
        write("lossy.webp", rgb, quality=90),
        write("animated.webp", rgb, save_all=True, append_images=[ImageOps.invert(rgb)], lossless=True),
        write("rgb.jpg", rgb, quality=95, subsampling=0),
        write("progressive.jpg", rgb, quality=95, progressive=True, subsampling=0),
        write("grey.jpg", rgb.convert("L"), quality=95),
        write("cmyk.jpg", rgb.convert("CMYK"), quality=95),
        write("animated.png", rgb, save_all=True, append_images=[ImageOps.invert(rgb)]),
    ]
    names += [write(f"turned_{i}.jpg", rgb, quality=95, subsampling=0, exif=exif(i)) for i in range(2, 9)]
    names += [write_bytes("interlaced.png", interlaced(picture()))]
    names += [write_bytes(f"zip_behind{kind}", (FOLDER / f"rgb{kind}").read_bytes() + archive()) for kind in KINDS]
    names += [write("turned_6.png", rgb, exif=exif(6)), write("turned_6.webp", rgb, exif=exif(6), lossless=True)]
    tensors = {}
    for name in names:
        image = Image.open(FOLDER / name)
        if image.mode.startswith("I;16"):
            image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
        image = ImageOps.exif_transpose(image)
        tensors[name] = torch.from_numpy(np.array(image.convert("RGBA")))
    for width, height in [(12, 10), (48, 40), (31, 9), (7, 33)]:
        resized = rgb.resize((width, height), Image.Resampling.LANCZOS)
        tensors[f"resized.{width}x{height}"] = torch.from_numpy(np.array(resized.convert("RGBA")))
    for name, extension in [("gif", "gif"), ("bmp", "bmp"), ("tiff", "tiff")]:
        rgb.save(FOLDER / f"other.{extension}", format=name)
    save_file(tensors, FOLDER / "expected.safetensors")


if __name__ == "__main__":
    main()
