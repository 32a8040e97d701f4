/* What holds between keys. */
#include <stdio.h>

#include "lib/base/config.h"
#include "lib/base/err.h"

#define BCRYPT_COST_MIN 12 /* OWASP asks for 10, the wire contract for 12 */

int config_check_rules(const struct config *c, char *why, size_t why_cap)
{
    if (config_int(c, "auth.bcrypt_cost") < BCRYPT_COST_MIN && !config_bool(c, "auth.dev_mode")) {
        snprintf(why, why_cap,
                 "%s: [auth] bcrypt_cost below %d is for tests: raise it, or set dev_mode = yes",
                 config_origin(c, "auth.bcrypt_cost"), BCRYPT_COST_MIN);
        return ERR_INVALID;
    }
    if (config_int(c, "turn.relay_min_port") > config_int(c, "turn.relay_max_port")) {
        snprintf(why, why_cap, "%s: [turn] relay_min_port is above relay_max_port (%s)",
                 config_origin(c, "turn.relay_min_port"), config_origin(c, "turn.relay_max_port"));
        return ERR_INVALID;
    }
    return OK;
}
