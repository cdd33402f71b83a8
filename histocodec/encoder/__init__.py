"""A slide to a container: a module a stage, named in the order in which they run.

`plan` decides, `uncoded_pyramid` reads the slide, `job` fits the rest to it, `base_coding` codes, `tuned_generator`,
`bounding` and `tint` improve, `measure` measures, `contents` writes; `pipeline` has them in a row.
"""

from .base_choice import base_scale
from .pipeline import encode
from .report import EncodeReport
from .settings import EncodeSettings

__all__ = ["EncodeReport", "EncodeSettings", "base_scale", "encode"]
