"""The names of the files in a run folder; nothing here is slow to import."""

from __future__ import annotations

from tripletnet.event_files import EVENT_FILES

DESCRIPTION = "run.json"
PARAMETERS = "encoder.params"
BEST_PARAMETERS = "best.params"
HISTORY = "history.csv"
CURVES = "curves.png"
VALIDATION = "validation.csv"
NEIGHBOURS = "neighbours"
THRESHOLD = "threshold.json"
LEFT_OUT = "left_out.tsv"
SPLIT = "split.json"
CALIBRATION = "calibration.npz"
INT8 = "int8.json"
INT8_PARAMETERS = "int8.params"
CHECKPOINTS = "checkpoint-*.npz"
TENSORBOARD = "tensorboard"

#: What training writes, and would write over.
WRITTEN = (
    PARAMETERS,
    THRESHOLD,
    SPLIT,
    INT8,
    INT8_PARAMETERS,
    CALIBRATION,
    BEST_PARAMETERS,
    HISTORY,
    VALIDATION,
    LEFT_OUT,
    CURVES,
    f"{NEIGHBOURS}/*.png",
    f"{TENSORBOARD}/{EVENT_FILES}",
    CHECKPOINTS,
)

#: What lies in every run folder, and nowhere else.
OF_EVERY_RUN = (DESCRIPTION, CALIBRATION)
