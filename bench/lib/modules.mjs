// node_modules of what the harness and its scenarios are made of: a fresh clone has none.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './host.mjs';
import { BenchError } from './proc.mjs';

/** Installs them where the lock file changed since the last time; does nothing otherwise. */
export function installModules() {
    for (const dir of ['bench', 'tests']) {
        const { status } = spawnSync(join(ROOT, 'deploy/npm-install'), [join(ROOT, dir)], { stdio: ['ignore', 2, 2] });
        if (status !== 0) throw new BenchError(`npm packages of ${dir}/ are missing`, `deploy/npm-install ${dir} says why`);
    }
}
