"""``python -m SegVarianceLib.study`` is the ``segvariance`` command."""

import sys

from .cli import main

sys.exit(main())
