// Node's HTTP clients, named by the first argument: POST of a JSON text to an address.
import https from 'node:https';

const [which, url, body] = process.argv.slice(2);
const headers = { 'content-type': 'application/json' };
if (which === 'fetch') {
  console.log(await (await fetch(url, { method: 'POST', headers, body })).text());
} else {
  const request = https.request(url, { method: 'POST', headers }, (answer) => answer.pipe(process.stdout));
  request.end(body);
}
