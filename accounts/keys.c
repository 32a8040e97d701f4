#include "accounts/keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#define KEYS_MAX     64
#define KEY_FILE_MAX (16 * 1024)
#define KEY_SUFFIX   ".pem"
#define KID_CHARS    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

static bool kid_is_valid(const char *kid)
{
    size_t n = strlen(kid);

    return n > 0 && n <= KEY_ID_MAX && kid[0] != '.' && strspn(kid, KID_CHARS) == n;
}

/* Keys with a passphrase are refused instead of asking for it on a terminal. */
static int no_passphrase(char *out, int cap, int writing, void *arg)
{
    (void)out;
    (void)cap;
    (void)writing;
    (void)arg;
    return -1;
}

static char *take_text(BIO *bio)
{
    char *data = NULL;
    long n = BIO_get_mem_data(bio, &data);
    char *text = n > 0 ? malloc((size_t)n + 1) : NULL;

    if (text) {
        memcpy(text, data, (size_t)n);
        text[n] = 0;
        OPENSSL_cleanse(data, (size_t)n);
    }
    return text;
}

static int take_coord(uint8_t out[KEY_COORD_LEN], EVP_PKEY *pkey, const char *param)
{
    BIGNUM *bn = NULL;
    int ok = EVP_PKEY_get_bn_param(pkey, param, &bn) == 1 &&
             BN_bn2binpad(bn, out, KEY_COORD_LEN) == KEY_COORD_LEN;

    BN_free(bn);
    return ok ? OK : ERR_INVALID;
}

static bool is_p256(EVP_PKEY *pkey)
{
    char group[32];

    return EVP_PKEY_is_a(pkey, "EC") &&
           EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group,
                                          NULL) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

static int fill_key(struct key *k, EVP_PKEY *pkey, bool private)
{
    BIO *bio = BIO_new(BIO_s_mem());
    BIO *pub = BIO_new(BIO_s_mem());
    int err = ERR_NOMEM;

    if (!bio || !pub) {
        goto out;
    }
    if (!is_p256(pkey) || take_coord(k->x, pkey, OSSL_PKEY_PARAM_EC_PUB_X) ||
        take_coord(k->y, pkey, OSSL_PKEY_PARAM_EC_PUB_Y)) {
        err = ERR_INVALID;
        goto out;
    }
    if (PEM_write_bio_PUBKEY(pub, pkey) != 1 || !(k->public_pem = take_text(pub))) {
        goto out;
    }
    if (private && (PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) != 1 ||
                    !(k->private_pem = take_text(bio)))) {
        goto out;
    }
    err = OK;
out:
    BIO_free(bio);
    BIO_free(pub);
    return err;
}

static int parse_key(struct key *k, const char *text, size_t n)
{
    BIO *bio = BIO_new_mem_buf(text, (int)n);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    bool private = pkey != NULL;
    int err = ERR_INVALID;

    if (bio && !pkey && BIO_reset(bio) == 1) {
        pkey = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
    }
    if (pkey) {
        err = fill_key(k, pkey, private);
    }
    EVP_PKEY_free(pkey);
    BIO_free(bio);
    return err;
}

static void key_clear(struct key *k)
{
    if (k->private_pem) {
        OPENSSL_cleanse(k->private_pem, strlen(k->private_pem));
    }
    free(k->private_pem);
    free(k->public_pem);
    memset(k, 0, sizeof *k);
}

/* One file, opened without following links out of the folder's control being of any use: the folder
 * belongs to us. */
static int read_key(struct key *k, int dir, const char *name)
{
    char text[KEY_FILE_MAX];
    struct stat st;
    ssize_t n = -1;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    int err;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        (n = read(fd, text, sizeof text)) < 0) {
        err = ERR_IO;
    } else if ((size_t)n == sizeof text) {
        err = ERR_INVALID;
    } else {
        err = parse_key(k, text, (size_t)n);
    }
    if (err == OK && k->private_pem && (st.st_mode & S_IRWXO)) {
        err = ERR_FORBIDDEN;
    }
    OPENSSL_cleanse(text, sizeof text);
    if (fd >= 0) {
        close(fd);
    }
    if (err) {
        key_clear(k);
    }
    return err;
}

