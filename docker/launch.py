"""What a Flex Template's launcher runs: a file, as it takes no module."""

import sys

from textmill.pipeline.command.flex_template import main

sys.exit(main(sys.argv[1:]))
