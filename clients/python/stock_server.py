"""The tools as an MCP server over stdio, with the official SDK: `stock` says that it only reads.

Each start adds a line to the file in STOCK_STARTS, if there is one, so that one can see whether it was started.
"""

import os

from mcp.types import ToolAnnotations
from shop import order, stock

try:
    from mcp.server import MCPServer
except ImportError:  # mcp 1
    from mcp.server.fastmcp import FastMCP as MCPServer

if path := os.environ.get("STOCK_STARTS"):
    with open(path, "a") as starts:
        starts.write("started\n")

server = MCPServer("stock")
server.tool(annotations=ToolAnnotations(readOnlyHint=True))(stock)
server.tool()(order)
server.run("stdio")
