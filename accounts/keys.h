/* The signing keys: P-256 keys as PEM files `<kid>.pem` in one folder. The private key that sorts
 * last signs (so a kid that begins with a date rotates by itself), each of them verifies. A file
 * with a public key alone belongs to a retired key whose tokens are still good. */
#ifndef SOTTO_ACCOUNTS_KEYS_H
#define SOTTO_ACCOUNTS_KEYS_H

#include <stddef.h>
#include <stdint.h>

#define KEY_ID_MAX    64 /* characters of a kid: letters, digits, '-', '_' and '.', not first */
#define KEY_COORD_LEN 32

struct key {
    char kid[KEY_ID_MAX + 1];
    char *public_pem;                           /* 0-ended */
    char *private_pem;                          /* 0-ended, or NULL */
    uint8_t x[KEY_COORD_LEN], y[KEY_COORD_LEN]; /* the public point, big endian */
};

struct keys {
    struct key *item; /* sorted by kid */
    size_t n;
    const struct key *signer;
};

/* Reads all of dir. ERR_NOT_FOUND without a private key in it, ERR_INVALID for a file that holds no
 * P-256 key or whose name is no kid, ERR_FORBIDDEN for a private key that others may read, ERR_IO,
 * ERR_NOMEM; each is logged with the file's name. Free with keys_free. */
int keys_load(struct keys **out, const char *dir);
/* Wipes private keys; NULL is fine. */
void keys_free(struct keys *k);
/* The key of that name, or NULL. */
const struct key *keys_find(const struct keys *k, const char *kid);
/* Makes a new private key `<dir>/<kid>.pem`, readable by its owner only. ERR_CONFLICT when the file
 * exists, ERR_INVALID for a bad kid, ERR_IO. */
int keys_generate(const char *dir, const char *kid);

#endif
