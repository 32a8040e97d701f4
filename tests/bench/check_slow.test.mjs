// The patch by which bench/check-slow slows sfud down still fits, so that it doesn't fail first when somebody needs it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';

const ROOT = new URL('../../', import.meta.url).pathname;

test('bench/slow.patch fits the forward path as it is', () => {
    const done = spawnSync('patch', ['-p1', '--dry-run', '--fuzz=0', '--batch', '-i', 'bench/slow.patch'], { cwd: ROOT, encoding: 'utf8' });
    assert.equal(done.status, 0, `put the wait into sfud's forward path anew, and keep the patch\n${done.stdout}${done.stderr}`);
});
