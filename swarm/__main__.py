"""`python -m swarm` is `swarm`."""

from swarm.cli import main

main()
