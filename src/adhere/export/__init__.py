"""A finished run's model as files that others can use, checked against what was trained.

Above the stages: it reads what they have made and changes nothing in the run.
"""

from adhere.export.run import DEFAULT, Exported, export_run

__all__ = ["DEFAULT", "Exported", "export_run"]
