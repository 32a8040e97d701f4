// The peer for up- and download: Debian's nginx, one worker, in a folder of its own.
import { mkdirSync, chownSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, rssOf, start as startProcess, treeOf, waitPort } from '../lib/proc.mjs';
import { fillTemplate, packageVersion, privateFolder, program, runAsService, serviceUser, writeForService } from './service.mjs';

/** nginx-light has all that is asked of it: static files, TLS, and WebDAV's PUT. */
export const packageName = 'nginx-light';
export const version = () => packageVersion('nginx');

const template = new URL('./nginx/nginx.conf', import.meta.url).pathname;

async function makeCertificate(dir) {
    await runAsService('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '7',
        '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem')]);
}

/**
 * Starts nginx pinned to ctx.cpus.server. bodyBuffer: memory for a body before it goes to its file.
 * → { url, tlsUrl, port, tlsPort, root (files below it are served; PUT writes there), pid, pids(), rss(), log(), stop() }
 */
export async function start(ctx, { bodyBuffer = '128k', cpus = ctx.cpus?.server } = {}) {
    const nginx = program('nginx', packageName);
    const folder = privateFolder(ctx, 'nginx');
    const dir = folder.path;
    const root = join(dir, 'files');
    const user = serviceUser();
    mkdirSync(root, { mode: 0o755 });
    if (user) chownSync(root, user.uid, user.gid);
    const [port, tlsPort] = await freePort(2);
    await makeCertificate(dir);
    const config = writeForService(join(dir, 'nginx.conf'), fillTemplate(template, { dir, root, port, tls_port: tlsPort, body_buffer: bodyBuffer }));
    const server = startProcess({ name: 'nginx', cmd: nginx, args: ['-p', dir, '-e', join(dir, 'error.log'), '-c', config], cpus, user: user?.name, cwd: dir });
    const stop = async () => {
        await server.stop('SIGTERM');
        folder.remove();
    };
    ctx.defer?.(stop);
    await waitPort(port, { process: server });
    return {
        url: `http://127.0.0.1:${port}`,
        tlsUrl: `https://127.0.0.1:${tlsPort}`,
        port, tlsPort, root,
        pid: server.pid,
        pids: () => treeOf(server.pid),
        rss: () => rssOf(treeOf(server.pid)),
        log: server.log,
        stop,
    };
}
