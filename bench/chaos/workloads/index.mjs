// Which workloads there are. Each is `{ name, about, start(world), stop(), figures(), books() }`: stop() takes no more
// scripts on and resolves when the running ones are over; books() gives lines { name, ok, text, faults }.
import { away } from './away.mjs';
import { calls } from './calls.mjs';
import { conversations } from './conversations.mjs';
import { groups } from './groups.mjs';
import { sessions } from './sessions.mjs';
import { turn } from './turn.mjs';

export const WORKLOADS = { calls, groups, sessions, away, conversations, turn };

/** Those whose part of Sotto doesn't exist yet. */
export const WAITING = { messages: 'issue 6', 'files and pictures': 'issue 7' };
