"""A slide to a container: a module a stage, named in the order in which they run.

`plan` decides, `uncoded_pyramid` reads the slide, `job` fits the rest to it, `base_coding` codes, `tuned_decoder`,
`bounding` and `tint` improve, `measure` measures, `contents` writes; `pipeline` has them in a row.
"""

from .pipeline import encode
from .plan import base_scale
from .report import EncodeReport
from .settings import EncodeSettings

__all__ = ["EncodeReport", "EncodeSettings", "base_scale", "encode"]
