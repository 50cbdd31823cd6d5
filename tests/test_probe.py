"""The SVM probe against liblinear, and as a scikit-learn estimator."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from tripletnet.errors import InputError
from tripletnet.evaluation.probe import SVMProbe
from tripletnet.evaluation.squared_hinge import SquaredHinge


@parametrize_with_checks([SVMProbe(), SVMProbe(C=1.0)])
def test_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)
