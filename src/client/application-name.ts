/**
 * Adds the place of a client to its application name, for `application_name_add_host`.
 *
 * @param name - as the client gave it, or null.
 * @param remote - where the client is; the address `unix` stands for a unix socket.
 * @param listenPort - the port that the unix socket is named after.
 * @source PgBouncer manual, "application_name_add_host". COMPAT: Node cannot tell the pid of a
 * unix peer.
 */
export function withHost(
  name: string | null,
  remote: { readonly address: string; readonly port: number },
  listenPort: number,
): string {
  const { address, port } = remote;
  const host = address.includes(':') ? `[${address}]` : address;
  return `${name ?? 'app'} - ${host}:${String(address === 'unix' ? listenPort : port)}`;
}
