"""The page that the tables are printed in."""

from environments import HERE

PAGE = HERE.parent / "docs" / "clients.md"


def put(script, text):
    """Puts a script's table between its two marks."""
    begin, end = f"<!-- {script} writes from here -->", f"<!-- to here: {script} -->"
    before, _, rest = PAGE.read_text().partition(begin)
    _, _, after = rest.partition(end)
    PAGE.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
