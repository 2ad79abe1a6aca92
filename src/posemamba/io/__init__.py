"""Files in and out: videos, keypoint files, motion files."""
