#!/usr/bin/env bash
# Pillow 13.0.0: mean, deviation and extremes of an image that has not 8 bits are those of something else.
#
# Guess:  ImageStat gives them of the pixels, as numpy does, for 16 bits of grey and for floats too; or it refuses.
# Seen:   all are taken from a histogram of 256 places. For 16 bits of grey (I;16) that counts the bytes, low and high ones alike, of the
#         left half of each row: what is in the right half does not matter. For whole numbers of 32 bits and for floats it has 256 steps
#         from the smallest to the largest pixel: the extremes are always 0 and 255, and an image has the mean of one that is a thousandth
#         of it. Whoever normalizes scans or depths by these figures normalizes by noise.
# So:     numpy.asarray(image).mean() and .std(); the image's own getextrema is right.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install pillow==13.0.0 numpy==2.4.6

seen_as 'I;16: pixels 0 to 65535, mean 26633.75; ImageStat 0 to 156, mean 55.00
I;16: pixels 0 to 40000, mean 10000.00; ImageStat 0 to 156, mean 55.00
I: pixels 0 to 65535, mean 26633.75; ImageStat 0 to 255, mean 103.25
F: pixels 0 to 65535, mean 26633.75; ImageStat 0 to 255, mean 103.25
F: pixels 0 to 66, mean 26.63; ImageStat 0 to 255, mean 103.25
L: pixels 0 to 255, mean 103.50; ImageStat 0 to 255, mean 103.50' <<'PYTHON'
import numpy as np
from PIL import Image, ImageStat

pixels = np.array([[0, 1000], [40000, 65535]])
left = np.array([[0, 0], [40000, 0]])
for values in (
    pixels.astype(np.uint16),
    left.astype(np.uint16),
    pixels.astype(np.int32),
    pixels.astype(np.float32),
    (pixels / 1000).astype(np.float32),
    (pixels // 256).astype(np.uint8),
):
    image = Image.fromarray(values)
    said = ImageStat.Stat(image)
    smallest, largest = said.extrema[0]
    print(f"{image.mode}: pixels {values.min():.0f} to {values.max():.0f}, mean {values.mean():.2f}", end="; ")
    print(f"ImageStat {smallest} to {largest}, mean {said.mean[0]:.2f}")
PYTHON
