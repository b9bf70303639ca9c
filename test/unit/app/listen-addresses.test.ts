import { describe, expect, it } from 'vitest';
import { listenAddresses } from '../../../src/app/listen-addresses.ts';

const never = (): Promise<never> => Promise.reject(new Error('nobody is to be asked'));

function failing(code: string): () => Promise<never> {
  return () => Promise.reject(Object.assign(new Error('look-up failed'), { code }));
}

describe('listenAddresses', () => {
  it('takes * for every address of both families', async () => {
    expect(await listenAddresses('*', 6432, never)).toEqual(['0.0.0.0', '::']);
  });

  it.each(['127.0.0.1', '::1', '0.0.0.0'])('takes the address %s as it is', async (address) => {
    expect(await listenAddresses(address, 6432, never)).toEqual([address]);
  });

  it('takes a name for all of its addresses, each once, in their order', async () => {
    const asked: string[] = [];
    const found = await listenAddresses('localhost', 6432, (name) => {
      asked.push(name);
      return Promise.resolve(['::1', '127.0.0.1', '::1']);
    });
    expect(asked).toEqual(['localhost']);
    expect(found).toEqual(['::1', '127.0.0.1']);
  });

  it.each([
    ['ENOTFOUND', "getaddrinfo('db', '6432') = Name or service not known [-2]"],
    ['EAI_AGAIN', "getaddrinfo('db', '6432') = Temporary failure in name resolution [-3]"],
    ['EAI_FAIL', "getaddrinfo('db', '6432') = name has no address [EAI_FAIL]"],
    ['EMFILE', 'look-up failed'],
  ])('fails on %s in the words of the C library where it has any', async (code, text) => {
    await expect(listenAddresses('db', 6432, failing(code))).rejects.toThrow(text);
  });
});
