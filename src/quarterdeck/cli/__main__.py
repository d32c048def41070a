"""`python -m quarterdeck.cli`: the same as the `quarterdeck` command."""

from quarterdeck.cli.main import main

main(prog_name="quarterdeck")
