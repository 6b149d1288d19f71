// Anthropic's SDK, streamed.
import Anthropic from '@anthropic-ai/sdk';
import { ABOUT, SCHEMAS, SYSTEM, TASK, TOOLS } from './shop.mjs';

const client = new Anthropic();
const tools = Object.keys(TOOLS).map((name) => ({ name, description: ABOUT[name], input_schema: SCHEMAS[name] }));
const messages = [{ role: 'user', content: TASK }];
for (;;) {
  const request = { model: 'claude-sonnet-4-5', max_tokens: 1024, system: SYSTEM, tools, messages };
  const message = await client.messages.stream(request).finalMessage();
  const uses = message.content.filter((block) => block.type === 'tool_use');
  if (!uses.length) {
    console.log(message.content.map((block) => block.text ?? '').join(''));
    break;
  }
  messages.push({ role: 'assistant', content: message.content });
  const results = uses.map((use) => ({
    type: 'tool_result',
    tool_use_id: use.id,
    content: JSON.stringify(TOOLS[use.name](use.input)),
  }));
  messages.push({ role: 'user', content: results });
}
