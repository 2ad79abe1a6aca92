"""A race of whole pipelines on one video, from the file to 3D poses: ``posemamba bench --preset video VIDEO``.

`pipelines` lists them, `worker` runs one in a process of its own, `race` runs them in turns, `report` holds the
figures.
"""
