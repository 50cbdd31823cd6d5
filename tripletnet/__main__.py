"""``python -m tripletnet`` is the command `tripletnet`."""

from tripletnet.cli import main

main()
