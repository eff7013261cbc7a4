/* A look at a server's certificate, good or bad: here a failed verification is an answer. Nothing is sent but
 * the TLS handshake, and the connection is never used again. */
#include "http/probe.h"

#include "base/error.h"
#include "http/connection.h"
#include "http/curl_pool.h"
#include "http/failure.h"

#include <lauxlib.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    curl_pool_transfer transfer;
    struct curl_slist *addresses;
    char host[256];
    char *ca_file; /* NULL for the system's authorities */
    X509 *certificate;
    STACK_OF(X509) * others;
} probe;

static void release(curl_pool_transfer *t) {
    probe *p = (probe *)t;
    curl_slist_free_all(p->addresses);
    X509_free(p->certificate);
    sk_X509_pop_free(p->others, X509_free);
    free(p->ca_file);
}

/* One certificate of the chain, from the PEM text among libcurl's lines about it. */
static X509 *parse(const struct curl_slist *line) {
    static const char label[] = "Cert:";
    while (line && strncmp(line->data, label, sizeof label - 1) != 0)
        line = line->next;
    BIO *pem = line ? BIO_new_mem_buf(line->data + sizeof label - 1, -1) : NULL;
    X509 *certificate = pem ? PEM_read_bio_X509(pem, NULL, NULL, NULL) : NULL;
    BIO_free(pem);
    return certificate;
}

/* Takes the server's own certificate, which comes first, and those it sent along. */
static void take_chain(probe *p) {
    struct curl_certinfo *chain = NULL;
    if (curl_easy_getinfo(p->transfer.easy, CURLINFO_CERTINFO, &chain) || !chain)
        return;
    p->others = sk_X509_new_null();
    for (int i = 0; i < chain->num_of_certs && p->others; i++) {
        X509 *certificate = parse(chain->certinfo[i]);
        if (i == 0)
            p->certificate = certificate;
        else if (certificate && !sk_X509_push(p->others, certificate))
            X509_free(certificate);
    }
}

static void set_name(lua_State *L, const char *field, const X509_NAME *name) {
    BIO *out = BIO_new(BIO_s_mem());
    char *text = NULL;
    if (out && X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
        long length = BIO_get_mem_data(out, &text);
        lua_pushlstring(L, text, (size_t)length);
        lua_setfield(L, -2, field);
    }
    BIO_free(out);
}

static void set_time(lua_State *L, const char *field, const ASN1_TIME *when) {
    struct tm parts;
    if (ASN1_TIME_to_tm(when, &parts) != 1)
        return;
    lua_pushnumber(L, (lua_Number)timegm(&parts));
    lua_setfield(L, -2, field);
}

/* The DNS names the certificate is for. */
static void set_names(lua_State *L, const X509 *certificate) {
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    lua_newtable(L);
    for (int i = 0, kept = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS)
            continue;
        lua_pushlstring(L, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                        (size_t)ASN1_STRING_length(name->d.dNSName));
        lua_rawseti(L, -2, ++kept);
    }
    GENERAL_NAMES_free(names);
    lua_setfield(L, -2, "names");
}

/* What is wrong with the certificate, or NULL. libcurl was told to let everything pass, so it is verified
 * here. */
static const char *problem_of(probe *p) {
    const char *problem = "out of memory";
    X509_STORE *authorities = X509_STORE_new();
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    if (!authorities || !check)
        goto out;
    if (p->ca_file ? X509_STORE_load_file(authorities, p->ca_file) != 1
                   : X509_STORE_set_default_paths(authorities) != 1) {
        problem = "the file with the trusted authorities cannot be read";
        goto out;
    }
    if (X509_STORE_CTX_init(check, authorities, p->certificate, p->others) != 1)
        goto out;
    X509_STORE_CTX_set_default(check, "ssl_server");
    if (X509_VERIFY_PARAM_set1_ip_asc(X509_STORE_CTX_get0_param(check), p->host) != 1)
        X509_VERIFY_PARAM_set1_host(X509_STORE_CTX_get0_param(check), p->host, 0);
    problem =
        X509_verify_cert(check) == 1 ? NULL : X509_verify_cert_error_string(X509_STORE_CTX_get_error(check));
out:
    X509_STORE_CTX_free(check);
    X509_STORE_free(authorities);
    ERR_clear_error();
    return problem;
}

static int finish(lua_State *L, wait *w) {
    probe *p = (probe *)w;
    if (p->transfer.result)
        return http_raise_failure(L, &p->transfer);
    take_chain(p);
    if (!p->certificate)
        return error_raise(L, "http.tls", "%s showed no certificate that can be read", p->host);
    lua_createtable(L, 0, 7);
    set_name(L, "subject", X509_get_subject_name(p->certificate));
    set_name(L, "issuer", X509_get_issuer_name(p->certificate));
    set_time(L, "not_before", X509_get0_notBefore(p->certificate));
    set_time(L, "not_after", X509_get0_notAfter(p->certificate));
    set_names(L, p->certificate);
    const char *problem = problem_of(p);
    lua_pushboolean(L, !problem);
    lua_setfield(L, -2, "verified");
    lua_pushstring(L, problem);
    lua_setfield(L, -2, "problem");
    curl_pool_free(&p->transfer);
    return 1;
}

int http_probe_lua(lua_State *L) {
    if (!task_in_effect())
        return luaL_error(L, "a TLS connection outside an effect");
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    probe *p = curl_pool_new(L, sizeof *p, finish, release);
    CURL *easy = p->transfer.easy;
    p->transfer.wait.what = "http.probe_tls";
    lua_getfield(L, 1, "host");
    size_t length;
    const char *host = luaL_checklstring(L, -1, &length);
    if (length >= sizeof p->host)
        return error_raise(L, "usage", "a host name of %d bytes is too long", (int)length);
    memcpy(p->host, host, length + 1);
    lua_getfield(L, 1, "url");
    curl_easy_setopt(easy, CURLOPT_URL, luaL_checkstring(L, -1));
    lua_getfield(L, 1, "ca_file");
    if (!lua_isnil(L, -1) && !(p->ca_file = strdup(luaL_checkstring(L, -1))))
        return luaL_error(L, "out of memory");
    lua_pop(L, 3);
    p->addresses = http_connection_set(L, 1, easy);
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_CERTINFO, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    return curl_pool_park(L, &p->transfer);
}
