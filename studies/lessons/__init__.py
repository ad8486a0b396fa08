"""Every lesson of the project's origin, measured: `python -m studies.lessons`."""
