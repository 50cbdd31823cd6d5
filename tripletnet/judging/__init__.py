"""Judge runs on images that they have not seen, and codes from anywhere."""

from tripletnet.judging.control import judge_control
from tripletnet.judging.run import judge_run, load_run_data

__all__ = ["judge_control", "judge_run", "load_run_data"]
