"""Reading videos and folders of pictures, and writing videos: RGB frames with the times at which they are shown.

PyAV (the `video` extra) decodes and encodes; it brings its own FFmpeg. `posemamba.io.video.image_files` reads pictures.
`Clip` names a part of a source; `probe` and `read_frames` take it like a path.
"""
