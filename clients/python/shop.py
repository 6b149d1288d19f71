"""The task and the two tools of the Python agents: one looks, one does something."""

import uuid

TASK = "Are there enough widgets? Order what is missing to 20."
SYSTEM = "You look after a shop. Use the tools."


def stock(item: str) -> dict:
    """How many units of an item are in stock."""
    return {"item": item, "units": {"widget": 7}.get(item, 0)}


def order(item: str, quantity: int) -> dict:
    """Order units of an item."""
    return {"item": item, "quantity": quantity, "order": str(uuid.uuid4())}


TOOLS = {"stock": stock, "order": order}
SCHEMAS = {
    "stock": {
        "type": "object",
        "properties": {"item": {"type": "string"}},
        "required": ["item"],
        "additionalProperties": False,
    },
    "order": {
        "type": "object",
        "properties": {"item": {"type": "string"}, "quantity": {"type": "integer"}},
        "required": ["item", "quantity"],
        "additionalProperties": False,
    },
}
