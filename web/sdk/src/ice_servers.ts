/** When the first of the TURN credentials runs out, in ms since the epoch: coturn's shared-secret
 *  scheme has the time in the user name, `seconds:pseudonym`. Null where none has one. */
export function credentialsEnd(servers: RTCIceServer[]): number | null {
  const ends = servers
    .map((server) => /^(\d{9,11}):/.exec(server.username ?? "")?.[1])
    .filter((seconds) => seconds !== undefined)
    .map((seconds) => Number(seconds) * 1000);
  return ends.length > 0 ? Math.min(...ends) : null;
}
