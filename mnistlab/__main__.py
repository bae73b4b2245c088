"""``python -m mnistlab`` is ``mnistlab``."""

from mnistlab.cli import main

main()
