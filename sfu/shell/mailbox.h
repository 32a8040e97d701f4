/* A bounded ring of pointers from one thread to one other, with an eventfd to wake the reader. The
 * reader owns what it takes. No locks. */
#ifndef SOTTO_SFU_MAILBOX_H
#define SOTTO_SFU_MAILBOX_H

#include <stddef.h>

struct mailbox;

/* capacity is rounded up to a power of two. ERR_NOMEM, ERR_IO (no descriptor left). */
int mailbox_new(struct mailbox **out, size_t capacity);
/* What is still inside is the caller's to take first. NULL is fine. */
void mailbox_free(struct mailbox *m);
/* Readable when mailbox_take has something, or after mailbox_wake. */
int mailbox_fd(const struct mailbox *m);
/* Writer's side: ERR_LIMIT when full (the message stays the caller's). */
int mailbox_put(struct mailbox *m, void *message);
/* Wakes the reader without a message; from any thread. */
void mailbox_wake(struct mailbox *m);
/* Reader's side: the next message, or NULL. */
void *mailbox_take(struct mailbox *m);
/* Makes the descriptor unreadable again; call before taking, so that nothing is missed. */
void mailbox_clear(struct mailbox *m);

#endif
