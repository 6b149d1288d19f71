// Google's SDK, streamed.
import { GoogleGenAI } from '@google/genai';
import { ABOUT, SCHEMAS, SYSTEM, TASK, TOOLS } from './shop.mjs';

const functionDeclarations = Object.keys(TOOLS).map((name) => ({
  name,
  description: ABOUT[name],
  parametersJsonSchema: SCHEMAS[name],
}));
const chat = new GoogleGenAI({}).chats.create({
  model: 'gemini-2.5-flash',
  config: { systemInstruction: SYSTEM, tools: [{ functionDeclarations }] },
});
let message = TASK;
for (;;) {
  const calls = [];
  let text = '';
  for await (const chunk of await chat.sendMessageStream({ message })) {
    calls.push(...(chunk.functionCalls ?? []));
    for (const part of chunk.candidates?.[0]?.content?.parts ?? []) text += part.text ?? '';
  }
  if (!calls.length) {
    console.log(text);
    break;
  }
  message = calls.map(({ id, name, args }) => ({ functionResponse: { id, name, response: TOOLS[name](args) } }));
}
