// Node's HTTP clients, named by the first argument: POST of a JSON text to an address.
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import tls from 'node:tls';

const [which, url, body] = process.argv.slice(2);
const headers = { 'content-type': 'application/json' };
if (which === 'fetch') {
  console.log(await (await fetch(url, { method: 'POST', headers, body })).text());
} else if (which === 'http2') {
  // It knows no proxy, and speaks nothing else.
  const [host, proxy] = [new URL(url), new URL(process.env.HTTPS_PROXY)];
  const agent = new http.Agent(); // the default one would go through the proxy itself
  const tunnel = http.request({ agent, host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: host.host });
  tunnel.on('connect', (_, socket) => {
    const secure = tls.connect({ socket, host: host.hostname, ALPNProtocols: ['h2'] }, () => {
      const session = http2.connect(host.origin, { createConnection: () => secure });
      const stream = session.request({ ':method': 'POST', ':path': host.pathname, ...headers });
      stream.on('end', () => session.close()).pipe(process.stdout);
      stream.end(body);
    });
  });
  tunnel.end();
} else {
  const request = https.request(url, { method: 'POST', headers }, (answer) => answer.pipe(process.stdout));
  request.end(body);
}
