"""The report: one self-contained HTML page that shows what was learned, and how that is known."""

from adhere.report.data import ReportData
from adhere.report.page import write_report
from adhere.report.plots import table_picture
from adhere.report.terminal import terminal_table, terminal_wins

__all__ = ["ReportData", "table_picture", "terminal_table", "terminal_wins", "write_report"]
