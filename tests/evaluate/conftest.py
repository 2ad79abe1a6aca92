from motion_fixtures import mocap_files, motions  # noqa: F401
