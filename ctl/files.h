/* Small files that hold secrets. */
#ifndef SOTTO_CTL_FILES_H
#define SOTTO_CTL_FILES_H

#include <stdbool.h>
#include <stddef.h>

/* Makes the folder and those above it, 0700 each that is new. False with errno. */
bool files_make_folder(const char *path);
/* Writes a new file, 0600, whole or not at all. False with errno; EEXIST when it is there already.
 */
bool files_write_new(const char *path, const char *text, size_t n);

#endif
