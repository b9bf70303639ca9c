/** The first 12 bytes of each header of version 2. */
export const PROXY_SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

/** A PROXY header of version 1 for IPv4. */
export function proxyV1(address: string, port: number): Buffer {
  return Buffer.from(`PROXY TCP4 ${address} 198.51.100.1 ${String(port)} 6432\r\n`);
}

/** A PROXY header of version 2, put together from its parts. */
export function proxyV2(command: number, family: number, rest: Buffer): Buffer {
  const head = Buffer.from([command, family, rest.length >> 8, rest.length & 255]);
  return Buffer.concat([PROXY_SIGNATURE, head, rest]);
}

/** A PROXY header of version 2 for IPv4. */
export function proxyV2Tcp4(
  address: string,
  port: number,
  extensions: Buffer = Buffer.alloc(0),
): Buffer {
  const addresses = Buffer.from([...address.split('.').map(Number), 198, 51, 100, 1]);
  const ports = Buffer.from([port >> 8, port & 255, 25, 32]);
  return proxyV2(0x21, 0x11, Buffer.concat([addresses, ports, extensions]));
}

/** A PROXY header of version 2 for IPv6; the address as 32 hexadecimal digits. */
export function proxyV2Tcp6(address: string, port: number): Buffer {
  const ports = Buffer.from([port >> 8, port & 255, 25, 32]);
  const addresses = Buffer.concat([Buffer.from(address, 'hex'), Buffer.alloc(16, 1)]);
  return proxyV2(0x21, 0x21, Buffer.concat([addresses, ports]));
}

/** An extension (TLV) of version 2. */
export function proxyExtension(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type, value.length >> 8, value.length & 255]), value]);
}
