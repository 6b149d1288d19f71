// The MCP SDK's client with OpenAI's SDK: an agent whose tools are those of a server. Its command is the arguments.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import OpenAI from 'openai';
import { SYSTEM, TASK } from './shop.mjs';

const [command, ...args] = process.argv.slice(2);
const mcp = new Client({ name: 'shop-agent', version: '1.0.0' });
await mcp.connect(new StdioClientTransport({ command, args, env: { ...process.env } }));
const { tools: offered } = await mcp.listTools();
const tools = offered.map(({ name, description, inputSchema }) => ({
  type: 'function',
  function: { name, description, parameters: inputSchema },
}));
const client = new OpenAI();
const messages = [{ role: 'system', content: SYSTEM }, { role: 'user', content: TASK }];
for (;;) {
  const made = await client.chat.completions.stream({ model: 'gpt-4o-mini', messages, tools }).finalChatCompletion();
  const { role, content, tool_calls } = made.choices[0].message;
  if (!tool_calls?.length) {
    console.log(content);
    break;
  }
  messages.push({ role, content, tool_calls });
  for (const call of tool_calls) {
    const result = await mcp.callTool({ name: call.function.name, arguments: JSON.parse(call.function.arguments) });
    const text = result.content.map((part) => part.text ?? '').join('');
    messages.push({ role: 'tool', tool_call_id: call.id, content: text });
  }
}
await mcp.close();
