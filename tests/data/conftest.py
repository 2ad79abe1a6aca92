from motion_fixtures import mocap_files, motions  # noqa: F401
from mpi_inf_3dhp_files import mpi_folder  # noqa: F401
