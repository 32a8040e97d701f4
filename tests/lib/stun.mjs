// Just enough STUN to knock at an ICE-lite server (RFC 8489).
import { createHmac, randomBytes } from 'node:crypto';

function attribute(type, value) {
    const head = Buffer.alloc(4);
    head.writeUInt16BE(type, 0);
    head.writeUInt16BE(value.length, 2);
    return Buffer.concat([head, value, Buffer.alloc((4 - (value.length % 4)) % 4)]);
}

/** The CRC-32 of ITU V.42, as FINGERPRINT wants it. */
function crc32(data) {
    let crc = ~0;
    for (const byte of data) {
        crc ^= byte;
        for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc >>> 0;
}

/** A binding request with USERNAME, ICE-CONTROLLING, PRIORITY, USE-CANDIDATE, MESSAGE-INTEGRITY and FINGERPRINT. */
export function bindingRequest(username, password) {
    const attributes = Buffer.concat([
        attribute(0x0006, Buffer.from(username)),
        attribute(0x802a, randomBytes(8)),
        attribute(0x0024, Buffer.from([0x6e, 0, 1, 0xff])),
        attribute(0x0025, Buffer.alloc(0)),
    ]);
    const head = Buffer.alloc(20);
    head.writeUInt16BE(0x0001, 0);
    head.writeUInt16BE(attributes.length + 24, 2); // as if the integrity were in already
    head.writeUInt32BE(0x2112a442, 4);
    randomBytes(12).copy(head, 8);
    const message = Buffer.concat([head, attributes]);
    const mac = createHmac('sha1', password).update(message).digest();
    const signed = Buffer.concat([message, attribute(0x0008, mac)]);
    signed.writeUInt16BE(signed.length - 20 + 8, 2);
    const print = Buffer.alloc(4);
    print.writeUInt32BE((crc32(signed) ^ 0x5354554e) >>> 0);
    return Buffer.concat([signed, attribute(0x8028, print)]);
}
