"""Write docs/trace.md from the schemas of the trace."""

from pathlib import Path

from simulator.trace.page import trace_page

if __name__ == "__main__":
    page = Path(__file__).parents[1] / "docs" / "trace.md"
    page.write_text(trace_page(), encoding="utf-8")
