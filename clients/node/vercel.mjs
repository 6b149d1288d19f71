// The Vercel AI SDK with its own telemetry: two providers, streamed and not, one after the other, then some at once.
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { trace } from '@opentelemetry/api';
import { generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import { ABOUT, SCHEMAS, SYSTEM, TASK, TOOLS } from './shop.mjs';

const openai = createOpenAI();
// It posts to `/messages` below its base URL.
const anthropic = createAnthropic({ baseURL: `${process.env.ANTHROPIC_BASE_URL}/v1` });
const models = [openai('gpt-5.1'), openai.chat('gpt-4o-mini'), anthropic('claude-sonnet-4-5')];
const tools = {};
for (const [name, execute] of Object.entries(TOOLS)) {
  tools[name] = tool({
    description: ABOUT[name],
    inputSchema: jsonSchema(SCHEMAS[name]),
    execute: async (given) => execute(given),
  });
}
const task = (model, prompt) => ({
  model,
  system: SYSTEM,
  prompt,
  tools,
  stopWhen: stepCountIs(5),
  experimental_telemetry: { isEnabled: true, functionId: 'shop' },
});
await trace.getTracer('shop').startActiveSpan('shop', async (span) => {
  for (const model of models) {
    console.log(await streamText(task(model, TASK)).text);
  }
  const at = ['gadget', 'gizmo'].flatMap((item) => models.map((model) => task(model, TASK.replace('widget', item))));
  for (const { text } of await Promise.all(at.map((one) => generateText(one)))) {
    console.log(text);
  }
  span.end();
});
