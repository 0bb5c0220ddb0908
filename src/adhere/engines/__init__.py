"""Who answers requests. `open_engine` turns an address into an engine."""

from adhere.engines.base import Engine, open_engine

__all__ = ["Engine", "open_engine"]
