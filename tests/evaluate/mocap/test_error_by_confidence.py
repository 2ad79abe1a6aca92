import numpy as np

from posemamba.evaluate.mocap.confidence import error_by_confidence


def test_bins_end_where_they_say():
    confidence = np.array([[0.0, 1e-6], [0.2, 0.21], [0.6, 1.0]])
    errors = np.array([[1.0, 2.0], [4.0, 8.0], [16.0, 32.0]])
    found = {b.label: (b.joints, b.p1) for b in error_by_confidence(errors, confidence).bins}
    assert found == {
        "lost": (1, 1),
        "0 to 0.2": (2, 3),
        "0.2 to 0.4": (1, 8),
        "0.4 to 0.6": (1, 16),
        "0.6 to 0.8": (0, None),
        "0.8 to 1": (1, 32),
    }
