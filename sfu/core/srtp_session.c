#include "sfu/core/srtp_session.h"

#include <openssl/crypto.h>

#include "lib/base/err.h"
#include "sfu/core/evp_fetch.h"

static const EVP_CIPHER *cipher_of(enum srtp_profile p)
{
    if (p == SRTP_AES128_CM_SHA1_80) {
        return EVP_aes_128_ctr();
    }
    return p == SRTP_AEAD_AES_128_GCM ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
}

static int key_session(struct srtp_session *s, bool encrypt, const uint8_t *master_key,
                       const uint8_t *master_salt)
{
    uint8_t salt[SRTP_SALT_LEN] = {0}, key[32], auth[SRTP_HMAC_KEY_LEN];
    size_t key_len = srtp_profile_key_len(s->profile), salt_len = srtp_profile_salt_len(s->profile);

    memcpy(salt, master_salt, salt_len);
    int r = srtp_derive(key, key_len, SRTP_LABEL_ENCRYPTION, master_key, key_len, salt);
    if (r == OK) {
        r = srtp_derive(s->salt, salt_len, SRTP_LABEL_SALT, master_key, key_len, salt);
    }
    if (r == OK && s->profile == SRTP_AES128_CM_SHA1_80) {
        r = srtp_derive(auth, sizeof auth, SRTP_LABEL_AUTHENTICATION, master_key, key_len, salt);
        if (r == OK) {
            srtp_hmac_key(&s->hmac, auth);
        }
    }
    if (r == OK &&
        EVP_CipherInit_ex(s->cipher, cipher_of(s->profile), NULL, key, NULL, encrypt) != 1) {
        r = ERR_IO;
    }
    OPENSSL_cleanse(key, sizeof key);
    OPENSSL_cleanse(auth, sizeof auth);
    OPENSSL_cleanse(salt, sizeof salt);
    return r;
}

int srtp_session_open(struct srtp_session *s, enum srtp_profile profile, bool encrypt,
                      const uint8_t *master_key, const uint8_t *master_salt)
{
    if (srtp_profile_key_len(profile) == 0) {
        return ERR_UNSUPPORTED;
    }
    s->profile = profile;
    s->cipher = EVP_CIPHER_CTX_new();
    int r = s->cipher ? key_session(s, encrypt, master_key, master_salt) : ERR_NOMEM;
    s->state = r == OK ? evp_fetch_state(s->cipher) : NULL;
    return r;
}

void srtp_session_close(struct srtp_session *s)
{
    EVP_CIPHER_CTX_free(s->cipher); /* wipes its key */
    OPENSSL_cleanse(s, sizeof *s);
}
