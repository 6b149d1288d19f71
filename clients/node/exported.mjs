// OpenTelemetry's own SDK, exporting over OTLP by HTTP in JSON; to be loaded before an agent (`node --import`).
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';

const sdk = new NodeSDK({ spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())] });
sdk.start();
let ended = false;
process.on('beforeExit', async () => {
  if (ended) return;
  ended = true;
  await sdk.shutdown();
});
