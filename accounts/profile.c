#include "accounts/profile.h"

#include "lib/base/json.h"

cJSON *profile_public(const struct profile *p)
{
    cJSON *o = json_new();

    json_put_str(o, "id", p->id);
    json_put_str(o, "username", p->username);
    json_put_str(o, "displayName", p->display_name);
    json_put_str(o, "avatarMediaId", p->avatar_media_id);
    json_put_str(o, "statusText", p->status_text);
    if (p->last_seen_us) {
        json_put_time(o, "lastSeenAt", p->last_seen_us);
    }
    return o;
}

cJSON *profile_own(const struct profile *p)
{
    cJSON *o = profile_public(p);

    json_put_str(o, "email", p->email);
    json_put_str(o, "role", p->role);
    json_put_bool(o, "showLastSeen", p->show_last_seen);
    json_put_time(o, "createdAt", p->created_us);
    return o;
}
