#!/usr/bin/env bash
# PySpark 4.3.0, the data source "image".
#
# Guess:  a PNG of 16 bits of grey, such as an X-ray, is read by the upper eight of them, or is one of the images that cannot be read.
# Seen:   each pixel is the lower eight: a ramp from black to white is all black where the values are multiples of 256, and noise elsewhere.
#         Mode and size say nothing of it. A PNG of 16 bits of each colour is read by the upper eight.
# So:     read such files with the source "binaryFile", and decode them.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install pyspark==4.3.0 numpy==2.4.6

seen_as "colours mode 16 [0, 1, 128, 255]
grey mode 0 [0, 0, 0, 255]" <<'PYTHON'
import struct
import zlib
from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession

values = np.array([[0, 256, 32768, 65535]], np.uint16)


def png(samples, colour_type):
    """A PNG of 16 bits a sample, as its standard has it."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


Path("images").mkdir()
Path("images", "grey.png").write_bytes(png(values, 0))
Path("images", "colours.png").write_bytes(png(np.repeat(values[..., None], 3, axis=2), 2))
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
for row in spark.read.format("image").load("images").select("image.*").sort("origin").collect():
    print(Path(row.origin).stem, "mode", row.mode, list(row.data[:: row.nChannels]))
spark.stop()
PYTHON
