/* tls.c: what is asked of the broker's certificate. OpenSSL checks chain and name itself, while the connection is made;
 * rabbitmq-c's own look at the name knows no IP addresses. Called by conn.c. */
#include <amqp_ssl_socket.h>
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "targets/rabbitmq/rabbitmq.h"

static _Thread_local int verify_error;

static int note(int fine, X509_STORE_CTX *store)
{
    if (!fine) verify_error = X509_STORE_CTX_get_error(store);
    return fine;
}

const char *rq_tls_why(void) { return verify_error ? X509_verify_cert_error_string(verify_error) : NULL; }

static wb_code use_ca(SSL_CTX *ctx, amqp_socket_t *socket, const char *ca, wb_error *err)
{
    int ok = ca ? amqp_ssl_socket_set_cacert(socket, ca) == AMQP_STATUS_OK : SSL_CTX_set_default_verify_paths(ctx) == 1;
    if (ok) return WB_OK;
    return wb_fail(err, WB_E_CONFIG, WB_NEVER, "The certificates of `tls_ca` cannot be read: %s.",
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

wb_code rq_tls_prepare(amqp_socket_t *socket, const rq_settings *s, const char *host, wb_error *err)
{
    SSL_CTX *ctx = amqp_ssl_socket_get_context(socket);
    verify_error = 0;
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
    if (code == WB_OK && s->cert &&
        amqp_ssl_socket_set_key(socket, s->cert, s->key ? s->key : s->cert) != AMQP_STATUS_OK)
        code = wb_fail(err, WB_E_CONFIG, WB_NEVER,
                       "The certificate or key of `tls_cert` and `tls_key` cannot be read: %s.", s->cert);
    return code;
}
