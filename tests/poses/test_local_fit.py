"""The local polynomial fit, against SciPy's Savitzky-Golay filter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import savgol_filter

from posemamba.poses.curves import local_fit


@pytest.mark.parametrize(("width", "order", "n"), [(3, 1, 3), (5, 1, 40), (7, 2, 7), (15, 2, 200)])
def test_it_is_scipys_filter(width: int, order: int, n: int) -> None:
    values = np.random.default_rng(n).normal(0, 100, (n, 2)).cumsum(0)
    fitted, slopes = local_fit(values, width, order)
    np.testing.assert_allclose(fitted, savgol_filter(values, width, order, axis=0), atol=1e-9)
    np.testing.assert_allclose(slopes, savgol_filter(values, width, order, deriv=1, axis=0), atol=1e-9)
