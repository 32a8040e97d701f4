/* AES-GCM of a context that has its key, packet by packet. EVP_CipherInit_ex asks the cipher for
 * the length of its nonce each time, by name, and EVP_CIPHER_CTX_ctrl makes parameters of its
 * arguments: handing over the parameters costs some 50 ns less a packet. */
#ifndef SOTTO_SFU_CORE_EVP_GCM_H
#define SOTTO_SFU_CORE_EVP_GCM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#define EVP_GCM_IV_LEN    12
#define EVP_GCM_TAG_LEN   16
#define EVP_GCM_ALL_OF_IV ((size_t)-1) /* as EVP_CTRL_AEAD_SET_IV_FIXED has it */

/* Before associated data; to decrypt, with the tag that is to come out, else NULL. */
static inline bool evp_gcm_begin(EVP_CIPHER_CTX *c, uint8_t iv[EVP_GCM_IV_LEN], uint8_t *tag)
{
    OSSL_PARAM with[] = {
        OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED, iv,
                                          EVP_GCM_ALL_OF_IV),
        OSSL_PARAM_construct_end(),
        OSSL_PARAM_construct_end(),
    };
    if (tag) {
        with[1] =
            OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, EVP_GCM_TAG_LEN);
    }
    return EVP_CIPHER_CTX_set_params(c, with) == 1;
}

/* After EVP_EncryptFinal_ex. */
static inline bool evp_gcm_tag(EVP_CIPHER_CTX *c, uint8_t tag[EVP_GCM_TAG_LEN])
{
    OSSL_PARAM of[] = {
        OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, EVP_GCM_TAG_LEN),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CIPHER_CTX_get_params(c, of) == 1;
}

#endif
