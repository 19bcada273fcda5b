"""``moesim list``: what is known, with sources."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.commands.arguments import Parser
from simulator.commands.inventory import TOPICS, Sheet
from simulator.commands.screen import screen
from simulator.errors import ConfigError, unknown


def main(arguments: list[str]) -> int:
    """Print one topic, or all in short.

    Raises
    ------
    ConfigError
        If there is no such topic.
    """
    parser = Parser(
        prog="moesim list",
        usage=f"moesim list [{'|'.join(TOPICS)}]",
        description="Print what moesim knows, with the sources of its figures.",
    )
    parser.add_argument("topic", nargs="?", help="what to list; all in short without it")
    topic = parser.parse_args(arguments).topic
    console = screen()
    if topic is None:
        _print_all(console)
        return 0
    if topic not in TOPICS:
        raise ConfigError(unknown("topic", topic, TOPICS))
    for sheet in TOPICS[topic].sheets():
        _print_sheet(sheet, console)
    return 0


def _print_all(console: Console) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, topic in TOPICS.items():
        table.add_row(Text(name, style="bold"), ", ".join(topic.names()))
    console.print(table)
    console.print("\nMore of one topic, with sources: moesim list TOPIC")


def _print_sheet(sheet: Sheet, console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, safe_box=True)
    for index, heading in enumerate(sheet.columns):
        number = heading.endswith(">")
        table.add_column(
            heading.rstrip(">"),
            justify="right" if number else "left",
            no_wrap=number or index == 0,
        )
    for row in sheet.rows:
        table.add_row(*map(Text, row))
    console.print(Text(sheet.title, style="bold"))
    console.print(table)
    if not sheet.sources:
        return
    console.print(Text("Sources", style="bold"))
    width = max(map(len, sheet.sources))
    for name, source in sheet.sources.items():  # never wrapped: people copy them
        console.print(Text(f"  {name:<{width}}  {source}"), soft_wrap=True)
    console.print()
