// Tools that run when a run is recorded, and do not run again when it is replayed.
//
//     import { tool } from './retake-tool.mjs';
//     const sendMail = tool('send_mail', async ({ to, text }) => { … });
//
// A tool takes one argument, an object, and may be asynchronous; what comes back is always a promise. Under `retake run`
// the function runs and what it returned, or threw, is recorded. Under `retake replay` it does not run: the promise brings
// what was recorded for the same argument. Without retake the function is simply called. Arguments and results are JSON.

import http from 'node:http';
import { randomUUID } from 'node:crypto';

/** What a tool threw when it was recorded. */
export class ToolError extends Error {
  constructor(type, message) {
    super(message);
    this.name = type;
  }
}

/** retake has no recorded result for this call, or a fence stands before it: the replay has stopped. */
export class Refused extends Error {}

/** Wraps a function; `name` is what the model calls it. */
export function tool(name, run) {
  return async (argument) => {
    const proxy = process.env.RETAKE_PROXY;
    if (!proxy) return run(argument);
    const url = `${proxy.replace(/\/$/, '')}/tool/${encodeURIComponent(name)}`;
    const call = randomUUID();
    const answer = await post(url, { call, arguments: argument ?? {} });
    if (answer.error) throw new ToolError(answer.error.type, answer.error.message);
    if (!('run' in answer)) return answer.result;
    let result;
    try {
      result = await run(argument);
    } catch (error) {
      await post(`${url}/done`, { call, error: { type: error?.name ?? 'Error', message: String(error?.message ?? error) } });
      throw error;
    }
    await post(`${url}/done`, { call, result: result ?? null });
    return result;
  };
}

// The proxy is on the loopback: node:http goes by no other proxy.
function post(url, body) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method: 'POST', headers: { 'content-type': 'application/json' } }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(parts).toString();
        if (response.statusCode < 300) return resolve(text ? JSON.parse(text) : {});
        let told = text;
        try {
          told = JSON.parse(text).error.message;
        } catch {
          // It is told as it is.
        }
        reject(new Refused(told));
      });
    });
    request.on('error', reject);
    request.end(JSON.stringify(body));
  });
}
