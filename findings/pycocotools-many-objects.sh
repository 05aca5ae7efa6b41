#!/usr/bin/env bash
# pycocotools 2.0.11: with a limit above 100 detections, as images of more than 100 objects need, the average precision is −1.
#
# Guess:  AP is for the last of maxDets, which is 100 at first; with [1, 10, 300] it is that of 300 detections.
# Seen:   a perfect result for 150 objects has AP 0.66, for 100 of 150 are looked at. With [1, 10, 300] everything is computed for 300, and
#         the first figure of the summary, AP itself, is looked up for 100, which is not among them any more: −1. The second, AP at 0.5,
#         is right.
# So:     take it from what accumulate() has left: eval["precision"][:, :, :, 0, -1], the mean of what is not −1.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install pycocotools==2.0.11 numpy==2.4.6

seen_as '[1, 10, 100]: AP 0.66, AP at 0.5 0.66, from eval 0.66
[1, 10, 300]: AP -1.00, AP at 0.5 1.00, from eval 1.00' <<'PYTHON'
import contextlib
import io

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

boxes = [[20 * (one % 15), 20 * (one // 15), 15, 15] for one in range(150)]
truth = COCO()
truth.dataset = {
    "info": {},
    "images": [{"id": 1, "width": 300, "height": 300}],
    "categories": [{"id": 1, "name": "cell"}],
    "annotations": [
        {"id": 1 + at, "image_id": 1, "category_id": 1, "bbox": box, "area": 225, "iscrowd": 0} for at, box in enumerate(boxes)
    ],
}
with contextlib.redirect_stdout(io.StringIO()):
    truth.createIndex()
    found = truth.loadRes([{"image_id": 1, "category_id": 1, "bbox": box, "score": 0.9} for box in boxes])
for limits in ([1, 10, 100], [1, 10, 300]):
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.params.maxDets = limits
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    print(f"{limits}: AP {evaluation.stats[0]:.2f}, AP at 0.5 {evaluation.stats[1]:.2f}, from eval {np.mean(precision[precision > -1]):.2f}")
PYTHON
