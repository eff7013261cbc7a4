/* Plain sockets, and OpenSSL on them; see wire.h. */
#include "web/wire.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

bool wire_open(wire *t, int fd, SSL_CTX *context) {
    *t = (wire){.fd = fd};
    if (!context)
        return true;
    t->tls = SSL_new(context);
    if (!t->tls || !SSL_set_fd(t->tls, fd)) {
        SSL_free(t->tls);
        return false;
    }
    SSL_set_accept_state(t->tls);
    return true;
}

static ssize_t wait_for(wire *t, int event) {
    t->wants = event;
    return WIRE_WAIT;
}

/* What a call that gave no bytes means. */
static ssize_t tls_outcome(wire *t, int result) {
    switch (SSL_get_error(t->tls, result)) {
    case SSL_ERROR_WANT_READ:
        return wait_for(t, UV_READABLE);
    case SSL_ERROR_WANT_WRITE:
        return wait_for(t, UV_WRITABLE);
    case SSL_ERROR_ZERO_RETURN:
        return WIRE_END;
    default:
        return WIRE_BROKEN;
    }
}

static ssize_t plain_outcome(wire *t, ssize_t result, int event) {
    if (result >= 0)
        return result;
    return errno == EAGAIN || errno == EINTR ? wait_for(t, event) : WIRE_BROKEN;
}

ssize_t wire_read(wire *t, char *bytes, size_t room) {
    if (!t->tls || t->shut)
        return plain_outcome(t, recv(t->fd, bytes, room, 0), UV_READABLE);
    ERR_clear_error();
    int count = SSL_read(t->tls, bytes, (int)room);
    return count > 0 ? count : tls_outcome(t, count);
}

ssize_t wire_write(wire *t, const char *bytes, size_t length) {
    if (!t->tls)
        return plain_outcome(t, send(t->fd, bytes, length, MSG_NOSIGNAL), UV_WRITABLE);
    ERR_clear_error();
    size_t most = 1 << 30;
    int count = SSL_write(t->tls, bytes, (int)(length < most ? length : most));
    return count > 0 ? count : tls_outcome(t, count);
}

bool wire_has_bytes(const wire *t) {
    char byte;
    return recv(t->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

void wire_shut(wire *t) {
    if (t->shut)
        return;
    t->shut = true;
    ERR_clear_error();
    if (t->tls && SSL_is_init_finished(t->tls))
        SSL_shutdown(t->tls);
    shutdown(t->fd, SHUT_WR);
}

void wire_abort(wire *t) {
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(t->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void wire_close(wire *t) {
    SSL_free(t->tls);
    close(t->fd);
    *t = (wire){.fd = -1};
}

/* ---- certificates ---- */

/* A key with a passphrase would have it asked on the terminal. */
static int no_passphrase(char *text, int room, int writing, void *context) {
    (void)text, (void)room, (void)writing, (void)context;
    return -1;
}

static int choose_protocol(SSL *tls, const unsigned char **out, unsigned char *out_length,
                           const unsigned char *offered, unsigned length, void *context) {
    (void)tls, (void)context;
    static const unsigned char known[] = "\x08http/1.1";
    unsigned char *chosen;
    int found = SSL_select_next_proto(&chosen, out_length, known, sizeof known - 1, offered, length);
    *out = chosen;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static SSL_CTX *new_context(void) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context)
        return NULL;
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    return context;
}

static const char *last_problem(void) {
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason ? reason : "OpenSSL does not say why";
}

SSL_CTX *wire_context(const char *certificate, const char *key, const char **problem) {
    ERR_clear_error();
    SSL_CTX *context = new_context();
    if (context && SSL_CTX_use_certificate_chain_file(context, certificate) == 1 &&
        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1 &&
        SSL_CTX_check_private_key(context) == 1)
        return context;
    *problem = last_problem();
    SSL_CTX_free(context);
    ERR_clear_error();
    return NULL;
}
