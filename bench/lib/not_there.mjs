// What a scenario's `ours` throws until the issue that builds the part fills it in.

/** A part of Sotto that doesn't exist yet. */
export class NotThere extends Error {
    constructor(what) {
        super(`${what}: until then only peers and floors are measured`);
        this.name = 'NotThere';
    }
}
