/* The TLS listener: versions, ALPN, HSTS, and a WebSocket's upgrade over it. */
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "tests/integration/c/server.h"

#include "lib/base/log.h"

static char cert_file[] = P_tmpdir "/sotto-tls-cert-XXXXXX";
static char key_file[] = P_tmpdir "/sotto-tls-key-XXXXXX";
static int tls_port;

static void hello(struct http_request *r, void *arg)
{
    (void)arg;
    http_reply(r, 200, json_new());
}

static const struct http_route routes[] = {
    {HTTP_GET, "/v1/hello", hello, 0, 0, NULL},
    {0, NULL, NULL, 0, 0, NULL},
};

static FILE *temporary(char *name)
{
    int fd = mkstemp(name);
    return fd < 0 ? NULL : fdopen(fd, "w");
}

static void make_certificate(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME *name = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1,
                               0);
    X509_set_issuer_name(x, name);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    FILE *c = temporary(cert_file), *k = temporary(key_file);
    PEM_write_X509(c, x);
    PEM_write_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL);
    fclose(c);
    fclose(k);
    X509_free(x);
    EVP_PKEY_free(key);
}

static int set_up(void **state)
{
    (void)state;
    make_certificate();
    tls_port = free_port();
    srv.l = loop_new();
    struct http_options o = {.name = "test",
                             .tls_address = "127.0.0.1",
                             .tls_port = tls_port,
                             .cert_file = cert_file,
                             .key_file = key_file,
                             .address_limit = 1000,
                             .max_connections = 100};
    srv_start(&o, routes, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    srv_join();
    http_free(srv.s);
    loop_free(srv.l);
    unlink(cert_file);
    unlink(key_file);
    return 0;
}

struct client {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
};

/* True when the handshake came to its end. */
static bool connect_tls(struct client *c, int max_version)
{
    static const unsigned char alpn[] = "\x02h2\x08http/1.1";
    c->ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(c->ctx, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(c->ctx, max_version);
    SSL_CTX_set_security_level(c->ctx, 0);
    c->fd = dial(tls_port);
    c->ssl = SSL_new(c->ctx);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_alpn_protos(c->ssl, alpn, sizeof(alpn) - 1);
    return SSL_connect(c->ssl) == 1;
}

static void disconnect(struct client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    close(c->fd);
}

static void old_versions_are_refused(void **state)
{
    static const int old[] = {TLS1_VERSION, TLS1_1_VERSION},
                     good[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct client c;
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_false(connect_tls(&c, old[i]));
        disconnect(&c);
        assert_true(connect_tls(&c, good[i]));
        assert_int_equal(SSL_version(c.ssl), good[i]);
        disconnect(&c);
    }
}

static void requests_are_answered_with_hsts_over_http_1_1(void **state)
{
    static const char text[] = "GET /v1/hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct client c;
    char answer[8192] = {0};
    const unsigned char *alpn = NULL;
    unsigned alpn_len = 0;
    int n = 0;
    (void)state;
    assert_true(connect_tls(&c, TLS1_3_VERSION));
    SSL_get0_alpn_selected(c.ssl, &alpn, &alpn_len);
    assert_int_equal(alpn_len, 8);
    assert_memory_equal(alpn, "http/1.1", 8);
    for (int twice = 0; twice < 2; twice++) { /* on one connection */
        assert_int_equal(SSL_write(c.ssl, text, sizeof(text) - 1), sizeof(text) - 1);
        memset(answer, 0, sizeof(answer));
        for (n = 0; !strstr(answer, "\r\n\r\n{}");) {
            int k = SSL_read(c.ssl, answer + n, (int)sizeof(answer) - 1 - n);
            assert_true(k > 0);
            n += k;
        }
        assert_memory_equal(answer, "HTTP/1.1 200", 12);
        assert_non_null(strstr(answer, "strict-transport-security: max-age="));
    }
    disconnect(&c);
}

static void plain_bytes_on_the_tls_port_are_dropped(void **state)
{
    char rest[64];
    (void)state;
    int fd = dial(tls_port);
    put(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
    while (recv(fd, rest, sizeof(rest), 0) > 0) /* an alert at most */
        assert_null(memmem(rest, sizeof(rest), "HTTP", 4));
    close(fd);
}

int main(void)
{
    log_init("test", LOG_ERROR, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_versions_are_refused),
        cmocka_unit_test(requests_are_answered_with_hsts_over_http_1_1),
        cmocka_unit_test(plain_bytes_on_the_tls_port_are_dropped),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
