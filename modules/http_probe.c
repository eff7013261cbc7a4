/* A look at a server's certificate, good or bad: here a failed verification is an answer. Nothing is sent but
 * the TLS handshake, and the connection is never used again. */
#include "error.h"
#include "http.h"

#include <lauxlib.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

typedef struct {
    transfer transfer;
    struct curl_slist *addresses;
    char host[256];
    X509 *certificate;
} probe;

static void release(transfer *t) {
    probe *p = (probe *)t;
    curl_slist_free_all(p->addresses);
    X509_free(p->certificate);
}

/* The server's own certificate, which comes first in the chain. */
static X509 *leaf(CURL *easy) {
    static const char label[] = "Cert:";
    struct curl_certinfo *chain = NULL;
    if (curl_easy_getinfo(easy, CURLINFO_CERTINFO, &chain) || !chain || chain->num_of_certs < 1)
        return NULL;
    for (struct curl_slist *line = chain->certinfo[0]; line; line = line->next) {
        if (strncmp(line->data, label, sizeof label - 1) != 0)
            continue;
        BIO *pem = BIO_new_mem_buf(line->data + sizeof label - 1, -1);
        X509 *certificate = pem ? PEM_read_bio_X509(pem, NULL, NULL, NULL) : NULL;
        BIO_free(pem);
        return certificate;
    }
    return NULL;
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

static void set_verdict(lua_State *L, probe *p) {
    long verdict = X509_V_OK;
    curl_easy_getinfo(p->transfer.easy, CURLINFO_SSL_VERIFYRESULT, &verdict);
    const char *problem = verdict != X509_V_OK ? X509_verify_cert_error_string(verdict) : NULL;
    bool named = X509_check_host(p->certificate, p->host, 0, 0, NULL) == 1 ||
                 X509_check_ip_asc(p->certificate, p->host, 0) == 1;
    if (!problem && !named)
        problem = "the certificate is for other names";
    lua_pushboolean(L, !problem);
    lua_setfield(L, -2, "verified");
    lua_pushstring(L, problem);
    lua_setfield(L, -2, "problem");
}

static int finish(lua_State *L, wait *w) {
    probe *p = (probe *)w;
    if (p->transfer.result)
        return http_raise_failure(L, &p->transfer);
    p->certificate = leaf(p->transfer.easy);
    if (!p->certificate)
        return error_raise(L, "http.tls", "%s showed no certificate that can be read", p->host);
    lua_createtable(L, 0, 7);
    set_name(L, "subject", X509_get_subject_name(p->certificate));
    set_name(L, "issuer", X509_get_issuer_name(p->certificate));
    set_time(L, "not_before", X509_get0_notBefore(p->certificate));
    set_time(L, "not_after", X509_get0_notAfter(p->certificate));
    set_names(L, p->certificate);
    set_verdict(L, p);
    transfer_free(&p->transfer);
    return 1;
}

/* probe{host, url, timeout, ca_file, connect_to} -> {subject, issuer, not_before, not_after, names, verified,
 * problem} */
int http_probe_lua(lua_State *L) {
    if (!task_in_effect())
        return luaL_error(L, "a TLS connection outside an effect");
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    probe *p = transfer_new(L, sizeof *p, finish, release);
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
    lua_pop(L, 2);
    p->addresses = http_set_connection(L, 1, easy);
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_CERTINFO, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    return transfer_park(L, &p->transfer);
}
