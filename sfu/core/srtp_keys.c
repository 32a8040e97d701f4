#include "sfu/core/srtp_keys.h"

#include <stdbool.h>
#include <string.h>

#include <openssl/evp.h>

#include "lib/base/err.h"

/* RFC 3711 section 4.3.1 with key derivation rate 0: the key stream of AES-CM under the master key,
 * from (label * 2^48 XOR salt) * 2^16 on. A salt of 12 bytes is padded with zeros (RFC 7714
 * section 11). */
int srtp_derive(uint8_t *out, size_t out_len, enum srtp_label label, const uint8_t *key,
                size_t key_len, const uint8_t salt[SRTP_SALT_LEN])
{
    uint8_t iv[16] = {0};
    int n = 0;
    const EVP_CIPHER *aes = key_len == 32 ? EVP_aes_256_ctr() : EVP_aes_128_ctr();
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

    if (!c) {
        return ERR_NOMEM;
    }
    memcpy(iv, salt, SRTP_SALT_LEN);
    iv[7] ^= (uint8_t)label;
    memset(out, 0, out_len);
    bool ok = EVP_EncryptInit_ex(c, aes, NULL, key, iv) == 1 &&
              EVP_EncryptUpdate(c, out, &n, out, (int)out_len) == 1;
    EVP_CIPHER_CTX_free(c);
    OPENSSL_cleanse(iv, sizeof iv);
    return ok ? OK : ERR_IO;
}
