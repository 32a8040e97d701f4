/* The doctor's look at files: who may read them, and whether they are what they should be. */
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/doctor.h"
#include "lib/base/err.h"

/* True when the file is there and closed to others; else says so. */
static bool check_private(struct doctor *d, const char *path, const char *make)
{
    struct stat st;
    char todo[PATH_MAX + 32];

    if (stat(path, &st) != 0) {
        doctor_bad(d, make, "%s: %s", path, strerror(errno));
        return false;
    }
    if (st.st_mode & S_IRWXO) {
        snprintf(todo, sizeof todo, "chmod 600 %s, and replace what others may have read", path);
        doctor_bad(d, todo, "%s is open to every user of this machine", path);
        return false;
    }
    if (access(path, R_OK) != 0) {
        doctor_bad(d, "run this as the service's user, or give it the file",
                   "%s: not readable for this user", path);
        return false;
    }
    return true;
}

static void check_secret(struct doctor *d, const char *key)
{
    const char *path = config_str(d->config, key);
    char secret[512];

    if (!*path) {
        doctor_note(d, "%s isn't set", key);
        return;
    }
    if (!check_private(d, path, "sottoctl secrets init")) {
        return;
    }
    int rc = config_read_secret(secret, sizeof secret, path);
    size_t n = rc == OK ? strlen(secret) : 0;
    explicit_bzero(secret, sizeof secret);
    if (n < 16) {
        doctor_bad(d, "remove it and run: sottoctl secrets init",
                   "%s holds no secret of at least 16 characters", path);
    } else {
        doctor_good(d, "%s", path);
    }
}

static int is_pem(const struct dirent *e)
{
    size_t n = strlen(e->d_name);

    return e->d_name[0] != '.' && n > 4 && strcmp(e->d_name + n - 4, ".pem") == 0;
}

static bool is_p256(const char *path)
{
    FILE *in = fopen(path, "re");
    EVP_PKEY *key = in ? PEM_read_PrivateKey(in, NULL, NULL, NULL) : NULL;
    bool good = key && EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) == 256;

    EVP_PKEY_free(key);
    if (in) {
        fclose(in);
    }
    return good;
}

static void check_keys(struct doctor *d)
{
    const char *folder = config_str(d->config, "auth.key_dir");
    char path[PATH_MAX];
    struct dirent **found = NULL;
    int n = scandir(folder, &found, is_pem, alphasort);
    int good = 0;

    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, found[i]->d_name);
        if (check_private(d, path, "sottoctl keys init")) {
            good += is_p256(path);
        }
        free(found[i]);
    }
    free(found);
    if (good > 0) {
        doctor_good(d, "%s holds %d signing key%s", folder, good, good == 1 ? "" : "s");
    } else {
        doctor_bad(d, "sottoctl keys init", "%s holds no ES256 key to sign tokens with", folder);
    }
}

static X509 *read_certificate(const char *path)
{
    FILE *in = fopen(path, "re");
    X509 *x = in ? PEM_read_X509(in, NULL, NULL, NULL) : NULL;

    if (in) {
        fclose(in);
    }
    return x;
}

static void check_expiry(struct doctor *d, const char *path, const X509 *x)
{
    int days = 0, seconds = 0;

    if (!ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x)) || days < 0 || seconds < 0) {
        doctor_bad(d, "put a new certificate in its place and restart signald", "%s has expired",
                   path);
    } else if (days < 14) {
        doctor_bad(d, "renew it soon", "%s expires in %d days", path, days);
    } else {
        doctor_good(d, "%s is good for %d days", path, days);
    }
}

static void check_certificate(struct doctor *d)
{
    const char *cert = config_str(d->config, "http.cert_file");
    const char *key = config_str(d->config, "http.key_file");
    X509 *x = read_certificate(cert);

    if (config_int(d->config, "http.tls_port") == 0) {
        doctor_note(d, "HTTPS is turned off ([http] tls_port = 0)");
    } else if (!x) {
        doctor_bad(d, "put a PEM certificate there (make up makes a self-signed one)",
                   "%s: no certificate", cert);
    } else if (check_private(d, key, "put the certificate's PEM key there")) {
        FILE *in = fopen(key, "re");
        EVP_PKEY *k = in ? PEM_read_PrivateKey(in, NULL, NULL, NULL) : NULL;
        if (k && X509_check_private_key(x, k) == 1) {
            check_expiry(d, cert, x);
        } else {
            doctor_bad(d, "put the key that belongs to the certificate there",
                       "%s isn't the key of %s", key, cert);
        }
        EVP_PKEY_free(k);
        if (in) {
            fclose(in);
        }
    }
    X509_free(x);
}

static void check_web(struct doctor *d)
{
    const char *root = config_str(d->config, "http.web_root");
    char path[PATH_MAX];

    if (!*root) {
        doctor_note(d, "no web app is served ([http] web_root is empty)");
        return;
    }
    snprintf(path, sizeof path, "%s/index.html", root);
    if (access(path, R_OK) == 0) {
        doctor_good(d, "%s", path);
    } else {
        doctor_bad(d, "build the web app, or set [http] web_root to its folder", "%s: %s", path,
                   strerror(errno));
    }
}

void doctor_files(struct doctor *d)
{
    check_secret(d, "http.internal_key_file");
    check_secret(d, "turn.secret_file");
    check_secret(d, "sfu_link.secret_file");
    check_keys(d);
    check_certificate(d);
    check_web(d);
}
