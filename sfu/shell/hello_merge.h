/* One hello of several workers': signald knows one sfud, not how it shares its work. */
#ifndef SOTTO_SFU_HELLO_MERGE_H
#define SOTTO_SFU_HELLO_MERGE_H

#include <stddef.h>

/* Hello frames of the same node (n >= 1) into one: all rooms; one that several have is told once,
 * with the participants of all. To be freed with free(); NULL when out of memory or when one isn't
 * a hello. */
char *hello_merge(char *const *hello, size_t n);

#endif
