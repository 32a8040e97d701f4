/* A user as clients see one. */
#ifndef SOTTO_ACCOUNTS_PROFILE_H
#define SOTTO_ACCOUNTS_PROFILE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

/* Texts are borrowed; NULL where there is none. Times are microseconds since 1970, 0 for none. */
struct profile {
    const char *id, *username, *display_name, *avatar_media_id, *status_text;
    int64_t last_seen_us;
    /* what only the user sees */
    const char *email, *role;
    bool show_last_seen;
    int64_t created_us;
};

/* {id, username, displayName, avatarMediaId?, statusText?, lastSeenAt?}; the caller owns it. */
cJSON *profile_public(const struct profile *p);
/* The same with email, role, showLastSeen and createdAt. */
cJSON *profile_own(const struct profile *p);

#endif
