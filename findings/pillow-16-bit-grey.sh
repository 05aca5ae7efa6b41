#!/usr/bin/env bash
# Pillow 13.0.0.
#
# Guess:  an image of 16 bits of grey, such as an X-ray, becomes one of 8 bits by its upper eight, as an image of 16 bits of red, green and
#         blue does when it is opened.
# Seen:   convert("L") and convert("RGB") cut off at 255: all but the darkest 256th of the scale is white. Images of 16 bits of each colour
#         are scaled.
# So:     look at the mode (I;16), and divide before converting.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install pillow==13.0.0 numpy==2.4.6

seen_as "I;16 L [0, 255, 255, 255]
I;16 RGB [0, 255, 255, 255]
colours RGB [0, 1, 128, 255]" <<'PYTHON'
import io
import struct
import zlib

import numpy as np
from PIL import Image

values = np.array([[0, 256, 32768, 65535]], np.uint16)


def png(samples, colour_type):
    """A PNG of 16 bits a sample, as its standard has it."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], 16, colour_type, 0, 0, 0)
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


for mode in ("L", "RGB"):
    image = Image.open(png(values, 0))
    print(image.mode, mode, np.asarray(image.convert(mode)).reshape(4, -1)[:, 0].tolist())
image = Image.open(png(np.repeat(values[..., None], 3, axis=2), 2))
print("colours", image.mode, np.asarray(image)[0, :, 0].tolist())
PYTHON
