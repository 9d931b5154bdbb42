"""`python -m textmill`: the command of that name."""

import sys

from textmill.pipeline.command.cli import main

sys.exit(main())
