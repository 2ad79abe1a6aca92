"""Import exported files into Blender and say what it makes of them; for a Python that has Blender's package `bpy`.

    python scripts/blender.py out/poses.bvh out/poses.glb --fps 30 --picture walk.png

Of each file: the number of bones and the first one's name, frames, rate, in how many of the frames the lowest foot is
within 2 and 5 cm of the floor, where the root begins, and how far the trunk leans in the median. A picture shows the
skeleton of the last glb in its middle frame, with a floor, by Cycles on the CPU.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import bpy
import numpy as np

FEET = ("ankle", "heel", "toe", "foot")


def load(path: Path, fps: float) -> Any:
    """Import a file into an empty scene; returns its armature."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    if path.suffix == ".bvh":
        bpy.ops.import_anim.bvh(filepath=str(path), update_scene_fps=True, update_scene_duration=True)
    else:
        bpy.context.scene.render.fps = round(fps)  # glTF has times in seconds; Blender fits them to the scene's rate
        bpy.ops.import_scene.gltf(filepath=str(path))
    return next(thing for thing in bpy.data.objects if thing.type == "ARMATURE")


def measure(path: Path, fps: float) -> str:
    """Return the line on a file."""
    armature, scene = load(path, fps), bpy.context.scene
    first, last = armature.animation_data.action.frame_range
    frames = range(round(first), round(last) + 1)
    bones = armature.pose.bones
    heads, tails = (np.empty((len(frames), len(bones), 3)) for _ in range(2))
    for i, frame in enumerate(frames):
        scene.frame_set(frame)
        for k, bone in enumerate(bones):
            heads[i, k], tails[i, k] = armature.matrix_world @ bone.head, armature.matrix_world @ bone.tail
    feet = [k for k, bone in enumerate(bones) if any(word in bone.name.lower() for word in FEET)]
    ends = [heads[:, feet, 2]]
    if path.suffix == ".bvh":  # End Sites are the tails of the last bones; tails of glTF's are made up
        last_ones = [k for k in feet if not bones[k].children]
        ends.append(tails[:, last_ones, 2] if last_ones else heads[:, feet, 2])
    lowest = np.concatenate(ends, 1).min(1)
    neck = next(k for k, bone in enumerate(bones) if bone.name == "thorax" or bone.name.endswith("Neck"))
    trunk = heads[:, neck] - heads[:, 0]
    lean = np.degrees(np.arccos(trunk[:, 2] / np.linalg.norm(trunk, axis=-1)))
    near = [round(100 * float((np.abs(lowest) <= far).mean())) for far in (0.02, 0.05)]
    x, y, z = heads[0, 0]
    return (
        f"{path}: {len(bones)} bones from {bones[0].name}, {len(frames)} frames at "
        f"{scene.render.fps / scene.render.fps_base:g}; lowest foot within 2 cm of the floor in {near[0]} %, 5 cm in "
        f"{near[1]} %; root begins at ({x:.2f}, {y:.2f}, {z:.2f}) m; trunk leans by {np.median(lean):.0f} degrees"
    )


def draw(path: Path, fps: float, picture: Path) -> None:
    """Render the middle frame."""
    armature, scene = load(path, fps), bpy.context.scene
    first, last = armature.animation_data.action.frame_range
    scene.frame_set(round((first + last) / 2))
    x, y, _ = armature.matrix_world @ armature.pose.bones[0].head
    bpy.ops.mesh.primitive_plane_add(size=4, location=(x, y, 0))
    bpy.ops.object.light_add(type="SUN", rotation=(0.6, 0.2, 0.4))
    bpy.context.object.data.energy = 3
    bpy.ops.object.camera_add(location=(x + 2, y - 4.2, 1.6), rotation=(math.radians(82), 0, math.radians(25)))
    scene.camera, scene.render.engine, scene.cycles.samples = bpy.context.object, "CYCLES", 16
    scene.world = bpy.data.worlds.new("sky")
    scene.world.color = (0.6, 0.7, 0.8)
    scene.render.resolution_x, scene.render.resolution_y = 640, 560
    scene.render.filepath = str(picture.resolve())
    bpy.ops.render.render(write_still=True)


def main() -> None:
    """Measure the files, and draw the last one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--fps", type=float, default=30, help="frames per second of the glb files")
    parser.add_argument("--picture", type=Path, help="a PNG to render")
    arguments = parser.parse_args()
    lines = [measure(path, arguments.fps) for path in arguments.files]
    if arguments.picture is not None:
        draw(arguments.files[-1], arguments.fps, arguments.picture)
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
