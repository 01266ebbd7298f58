"""RapidOCR (requirements/ocr.txt): PP-OCR's small models, which its wheel contains, by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from workers.files.recognition.lines import Line

DETECTED_EDGE: Final = 1_280  # pixels of the longer edge in which lines are looked for: decides the memory
PARAMETERS: Final = {
    "Global.log_level": "critical",
    "Global.use_cls": False,  # images are upright already
    "Det.limit_type": "max",
    "Det.limit_side_len": DETECTED_EDGE,
    "Rec.rec_batch_num": 1,  # a line that is padded to a longer one's width is misread
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    "EngineConfig.onnxruntime.enable_cpu_mem_arena": False,
}


class RapidRecogniser:
    """Latin, Greek, Chinese and Japanese letters."""

    def __init__(self) -> None:
        from rapidocr import RapidOCR

        self._engine: Any = RapidOCR(params=dict(PARAMETERS))

    def read(self, path: str) -> Sequence[Line]:
        import numpy as np
        from PIL import Image

        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))[:, :, ::-1]  # as OpenCV orders colours
        found = self._engine(pixels)
        if found is None or found.boxes is None:
            return []
        lines = []
        for box, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
            across, down = [float(corner[0]) for corner in box], [float(corner[1]) for corner in box]
            lines.append(Line(str(text), min(across), min(down), max(across), max(down), float(score)))
        return lines
