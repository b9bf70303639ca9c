import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { nullLogger } from '../../src/log/logger.ts';
import type { Logger } from '../../src/log/logger.ts';
import { HTTP_LIMITS, HttpEndpoint } from '../../src/metrics/http-endpoint.ts';
import type { HttpContent, HttpLimits } from '../../src/metrics/http-endpoint.ts';
import { waitFor, withDeadline } from '../support/wait-for.ts';

const HOST = '127.0.0.1';
const METRICS = 'some_metric 1\n';
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

const CONTENT: HttpContent = {
  scrape: () => Promise.resolve({ text: METRICS, contentType: METRICS_TYPE }),
  isReady: () => true,
};

interface OpenOptions {
  readonly content?: Partial<HttpContent>;
  readonly limits?: Partial<HttpLimits>;
  readonly logger?: Logger;
}

const endpoints: HttpEndpoint[] = [];

async function open({ content, limits, logger }: OpenOptions = {}): Promise<HttpEndpoint> {
  const endpoint = await HttpEndpoint.open(
    { host: HOST, port: 0 },
    { ...CONTENT, ...content },
    logger ?? nullLogger,
    { ...HTTP_LIMITS, ...limits },
  );
  endpoints.push(endpoint);
  return endpoint;
}

function get(endpoint: HttpEndpoint, path: string, init?: RequestInit): Promise<Response> {
  return fetch(`http://${HOST}:${String(endpoint.port)}${path}`, init);
}

/** Sends bytes on a connection of its own. @returns What came until its end. */
async function exchange(endpoint: HttpEndpoint, bytes: string): Promise<string> {
  const socket = net.connect(endpoint.port, HOST);
  const chunks: Buffer[] = [];
  const ended = new Promise<void>((resolve) => {
    socket.on('data', (chunk) => chunks.push(chunk));
    // A reset is an end like any other here.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      resolve();
    });
  });
  socket.write(bytes);
  await withDeadline('the end of the connection', ended);
  return Buffer.concat(chunks).toString();
}

afterEach(() => {
  for (const endpoint of endpoints.splice(0)) {
    endpoint.close();
  }
});

