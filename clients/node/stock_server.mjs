// The tools as an MCP server over stdio, with the official SDK: `stock` says that it only reads.
// Each start adds a line to the file in STOCK_STARTS, if there is one, so that one can see whether it was started.
import { appendFileSync } from 'node:fs';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { z } from 'zod';
import { ABOUT, TOOLS } from './shop.mjs';

if (process.env.STOCK_STARTS) appendFileSync(process.env.STOCK_STARTS, 'started\n');
const server = new McpServer({ name: 'stock', version: '1.0.0' });
const inputs = { stock: { item: z.string() }, order: { item: z.string(), quantity: z.number().int() } };
for (const [name, tool] of Object.entries(TOOLS)) {
  server.registerTool(
    name,
    { description: ABOUT[name], inputSchema: inputs[name], annotations: { readOnlyHint: name === 'stock' } },
    async (given) => ({ content: [{ type: 'text', text: JSON.stringify(tool(given)) }] }),
  );
}
await server.connect(new StdioServerTransport());
