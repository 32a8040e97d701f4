#include "turn/turn.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "turn/turn_internal.h"

#define SECRET_MAX      256
#define SECRET_MIN      16
#define PSEUDONYM_BYTES 15 /* of HMAC-SHA256: 20 characters of base64url */

struct turn {
    const struct config *config; /* for its lists; lives longer than we do */
    char secret[SECRET_MAX];
    int64_t ttl_us;
};

static bool has_scheme(const char *url, const char *a, const char *b)
{
    return strncmp(url, a, strlen(a)) == 0 || strncmp(url, b, strlen(b)) == 0;
}

/* RFC 7064 and 7065 schemes; what follows is the browser's to parse. */
static int check_urls(const struct config *c, char *why, size_t why_cap)
{
    const char *url;
    for (size_t i = 0; (url = config_item(c, "turn.urls", i)); i++) {
        if (!has_scheme(url, "turn:", "turns:")) {
            snprintf(why, why_cap, "[turn] urls: \"%s\" is no turn: or turns: URL", url);
            return ERR_INVALID;
        }
    }
    for (size_t i = 0; (url = config_item(c, "turn.stun_urls", i)); i++) {
        if (!has_scheme(url, "stun:", "stuns:")) {
            snprintf(why, why_cap, "[turn] stun_urls: \"%s\" is no stun: or stuns: URL", url);
            return ERR_INVALID;
        }
    }
    return OK;
}

int turn_read_secret(char *out, size_t cap, const struct config *c, char *why, size_t why_cap)
{
    const char *path = config_str(c, "turn.secret_file");
    int err = config_read_secret(out, cap, path);
    if (err != OK)
        snprintf(why, why_cap, "[turn] secret_file %s: %s", path, err_name(err));
    else if (strlen(out) < SECRET_MIN || strpbrk(out, " \t\r\n#")) {
        snprintf(why, why_cap,
                 "[turn] secret_file %s: wants at least %d characters, without spaces or #", path,
                 SECRET_MIN);
        err = ERR_INVALID;
    }
    return err;
}

int turn_new(struct turn **out, const struct config *c, char *why, size_t why_cap)
{
    struct turn *t = calloc(1, sizeof(*t));
    if (!t)
        return ERR_NOMEM;
    t->config = c;
    t->ttl_us = config_duration_us(c, "turn.credential_ttl");
    int err = check_urls(c, why, why_cap);
    if (err == OK && config_item(c, "turn.urls", 0))
        err = turn_read_secret(t->secret, sizeof(t->secret), c, why, why_cap);
    if (err != OK) {
        turn_free(t);
        return err;
    }
    *out = t;
    return OK;
}

void turn_free(struct turn *t)
{
    if (!t)
        return;
    OPENSSL_cleanse(t->secret, sizeof(t->secret));
    free(t);
}

int64_t turn_ttl_us(const struct turn *t)
{
    return t->ttl_us;
}

/* The key's first use is told apart from its second (coturn's own HMAC over the username) by the
 * label: the one can't be made to say the other. */
static void pseudonym(const char *secret, const char *user_id, const char *call_id,
                      const char *device_id, char out[PSEUDONYM_BYTES * 2])
{
    uint8_t mac[SHA256_LEN];
    char who[4 * (ID_LEN + 1) + 16];
    int n = snprintf(who, sizeof(who), "pseudonym|%.40s|%.40s|%.40s", user_id,
                     call_id ? call_id : "", device_id);
    hmac_sha256(mac, secret, strlen(secret), who, (size_t)n);
    base64url_encode(out, mac, PSEUDONYM_BYTES);
}

void turn_credentials(const char *secret, const char *user_id, const char *call_id,
                      const char *device_id, int64_t expiry_s, char username[TURN_USERNAME_LEN],
                      char credential[TURN_CREDENTIAL_LEN])
{
    uint8_t mac[SHA1_LEN];
    char name[PSEUDONYM_BYTES * 2];
    pseudonym(secret, user_id, call_id, device_id, name);
    int n = snprintf(username, TURN_USERNAME_LEN, "%" PRId64 ":%s", expiry_s, name);
    hmac_sha1(mac, secret, strlen(secret), username, (size_t)n);
    base64_encode(credential, mac, SHA1_LEN);
}

static cJSON *url_list(const struct config *c, const char *key)
{
    const char *url;
    cJSON *urls = cJSON_CreateArray();
    for (size_t i = 0; (url = config_item(c, key, i)); i++)
        cJSON_AddItemToArray(urls, cJSON_CreateString(url));
    return urls;
}

cJSON *turn_ice_servers(const struct turn *t, const char *user_id, const char *call_id,
                        const char *device_id, int64_t now_us)
{
    cJSON *servers = cJSON_CreateArray();
    if (config_item(t->config, "turn.stun_urls", 0)) {
        cJSON *stun = json_new();
        json_put(stun, "urls", url_list(t->config, "turn.stun_urls"));
        cJSON_AddItemToArray(servers, stun);
    }
    if (config_item(t->config, "turn.urls", 0)) {
        char username[TURN_USERNAME_LEN], credential[TURN_CREDENTIAL_LEN];
        turn_credentials(t->secret, user_id, call_id, device_id,
                         (now_us + t->ttl_us) / INT64_C(1000000), username, credential);
        cJSON *turn = json_new();
        json_put(turn, "urls", url_list(t->config, "turn.urls"));
        json_put_str(turn, "username", username);
        json_put_str(turn, "credential", credential);
        cJSON_AddItemToArray(servers, turn);
    }
    return servers;
}

/* ---- GET /v1/ice-servers ---- */
static void on_ice_servers(struct http_request *r, void *arg)
{
    const struct turn *t = arg;
    const struct http_principal *who = http_who(r);
    int64_t now_us = clock_wall_us();
    cJSON *body = json_new();
    json_put(body, "iceServers",
             turn_ice_servers(t, who->user_id.s, NULL, who->device_id.s, now_us));
    json_put_int(body, "ttlSeconds", t->ttl_us / INT64_C(1000000));
    json_put_time(body, "expiresAt", now_us + t->ttl_us);
    http_set_header(r, "cache-control", "no-store");
    http_reply(r, 200, body);
}

static const struct http_route turn_routes[] = {
    {HTTP_GET, "/v1/ice-servers", on_ice_servers, HTTP_AUTH, 0, NULL},
    {.path = NULL},
};

void turn_add_routes(struct turn *t, struct http_server *s)
{
    http_add_routes(s, turn_routes, t);
}
