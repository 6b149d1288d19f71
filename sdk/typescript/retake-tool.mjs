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
    const asked = json({ call, arguments: argument ?? {} });
    if (asked === undefined) {
      console.error(`retake: ${name} is not recorded and runs in every replay: its argument is no JSON`);
      return run(argument);
    }
    const answer = await post(url, asked);
    if (answer.error) throw raised(answer.error);
    if (!('run' in answer)) return answer.result;
    let result;
    try {
      result = await run(argument);
    } catch (error) {
      const told = { type: error?.name ?? 'Error', message: String(error?.message ?? error), code: error?.code };
      await post(`${url}/done`, json({ call, error: told }) ?? json({ call, unrecordable: told.type }));
      throw error;
    }
    let done = json({ call, result: result ?? null });
    if (done === undefined) {
      console.error(`retake: what ${name} returned is no JSON: it is not recorded, and runs in every replay`);
      done = json({ call, unrecordable: typeof result });
    }
    await post(`${url}/done`, done);
    return result;
  };
}

// Nothing for what JSON cannot say: a cycle, a BigInt.
function json(value) {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

// The error as it was thrown: of its own type where the language has it.
function raised({ type, message, code }) {
  const known = { TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError, Error }[type];
  const error = known ? new known(message) : new ToolError(type, message);
  if (code !== undefined) error.code = code;
  return error;
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
    request.on('error', (error) => {
      const why = `no proxy of retake answers at ${process.env.RETAKE_PROXY} (${error.message})`;
      reject(new Refused(`${why}; without RETAKE_PROXY the tools simply run`));
    });
    request.end(body);
  });
}
