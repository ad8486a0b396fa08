"""Every lesson of the project's origin: `python -m studies.lessons --help`."""

from studies.lessons.study import STUDY

main = STUDY.main

if __name__ == "__main__":
    main()
