/* STUN: checks against fixed credentials; whatever is verified must be answerable. */
#include <netinet/in.h>
#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/proto/stun.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char pwd[] = "srvpwdsrvpwdsrvpwdsrvpwd";
    static const uint8_t transaction[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(5)};
    struct sockaddr_storage mapped;
    socklen_t mapped_len = sizeof mapped;
    char local[ICE_MAX_CREDENTIAL + 1], remote[ICE_MAX_CREDENTIAL + 1];
    uint8_t out[STUN_MAX_RESPONSE];
    struct ice_check check;
    int code = 0;

    (void)stun_is_request(data, size);
    (void)ice_check_username(local, remote, data, size);
    int r = ice_check_verify(&check, data, size, "srvU", pwd);
    if (r == OK && ice_check_success(out, sizeof out, data, size, pwd, (struct sockaddr *)&from,
                                     sizeof from) < 0)
        abort();
    /* The error and response paths don't need a valid integrity to be walked. */
    (void)ice_check_error(out, sizeof out, data, size, pwd, 420);
    (void)ice_check_error(out, sizeof out, data, size, pwd, 400);
    (void)ice_check_read_response(&mapped, &mapped_len, &code, data, size, transaction, pwd);
    return 0;
}
