"""Human3.6M's four cameras: their lenses, and where they stood for each subject.

The world is in metres, right-handed, z up; a camera's frame is in metres, x right, y down, z away from the camera.
The numbers are the data set's calibration in single precision, in the order in which files of all cameras list them.

Shapes: (..., 3) points, (..., 2) pixels from the picture's top left corner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemamba.data.human36m.file import CAMERAS

_STEPS = 20
"""Steps of the reversal of the distortion; each has less than half of the error of the one before."""


@dataclass(frozen=True)
class Lens:
    """A camera's lens; pixels, and the coefficients of radial and tangential distortion."""

    name: str
    focal: tuple[float, float]
    centre: tuple[float, float]
    radial: tuple[float, float, float]
    tangential: tuple[float, float]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture, pixels."""
        return CAMERAS[self.name]

    def project(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the (..., 2) pixels at which (..., 3) points in the camera's frame are seen, lens distortion included.

        Points farther than 45 degrees off the axis are put there first, as the distortion holds in the picture alone.
        """
        points = np.asarray(points, np.float64)
        plane = np.clip(points[..., :2] / points[..., 2:], -1, 1)
        factor, shift = self._distortion(plane)
        return np.asarray((plane * factor + shift) * self.focal + self.centre, np.float64)

    def directions(self, pixels: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return (..., 2) x/z and y/z of the points that are seen at (..., 2) pixels: the reverse of `project`."""
        seen = (np.asarray(pixels, np.float64) - self.centre) / np.array(self.focal)
        plane = seen
        for _ in range(_STEPS):
            factor, shift = self._distortion(np.clip(plane, -1, 1))
            plane = (seen - shift) / factor
        return np.asarray(plane, np.float64)

    def _distortion(self, plane: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what a place (x/z, y/z) is multiplied by, and what is added then."""
        square = np.square(plane).sum(-1, keepdims=True)
        tangential = np.array(self.tangential)
        factor = 1 + square * (self.radial[0] + square * (self.radial[1] + square * self.radial[2]))
        return factor + (tangential * plane).sum(-1, keepdims=True), tangential * square


@dataclass(frozen=True)
class Place:
    """Place of a camera: the turn from its frame to the world, a unit quaternion (w, x, y, z), and millimetres."""

    turn: tuple[float, float, float, float]
    position: tuple[float, float, float]

    def to_camera(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return (..., 3) points of the world, metres, in the camera's frame."""
        w, x, y, z = self.turn
        to_world = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )
        return (np.asarray(points, np.float64) - np.array(self.position) / 1000) @ to_world


LENSES = (
    Lens(
        "54138969",
        (1145.0494, 1143.7811),
        (512.5415, 515.4515),
        (-0.20709892, 0.24777518, -0.0030751503),
        (-0.0009756989, -0.0014244716),
    ),
    Lens(
        "55011271",
        (1149.6757, 1147.5917),
        (508.84863, 508.0649),
        (-0.19421363, 0.24040854, 0.0068199756),
        (-0.0016190266, -0.0027408944),
    ),
    Lens(
        "58860488",
        (1149.1407, 1148.799),
        (519.81586, 501.40265),
        (-0.20833819, 0.255488, -0.0024604974),
        (0.001484387, -0.0007599993),
    ),
    Lens(
        "60457274",
        (1145.5114, 1144.7739),
        (514.9682, 501.88202),
        (-0.19838409, 0.21832368, -0.008947807),
        (-0.0005872056, -0.001813362),
    ),
)
"""In the files' order."""
PLACES = {
    "S1": (
        Place((0.14070565, -0.15007018, -0.7552408, 0.62232804), (1841.107, 4955.2847, 1563.4454)),
        Place((0.6157188, -0.7648363, -0.14833826, 0.11794741), (1761.2786, -5078.007, 1606.265)),
        Place((0.14651473, -0.14647852, 0.76530236, -0.60941756), (-1846.7777, 5215.0464, 1491.9724)),
        Place((0.58340085, -0.7853162, 0.14548823, -0.14749594), (-1794.7897, -3722.699, 1574.8927)),
    ),
    "S5": (
        Place((0.14673772, -0.16237096, -0.7551893, 0.6178939), (2097.3916, 4880.945, 1605.7324)),
        Place((0.61597586, -0.7626792, -0.15728192, 0.1189815), (2031.7008, -5167.933, 1612.9231)),
        Place((0.14291371, -0.12907842, 0.7678385, -0.6110143), (-1620.5948, 5171.6587, 1496.437)),
        Place((0.592048, -0.7814218, 0.12747486, -0.15036418), (-1637.1737, -3867.3174, 1547.0332)),
    ),
    "S6": (
        Place((0.13378978, -0.15692396, -0.75710905, 0.61988795), (1935.4518, 4950.2456, 1618.0839)),
        Place((0.61471975, -0.7628813, -0.16174768, 0.11819245), (1969.804, -5128.739, 1632.7788)),
        Place((0.15299481, -0.13529131, 0.76460963, -0.6112781), (-1769.5964, 5185.3613, 1476.9934)),
        Place((0.59161013, -0.7804774, 0.1283227, -0.15615939), (-1721.6687, -3884.1313, 1540.4879)),
    ),
    "S7": (
        Place((0.14352418, -0.16313368, -0.75483286, 0.6188825), (1974.513, 4926.3545, 1597.8326)),
        Place((0.6141673, -0.76382625, -0.15966456, 0.117792994), (1937.0585, -5119.79, 1631.5665)),
        Place((0.1455006, -0.12874816, 0.76605165, -0.61271393), (-1741.8112, 5208.2495, 1464.8246)),
        Place((0.5912848, -0.78217643, 0.12445474, -0.15196487), (-1734.7106, -3832.4214, 1548.583)),
    ),
    "S8": (
        Place((0.14110588, -0.15589868, -0.75619173, 0.61964405), (2150.6519, 4896.161, 1611.9047)),
        Place((0.61696017, -0.7647668, -0.1484635, 0.11158158), (2219.9656, -5148.453, 1613.0441)),
        Place((0.1471444, -0.1337712, 0.76701283, -0.61003697), (-1571.2216, 5137.0186, 1498.1761)),
        Place((0.59278244, -0.78258705, 0.12147816, -0.14631996), (-1476.9133, -3896.7412, 1547.9722)),
    ),
    "S9": (
        Place((0.15540588, -0.15548216, -0.75320953, 0.6199595), (2044.4585, 4935.117, 1481.2275)),
        Place((0.6187845, -0.7634735, -0.14132239, 0.11933968), (1990.9597, -5123.8105, 1568.8048)),
        Place((0.13357827, -0.13671005, 0.76894546, -0.61007386), (-1670.9922, 5211.986, 1528.388)),
        Place((0.5879399, -0.7823407, 0.14276144, -0.1479487), (-1696.0435, -3827.0999, 1591.4127)),
    ),
    "S11": (
        Place((0.15232472, -0.1544232, -0.75475633, 0.619107), (2098.4402, 4926.5547, 1500.2786)),
        Place((0.61894494, -0.7600917, -0.15300633, 0.12552583), (2083.1824, -4912.173, 1561.0786)),
        Place((0.14943229, -0.15650228, 0.7681234, -0.60263044), (-1609.8153, 5177.336, 1537.8967)),
        Place((0.58942515, -0.7818877, 0.13991211, -0.14715362), (-1590.738, -3854.169, 1578.0176)),
    ),
}
"""For each subject whose 3D joints were published, one for each of `LENSES`."""
