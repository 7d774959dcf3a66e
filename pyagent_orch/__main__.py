"""`python -m pyagent_orch`: the command line, by the interpreter that has the package."""

from pyagent_orch.cli import main

if __name__ == "__main__":
    main()
