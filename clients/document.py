"""The page that the tables are printed in."""

from environments import HERE

PAGE = HERE.parent / "docs" / "clients.md"


def put(script, text, page=PAGE):
    """Puts a script's table between its two marks on a page."""
    begin, end = f"<!-- {script} writes from here -->", f"<!-- to here: {script} -->"
    before, _, rest = page.read_text().partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