/* "<kid>.pem" → kid. ERR_NOT_FOUND for a file that isn't meant (another suffix, hidden). */
static int kid_of(char out[KEY_ID_MAX + 1], const char *name)
{
    size_t n = strlen(name), suffix = strlen(KEY_SUFFIX);
    char kid[KEY_ID_MAX + 1];

    if (n <= suffix || name[0] == '.' || strcmp(name + n - suffix, KEY_SUFFIX) != 0) {
        return ERR_NOT_FOUND;
    }
    if (n - suffix > KEY_ID_MAX) {
        return ERR_INVALID;
    }
    memcpy(kid, name, n - suffix);
    kid[n - suffix] = 0;
    return kid_is_valid(kid) ? str_copy(out, KEY_ID_MAX + 1, kid) : ERR_INVALID;
}

static int add_file(struct keys *k, int dir, const char *name)
{
    struct key *grown;
    char kid[KEY_ID_MAX + 1];
    int err = kid_of(kid, name);

    if (err == ERR_NOT_FOUND) {
        return OK;
    }
    if (err) {
        return err;
    }
    if (k->n == KEYS_MAX) {
        return ERR_TOO_LARGE;
    }
    grown = realloc(k->item, (k->n + 1) * sizeof *grown);
    if (!grown) {
        return ERR_NOMEM;
    }
    k->item = grown;
    memset(&grown[k->n], 0, sizeof *grown);
    err = read_key(&grown[k->n], dir, name);
    if (err) {
        return err;
    }
    return str_copy(grown[k->n++].kid, sizeof grown->kid, kid);
}

static int by_kid(const void *a, const void *b)
{
    return strcmp(((const struct key *)a)->kid, ((const struct key *)b)->kid);
}

static int finish(struct keys *k)
{
    if (k->n) {
        qsort(k->item, k->n, sizeof *k->item, by_kid);
    }
    for (size_t i = 0; i < k->n; i++) {
        if (k->item[i].private_pem) {
            k->signer = &k->item[i];
        }
    }
    return k->signer ? OK : ERR_NOT_FOUND;
}

int keys_load(struct keys **out, const char *dir)
{
    struct keys *k = calloc(1, sizeof *k);
    DIR *d = opendir(dir);
    int err = !k ? ERR_NOMEM : !d ? ERR_IO : OK;

    if (!d) {
        log_event(LOG_ERROR, "signing_key_folder", "dir=%s error=\"%s\"", dir, strerror(errno));
    }
    for (struct dirent *e; !err && (e = readdir(d));) {
        err = add_file(k, dirfd(d), e->d_name);
        if (err) {
            log_event(LOG_ERROR, "signing_key_refused", "dir=%s file=%s error=%s", dir, e->d_name,
                      err_name(err));
        }
    }
    if (!err && (err = finish(k)) != OK) {
        log_event(LOG_ERROR, "signing_key_missing", "dir=%s", dir);
    }
    if (d) {
        closedir(d);
    }
    if (err) {
        keys_free(k);
        return err;
    }
    *out = k;
    return OK;
}

void keys_free(struct keys *k)
{
    if (!k) {
        return;
    }
    for (size_t i = 0; i < k->n; i++) {
        key_clear(&k->item[i]);
    }
    free(k->item);
    free(k);
}

const struct key *keys_find(const struct keys *k, const char *kid)
{
    for (size_t i = 0; i < k->n; i++) {
        if (strcmp(k->item[i].kid, kid) == 0) {
            return &k->item[i];
        }
    }
    return NULL;
}

static int write_private(int fd, EVP_PKEY *pkey)
{
    FILE *f = fdopen(fd, "w");
    bool ok;

    if (!f) {
        close(fd);
        return ERR_IO;
    }
    ok = PEM_write_PrivateKey(f, pkey, NULL, NULL, 0, NULL, NULL) == 1;
    return fclose(f) == 0 && ok ? OK : ERR_IO;
}

int keys_generate(const char *dir, const char *kid)
{
    char path[4096];
    EVP_PKEY *pkey;
    int fd, err;

    if (!kid_is_valid(kid)) {
        return ERR_INVALID;
    }
    if (snprintf(path, sizeof path, "%s/%s" KEY_SUFFIX, dir, kid) >= (int)sizeof path) {
        return ERR_TOO_LARGE;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno == EEXIST ? ERR_CONFLICT : ERR_IO;
    }
    pkey = EVP_EC_gen("P-256");
    if (!pkey) {
        close(fd);
        err = ERR_NOMEM;
    } else {
        err = write_private(fd, pkey);
    }
    EVP_PKEY_free(pkey);
    if (err) {
        unlink(path);
    }
    return err;
}
