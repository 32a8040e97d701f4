/* Names of static files: which are safe, of what type, how long they may be kept. Pure. */
#ifndef SOTTO_IO_STATIC_PATH_H
#define SOTTO_IO_STATIC_PATH_H

#include <stdbool.h>

/* True when the (decoded) path can only lead below the folder it is appended to: it begins with
 * '/', and no segment is empty (but the last), begins with a dot or holds a backslash. */
bool static_path_safe(const char *path);
/* True when the last segment has no extension: a page of the app rather than a file. */
bool static_path_is_page(const char *path);
/* True for the names that build tools give to content that never changes: a hash of 8 or more
 * letters and digits before the extension ("index-BX3k9a0Q.js"). */
bool static_path_is_hashed(const char *path);
/* The media type by extension; application/octet-stream when unknown. */
const char *static_path_type(const char *path);

#endif
