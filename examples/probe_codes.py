"""Judge codes from any source: an .npz with `codes` (N, D) and `labels` (N,).

python examples/probe_codes.py CODES.npz
"""

import sys

import numpy as np
from sklearn.model_selection import train_test_split

from tripletnet import SVMProbe

with np.load(sys.argv[1], allow_pickle=False) as stored:
    codes, labels = stored["codes"].astype(np.float32), stored["labels"]
train, test = train_test_split(np.arange(len(codes)), stratify=labels, random_state=0)
probe = SVMProbe().fit(codes[train], labels[train])
print(f"SVM accuracy {probe.score(codes[test], labels[test]):.1%} (C = {probe.C_})")
