// Every route and every event in the code stands in docs/openapi.yaml and docs/asyncapi.yaml, and the other way round.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

const root = new URL('../../', import.meta.url).pathname;
const read = (file) => readFileSync(root + file, 'utf8');
const sources = execFileSync('git', ['ls-files', '*.c', 'schema/*.sql'], { cwd: root, encoding: 'utf8' })
    .split('\n')
    .filter((f) => f && !/^(tests|bench|ctl|sfu)\//.test(f));
const code = sources.map((file) => ({ file, text: read(file) }));

const faults = [];
const compare = (what, inCode, inDocs, docs) => {
    for (const [name, file] of inCode) {
        if (!inDocs.has(name)) faults.push(`${what} ${name} (${file}) is not in ${docs}`);
    }
    for (const name of inDocs) {
        if (!inCode.has(name)) faults.push(`${what} ${name} is in ${docs} but not in the code`);
    }
    if (inCode.size === 0) faults.push(`found no ${what} in the code: has its form changed?`);
};

/** All matches of a pattern in the code: the key made of its groups → the file it is in. */
const collect = (pattern, key) => {
    const found = new Map();
    for (const { file, text } of code) {
        for (const match of text.matchAll(pattern)) found.set(key(match), file);
    }
    return found;
};

const openapi = parse(read('docs/openapi.yaml'));
const documentedRoutes = new Set();
for (const [path, item] of Object.entries(openapi.paths)) {
    for (const method of Object.keys(item)) documentedRoutes.add(`${method.toUpperCase()} ${path}`);
}
const routes = collect(/\bHTTP_(GET|POST|PUT|PATCH|DELETE)\s*,\s*(?:\.path\s*=\s*)?"(\/[^"]*)"/g, (m) => `${m[1]} ${m[2]}`);
compare('route', routes, documentedRoutes, 'docs/openapi.yaml');

const asyncapi = parse(read('docs/asyncapi.yaml'));
const messages = Object.keys(asyncapi.channels.socket.messages);
const named = (prefix) => new Set(messages.filter((m) => m.startsWith(prefix)).map((m) => m.slice(prefix.length)));
// Client frames: the call machine's table of names, and the two that the socket itself answers.
const clientFrames = new Map();
for (const [name, file] of collect(/\[FRAME_[A-Z_]+\]\s*=\s*"([a-z_]+)"/g, (m) => m[1])) {
    if (file.endsWith('call_frames.c')) clientFrames.set(name, file);
}
for (const [name, file] of collect(/strcmp\((?:frame->)?type, "([a-z_]+)"\) == 0/g, (m) => m[1])) {
    if (file.endsWith('hub_request.c')) clientFrames.set(name, file);
}
for (const [name, file] of collect(/\bhub_on\(\s*[^,]+,\s*"([a-z_]+)"/g, (m) => m[1])) clientFrames.set(name, file);
compare('client frame', clientFrames, named('client.'), 'docs/asyncapi.yaml');

// Server events are named by string literals, of C or (the durable ones) of the SQL functions that write the inbox.
const literals = collect(/["']([a-z]+(?:_[a-z]+)*)["']/g, (m) => m[1]);
for (const name of named('server.')) {
    if (!literals.has(name)) faults.push(`server event ${name} is in docs/asyncapi.yaml but no string of the code`);
}
for (const [name, file] of collect(/inbox_append\([^;]*?'([a-z]+_[a-z_]+)'/g, (m) => m[1])) literals.set(name, file);
const sent = collect(/\bhub_(?:send_device|send_user|send|broadcast)\([^;]*?"([a-z]+(?:_[a-z]+)+)"/g, (m) => m[1]);
const events = named('server.');
for (const [name, file] of sent) {
    if (!events.has(name)) faults.push(`server event ${name} (${file}) is not in docs/asyncapi.yaml`);
}

for (const fault of faults) console.error(fault);
console.log(`${routes.size} routes, ${clientFrames.size} client frames, ${events.size} server events`);
process.exit(faults.length ? 1 : 0);
