"""Poses while the pictures come: from a camera, an address or a video, one person.

`LiveSession` is fed pictures with their times and gives poses; `runner.LiveRunner` runs one in threads and drops
pictures that it has no time for; `sources` opens cameras, addresses and videos; `messages` makes JSON and OSC of poses;
`recording` keeps a session as a result like any other.
"""

from posemamba.utils.lazy import lazy_names

_HOMES = {"LivePose": "posemamba.live.poses", "LiveSession": "posemamba.live.session"}
__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
