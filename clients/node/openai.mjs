// OpenAI's SDK, Chat Completions, streamed; its helper runs the tools.
import OpenAI from 'openai';
import { ABOUT, SCHEMAS, SYSTEM, TASK, TOOLS } from './shop.mjs';

const tools = Object.entries(TOOLS).map(([name, tool]) => ({
  type: 'function',
  function: {
    name,
    description: ABOUT[name],
    parameters: SCHEMAS[name],
    parse: JSON.parse,
    function: async (given) => JSON.stringify(tool(given)),
  },
}));
const runner = new OpenAI().chat.completions.runTools({
  model: 'gpt-4o-mini',
  stream: true,
  messages: [{ role: 'system', content: SYSTEM }, { role: 'user', content: TASK }],
  tools,
});
console.log(await runner.finalContent());