describe('HttpEndpoint', () => {
  it('serves metrics with their media type', async () => {
    const response = await get(await open(), '/metrics');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe(METRICS_TYPE);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(await response.text()).toBe(METRICS);
  });

  it.each([
    ['/healthz', true, 200],
    ['/healthz', false, 200],
    ['/readyz', true, 200],
    ['/readyz', false, 503],
    ['/metrics', false, 200],
    ['/metrics?name[]=x', true, 200],
    ['/', true, 404],
    ['/metrics/', true, 404],
    ['/metrics/../healthz2', true, 404],
    ['/Metrics', true, 404],
  ])('answers %s while ready is %s with %d', async (path, isReady, status) => {
    const endpoint = await open({ content: { isReady: () => isReady } });
    expect((await get(endpoint, path)).status).toBe(status);
  });

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('refuses %s of a path it has', async (method) => {
    const response = await get(await open(), '/metrics', { method });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('GET, HEAD');
    expect(await response.text()).not.toContain(METRICS);
  });

  it.each([
    ['http://pooler:9127/healthz', 200],
    ['http://pooler:9127/metrics?x=1', 200],
    ['http://pooler:9127', 404],
    ['ftp://pooler/healthz', 404],
  ])('takes the address %s as proxies write it: %i', async (address, status) => {
    const head = `GET ${address} HTTP/1.1\r\nHost: pooler\r\nConnection: close\r\n\r\n`;
    const answer = await exchange(await open(), head);
    expect(answer).toContain(`HTTP/1.1 ${String(status)} `);
  });

  it('answers HEAD without a body', async () => {
    const response = await get(await open(), '/metrics', { method: 'HEAD' });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-length')).toBe(String(METRICS.length));
    expect(await response.text()).toBe('');
  });

  it('answers 500 and logs it when metrics cannot be written, and goes on', async () => {
    const failures: object[] = [];
    const endpoint = await open({
      content: { scrape: () => Promise.reject(new Error('secret detail')) },
      logger: { ...nullLogger, error: (event, fields) => failures.push({ event, ...fields }) },
    });
    const response = await get(endpoint, '/metrics');
    expect(response.status).toBe(500);
    expect(await response.text()).toBe('internal error\n');
    expect(failures).toEqual([{ event: 'http_request_failed', error: 'secret detail' }]);
    expect((await get(endpoint, '/healthz')).status).toBe(200);
  });

  it.each([
    ['a PostgreSQL startup packet', '\0\0\0\x08\x04\xd2\x16\x2f', '400'],
    ['a head above the limit', `GET / HTTP/1.1\r\nX: ${'y'.repeat(10_000)}`, '431'],
    ['a request line without end', `GET /${'y'.repeat(20_000)}`, '431'],
  ])('refuses %s and serves the next one', async (_what, bytes, status) => {
    const endpoint = await open();
    expect(await exchange(endpoint, bytes)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect((await get(endpoint, '/healthz')).status).toBe(200);
  });

  it('does not wait for the body of a request that it refuses', async () => {
    const head = 'POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n';
    const answer = await exchange(await open(), `${head}some`);
    expect(answer).toMatch(/^HTTP\/1.1 405 .*\r\nConnection: close\r\n/s);
  });

  it.each([
    ['nothing', ''],
    ['half a head', 'GET /metrics HTTP/1.1\r\nHost:'],
  ])('closes a connection that sends %s in time', async (_what, bytes) => {
    const limits = { headersTimeoutMs: 100, requestTimeoutMs: 200, timeoutCheckMs: 50 };
    const answer = await exchange(await open({ limits }), bytes);
    expect(answer).not.toContain(METRICS);
  });

  it('closes connections above its limit, and serves again when one has gone', async () => {
    const endpoint = await open({ limits: { maxConnections: 1 } });
    const first = net.connect(endpoint.port, HOST);
    await new Promise((resolve) => first.once('connect', resolve));
    expect(await exchange(endpoint, 'GET /healthz HTTP/1.0\r\n\r\n')).toBe('');
    first.destroy();
    const isServed = async (): Promise<boolean> =>
      (await exchange(endpoint, 'GET /healthz HTTP/1.0\r\n\r\n')).startsWith('HTTP/1.1 200 ');
    await waitFor('an answer', isServed);
  });

  it('survives a client that goes away within its answer', async () => {
    const body = 'x'.repeat(8 * 1024 * 1024);
    const endpoint = await open({
      content: { scrape: () => Promise.resolve({ text: body, contentType: METRICS_TYPE }) },
    });
    const socket = net.connect(endpoint.port, HOST);
    socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n');
    await new Promise((resolve) => socket.once('readable', resolve));
    socket.resetAndDestroy();
    expect((await get(endpoint, '/healthz')).status).toBe(200);
  });

  it('drops its connections and its port when it is closed', async () => {
    const endpoint = await open();
    const { port } = endpoint;
    const idle = exchange(endpoint, '');
    await get(endpoint, '/healthz');
    endpoint.close();
    expect(await idle).toBe('');
    await expect(fetch(`http://${HOST}:${String(port)}/healthz`)).rejects.toThrow('fetch failed');
  });

  it('rejects with the error of the system when its port is taken', async () => {
    const { port } = await open();
    await expect(
      HttpEndpoint.open({ host: HOST, port }, CONTENT, nullLogger),
    ).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  it('listens on every address for *', async () => {
    const endpoint = await HttpEndpoint.open({ host: '*', port: 0 }, CONTENT, nullLogger);
    endpoints.push(endpoint);
    expect((await get(endpoint, '/healthz')).status).toBe(200);
  });
});
