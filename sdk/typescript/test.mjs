// Halves two numbers by a tool and prints what came of it; each call that runs is noted in the file that is named.
import { appendFileSync } from 'node:fs';
import { tool } from './retake-tool.mjs';

const halve = tool('halve', async ({ number }) => {
  appendFileSync(process.argv[2], `${number}\n`);
  if (number === 0) throw new TypeError('not for zero');
  return number / 2;
});

const half = await halve({ number: 84 });
const error = await halve({ number: 0 }).catch((error) => error);
console.log(half, `${error.name}: ${error.message}`);
