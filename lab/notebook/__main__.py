"""Makes the notebooks: `python -m lab.notebook`."""

import sys

from lab.notebook.making import main

sys.exit(main())
