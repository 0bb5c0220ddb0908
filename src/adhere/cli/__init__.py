"""The command line. Each module adds its commands to the one app; `main` is the entry point."""

from adhere.cli import (
    conflicts,
    data,
    evaluate,
    evidence,
    export,
    judge,
    logs,
    official,
    run,
    serve,
)
from adhere.cli.common import app, main

__all__ = [
    "app",
    "conflicts",
    "data",
    "evaluate",
    "evidence",
    "export",
    "judge",
    "logs",
    "main",
    "official",
    "run",
    "serve",
]
