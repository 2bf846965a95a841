/* tls.c: what is asked of the broker's certificate. OpenSSL checks chain and name itself, while the connection is made;
 * rabbitmq-c's own look at the name knows no IP addresses. Called by conn.c. */
#include <amqp_ssl_socket.h>
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <unistd.h>

#include "targets/rabbitmq/rabbitmq.h"

static _Thread_local int verify_error;

static int note(int fine, X509_STORE_CTX *store)
{
    if (!fine) verify_error = X509_STORE_CTX_get_error(store);
    return fine;
}

const char *rq_tls_why(void) { return verify_error ? X509_verify_cert_error_string(verify_error) : NULL; }

static wb_code readable(const char *option, const char *path, wb_error *err)
{
    if (access(path, R_OK) == 0) return WB_OK;
    return wb_fail(err, WB_E_CONFIG, WB_NEVER, "The file of `%s` cannot be read: %s: %s.", option, path,
                   strerror(errno));
}

static wb_code use_ca(SSL_CTX *ctx, amqp_socket_t *socket, const char *ca, wb_error *err)
{
    if (ca && readable("tls_ca", ca, err) != WB_OK) return WB_E_CONFIG;
    int ok = ca ? amqp_ssl_socket_set_cacert(socket, ca) == AMQP_STATUS_OK : SSL_CTX_set_default_verify_paths(ctx) == 1;
    if (ok) return WB_OK;
    return wb_fail(err, WB_E_CONFIG, WB_NEVER, "The file of `tls_ca` has no certificates in PEM: %s.",
                   ca ? ca : "the system's");
}

static wb_code expect_name(SSL_CTX *ctx, const char *host, wb_error *err)
{
    unsigned char ip[16];
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
    bool is_ip = inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    int ok = is_ip ? X509_VERIFY_PARAM_set1_ip_asc(param, host) : X509_VERIFY_PARAM_set1_host(param, host, 0);
    return ok == 1 ? WB_OK : wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for TLS.");
}

/* A key with a password is refused: OpenSSL would ask for it on the terminal. */
static int no_password(char *text, int size, int writing, void *arg)
{
    WB_UNUSED(writing);
    WB_UNUSED(arg);
    if (size > 0) text[0] = 0;
    return -1;
}

static wb_code use_own(SSL_CTX *ctx, const rq_settings *s, wb_error *err)
{
    const char *key = s->key ? s->key : s->cert;
    wb_code code = readable("tls_cert", s->cert, err);
    if (code == WB_OK) code = readable("tls_key", key, err);
    if (code != WB_OK) return code;
    ERR_clear_error();
    SSL_CTX_set_default_passwd_cb(ctx, no_password);
    if (SSL_CTX_use_certificate_chain_file(ctx, s->cert) != 1)
        return wb_fail(err, WB_E_CONFIG, WB_NEVER, "The file of `tls_cert` is no certificate in PEM: %s.", s->cert);
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1 && SSL_CTX_check_private_key(ctx) == 1)
        return WB_OK;
    if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH)
        return wb_fail(err, WB_E_CONFIG, WB_NEVER, "The key in %s does not belong to the certificate of `tls_cert`.",
                       key);
    if (!s->key)
        return wb_fail(err, WB_E_CONFIG, WB_NEVER,
                       "There is no private key in the file of `tls_cert`: name its file with `tls_key`.");
    return wb_fail(err, WB_E_CONFIG, WB_NEVER, "The file of `tls_key` is no private key in PEM without a password: %s.",
                   key);
}

/* Alerts 42 to 46, 48, 49, 51 and 116 (RFC 8446, 6.2) are about the certificate of who comes. With TLS 1.3 one comes
 * only when the handshake seems done. OpenSSL's reason for an alert is 1000 and its number. */
bool rq_tls_refused(const rq_settings *s, wb_error *err)
{
    int alert = ERR_GET_REASON(ERR_peek_last_error()) - SSL_AD_REASON_OFFSET;
    bool ours = (alert >= 42 && alert <= 46) || alert == 48 || alert == 49 || alert == 51 || alert == 116;
    if (!ours) return false;
    const char *words = ERR_reason_error_string(ERR_peek_last_error());
    if (err) wb_error_reset(err);
    if (s->cert) {
        wb_fail(err, WB_E_AUTH, WB_NEVER, "RabbitMQ refuses the certificate of `tls_cert`: %s.", words ? words : "");
        wb_hint(err, "The broker's ssl_options.cacertfile must know who signed it, and it must be in date.");
    } else {
        wb_fail(err, WB_E_AUTH, WB_NEVER, "RabbitMQ wants a certificate of who comes, and there is none: %s.",
                words ? words : "");
        wb_hint(err, "Give `tls_cert` and `tls_key`: a certificate whose authority the broker knows.");
    }
    return true;
}

wb_code rq_tls_prepare(amqp_socket_t *socket, const rq_settings *s, const char *host, wb_error *err)
{
    SSL_CTX *ctx = amqp_ssl_socket_get_context(socket);
    verify_error = 0;
    ERR_clear_error();
    if (!ctx) return wb_fail(err, WB_E_INTERNAL, WB_NEVER, "rabbitmq-c has no TLS.");
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    amqp_ssl_socket_set_verify_hostname(socket, 0);
    amqp_ssl_socket_set_verify_peer(socket, s->verify != RQ_VERIFY_NONE);
    wb_code code = WB_OK;
    if (s->verify != RQ_VERIFY_NONE) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, note);
        code = use_ca(ctx, socket, s->ca, err);
    }
    if (code == WB_OK && s->verify == RQ_VERIFY_FULL) code = expect_name(ctx, host, err);
    return code == WB_OK && s->cert ? use_own(ctx, s, err) : code;
}
