"""What the notebooks of mini-transformer share. See the README for the floors."""

from pathlib import Path

__version__ = "0.1.0"
ROOT = Path(__file__).resolve().parent.parent
