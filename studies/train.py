"""One training run from the command line: `python -m studies.train --help`."""

from studies.lab.experiment import main

if __name__ == "__main__":
    main()
