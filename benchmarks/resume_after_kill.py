"""Kill a training run at random moments, take it up again, and compare the final parameters.

    python -m benchmarks.resume_after_kill --kills 20
    python -m benchmarks.resume_after_kill photos/ --kills 20 --images 4000

One run is left alone. Then, as often as asked for, a new one is killed (SIGKILL) at a moment drawn
evenly from the time that the first one took, from the start of the process on, and is taken up
again by ``--resume``. Every one must end with the same bits in ``encoder.params``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.command import check_ended, positive
from tripletnet.command import CommandParser, add_seed, run_command


def train(data: str, out: Path, images: int, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tripletnet", "train", data, "--out", str(out)]
    length = ["--images", str(images), "--save-minutes", "0.005", "--quiet"]
    return subprocess.Popen(
        [*command, *length, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> None:
    _, error = process.communicate()
    check_ended(process.returncode, error)


def parameters(run: Path) -> str:
    return hashlib.sha256((run / "encoder.params").read_bytes()).hexdigest()


def steps_done(run: Path) -> int:
    """Return how far the newest checkpoint is; 0 if there is none."""
    steps = [int("".join(filter(str.isdigit, path.stem))) for path in run.glob("checkpoint*.npz")]
    return max(steps, default=0)


def parser() -> CommandParser:
    options = CommandParser(
        "python -m benchmarks.resume_after_kill", description=__doc__.splitlines()[0]
    )
    add = options.add_argument
    add("data", nargs="?", default="digits", help="what train takes as DATA")
    add("--kills", type=positive, default=20)
    add("--images", type=positive, default=4000, help="the length of the run")
    add_seed(options)
    return options


def main(options: argparse.Namespace) -> int:
    """Return 1 if a run ended with other bits."""
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / "alone"
        start = time.monotonic()
        finish(train(options.data, alone, options.images))
        seconds = time.monotonic() - start
        expected = parameters(alone)
        print(f"undisturbed: {seconds:.1f} s, {expected[:16]}", flush=True)
        same = 0
        for kill in range(options.kills):
            run = Path(folder) / f"killed-{kill}"
            moment = draw.uniform(0, seconds)
            process = train(options.data, run, options.images)
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            done = steps_done(run)
            finish(train(options.data, run, options.images, "--resume"))
            same += parameters(run) == expected
            print(
                f"killed after {moment:5.1f} s, checkpoint at step {done:3}: "
                f"{'same' if parameters(run) == expected else 'DIFFERENT'}",
                flush=True,
            )
    print(json.dumps({"kills": options.kills, "identical": same}))
    return int(same != options.kills)


if __name__ == "__main__":
    run_command(main, parser())
