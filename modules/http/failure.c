/* What a failed transfer is called: libcurl's results in hostler's error codes, with what to do next. */
#include "http/failure.h"

#include "base/error.h"
#include "base/scrub.h"

#include <lauxlib.h>
#include <string.h>

#define PROXY_HINT "start it, or unset %s; hosts in no_proxy are asked without it"

/* "example.org:443", from the URL asked last. */
static void push_host(lua_State *L, CURL *easy) {
    char *text = NULL, *host = NULL, *port = NULL;
    CURLU *url = curl_url();
    curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &text);
    if (url && text && curl_url_set(url, CURLUPART_URL, text, CURLU_GUESS_SCHEME) == CURLUE_OK) {
        curl_url_get(url, CURLUPART_HOST, &host, 0);
        curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    }
    lua_pushfstring(L, "%s:%s", host ? host : "the server", port ? port : "?");
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(url);
}

static bool reached(CURL *easy, CURLINFO moment) {
    curl_off_t microseconds = 0;
    curl_easy_getinfo(easy, moment, &microseconds);
    return microseconds > 0;
}

/* Zero only if nothing of the request can have reached the server. */
static long sent_bytes(CURL *easy) {
    long count = 0;
    curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &count);
    return count;
}

/* Pushes "the proxy 192.0.2.1:3128, which https_proxy names, for example.org:443", and sets *setting; pushes
 * the host and sets NULL where the environment names no proxy for it. */
static const char *push_way(lua_State *L, curl_pool_transfer *t, const char *host, const char **setting) {
    char *url = NULL;
    curl_easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &url);
    *setting = url ? curl_proxy_setting(url) : NULL;
    curl_place proxy = *setting ? curl_place_of_proxy(url) : (curl_place){NULL, 0};
    if (proxy.host)
        lua_pushfstring(L, "the proxy %s:%d, which %s names, for %s", proxy.host, proxy.port, *setting, host);
    else
        lua_pushstring(L, host);
    curl_place_free(&proxy);
    return lua_tostring(L, -1);
}

/* Of the error on top, where a proxy is in the way. */
static void set_proxy_hint(lua_State *L, const char *setting) {
    if (!setting)
        return;
    lua_pushfstring(L, PROXY_HINT, setting);
    lua_insert(L, -2);
    error_set(L, "hint", lua_tostring(L, -2));
    lua_remove(L, -2);
}

static void push_unconnected(lua_State *L, curl_pool_transfer *t, const char *host, const char *reason) {
    const char *setting, *way = push_way(L, t, host, &setting);
    error_push(L, "http.connect", "cannot connect to %s: %s", way, reason);
    set_proxy_hint(L, setting);
}

static void push_timeout(lua_State *L, curl_pool_transfer *t, const char *host) {
    CURL *easy = t->easy;
    curl_off_t received = 0;
    curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
    double seconds = (double)curl_names_spent(&t->names) / 1000;
    const char *setting = NULL;
    if (reached(easy, CURLINFO_STARTTRANSFER_TIME_T))
        error_push(L, "timeout", "the answer of %s was not complete within %.3g s: %lld bytes came", host,
                   seconds, (long long)received);
    else if (sent_bytes(easy) > 0)
        error_push(L, "timeout", "no answer from %s within %.3g s", host, seconds);
    else if (t->names.too_late)
        error_push(L, "timeout", "the name of %s was not found within %.3g s", host, seconds);
    else if (!reached(easy, CURLINFO_CONNECT_TIME_T))
        error_push(L, "timeout", "no connection to %s within %.3g s", push_way(L, t, host, &setting),
                   seconds);
    else
        error_push(L, "timeout", "no TLS session with %s within %.3g s", push_way(L, t, host, &setting),
                   seconds);
    set_proxy_hint(L, setting);
}

static void push_unresolved(lua_State *L, curl_pool_transfer *t, const char *host) {
    bool of_proxy = t->result == CURLE_COULDNT_RESOLVE_PROXY;
    const char *name = t->names.place.host;
    if (t->names.problem)
        error_push(L, "http.dns", "cannot find the address of %s%s: %s", of_proxy ? "the proxy " : "", name,
                   t->names.problem);
    else
        error_push(L, "http.dns", "cannot find the address of %s", of_proxy ? "the proxy" : host);
    error_set(L, "hint", t->names.hint);
}

/* The proxy was there and did not lead to the host: its status, 0 where it broke the connection off. */
static bool push_refused_by_proxy(lua_State *L, curl_pool_transfer *t, const char *host) {
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    if (reached(t->easy, CURLINFO_APPCONNECT_TIME_T) || (status == 0 && !strstr(t->problem, "CONNECT")) ||
        status / 100 == 2)
        return false;
    const char *setting, *way = push_way(L, t, host, &setting);
    if (!setting)
        return false;
    if (status == 0)
        error_push(L, "http.connect", "cannot connect to %s: it broke the connection off", way);
    else
        error_push(L, "http.connect", "cannot connect to %s: it answered HTTP status %d", way, (int)status);
    if (status == 407)
        error_set(L, "hint",
                  "it wants a name and a password: http://NAME:PASSWORD@HOST:PORT in that setting");
    else
        set_proxy_hint(L, setting);
    return true;
}

static void push_other_protocol(lua_State *L, const char *host, int status) {
    if (status)
        error_push(L, "http", "%s answered %d, and wants to go on in another protocol than HTTP", host,
                   status);
    else
        error_push(L, "http", "%s answered in another protocol than HTTP", host);
    error_set(L, "hint", "nobody asked it to: is this the server that you mean, and the right port?");
}

static void push_broken_off(lua_State *L, curl_pool_transfer *t, const char *host) {
    curl_off_t received = 0, announced = -1;
    curl_easy_getinfo(t->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 101)
        push_other_protocol(L, host, 101);
    else if (status == 0)
        error_push(L, "http.body", "%s closed the connection without an answer", host);
    else if (announced > 0)
        error_push(L, "http.body", "the answer of %s broke off after %lld of %lld bytes", host,
                   (long long)received, (long long)announced);
    else
        error_push(L, "http.body", "the answer of %s broke off after %lld bytes", host, (long long)received);
    error_set(L, "detail", t->problem);
}

/* All of it may have come, but not as the server says that it is written. */
static void push_garbled(lua_State *L, const char *host, const char *what, const char *detail) {
    error_push(L, "http.body", "the answer of %s %s: %s", host, what, detail);
    error_set(L, "hint", "a server or a proxy in trouble: whoever runs it may know why");
}

/* What libcurl and OpenSSL say when there is no TLS session, and what to do about it. */
static const struct {
    const char *said, *hint;
} tls_hints[] = {
    {"expired", "its owner has to renew the certificate, or this machine's clock is wrong"},
    {"not yet valid", "this machine's clock is wrong, or the certificate was made for later"},
    {"does not match",
     "the server shows another name's certificate: is the URL right? http.probe_tls(host) shows whose"},
    {"no alternative certificate subject name",
     "the server shows another name's certificate: is the URL right? http.probe_tls(host) shows whose"},
    {"wrong version number", "no TLS is spoken at this port: is it http://, or another port?"},
    {"packet length too long", "no TLS is spoken at this port: is it http://, or another port?"},
    {"http request", "no TLS is spoken at this port: is it http://, or another port?"},
    {"unrecognized name", "the server knows no host of this name: is the URL right?"},
    {"protocol version", "the server and this machine have no version of TLS in common"},
    {"unsupported protocol", "the server and this machine have no version of TLS in common"},
    {"handshake failure",
     "the server and this machine have no way of encrypting in common, or the server wants a "
     "certificate of the client's"},
    {"certificate required", "the server wants a certificate of the client's, which hostler has none of"},
};

static const char *tls_hint(CURLcode result, const char *said) {
    if (result == CURLE_SSL_CACERT_BADFILE)
        return "ca_file (or $SSL_CERT_FILE) must name a readable file with PEM certificates";
    for (size_t i = 0; i < sizeof tls_hints / sizeof tls_hints[0]; i++)
        if (strstr(said, tls_hints[i].said))
            return tls_hints[i].hint;
    return result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_ISSUER_ERROR
               ? "a server with a certificate authority of its own needs ca_file = \"FILE.pem\"; "
                 "http.probe_tls(host) shows its certificate"
               : "whoever runs the server may know why: openssl s_client -connect HOST:PORT shows more";
}

/* The connection ended before there was a session: nothing was said about certificates. */
static const char *broken_handshake(const curl_pool_transfer *t) {
    if (t->result != CURLE_SSL_CONNECT_ERROR)
        return NULL;
    if (strstr(t->problem, "Connection reset"))
        return "Connection reset by peer";
    return strstr(t->problem, "SSL_ERROR_SYSCALL") || strstr(t->problem, "unexpected eof")
               ? "it closed the connection"
               : NULL;
}

static void push_tls(lua_State *L, curl_pool_transfer *t, const char *host) {
    const char *said = t->problem[0] ? t->problem : curl_easy_strerror(t->result);
    const char *broken = broken_handshake(t);
    if (broken) {
        const char *setting, *way = push_way(L, t, host, &setting);
        error_push(L, "http.tls", "%s broke off before there was a TLS session: %s", way, broken);
        error_set(L, "hint", "a firewall, a proxy, a server in trouble, or one without TLS at this port");
        set_proxy_hint(L, setting);
        error_set_boolean(L, "temporary", true);
        return;
    }
    error_push(L, "http.tls", "no trusted TLS session with %s: %s", host, said);
    error_set(L, "hint", tls_hint(t->result, said));
}

/* libcurl's version of HTTP/0.9 is whatever does not begin as an answer of HTTP/1. */
static bool is_no_http(const curl_pool_transfer *t) {
    return t->result == CURLE_UNSUPPORTED_PROTOCOL && strstr(t->problem, "HTTP/0.9");
}

static void push_failure(lua_State *L, curl_pool_transfer *t, const char *host) {
    scrub_format(t->problem, sizeof t->problem, "%s", t->problem); /* libcurl cuts what it says */
    const char *detail = t->problem[0] ? t->problem : curl_easy_strerror(t->result);
    long number = 0;
    curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &number);
    switch (t->result) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        push_unresolved(L, t, host);
        break;
    case CURLE_COULDNT_CONNECT:
        push_unconnected(L, t, host, number ? strerror((int)number) : detail);
        break;
    case CURLE_OPERATION_TIMEDOUT:
        push_timeout(L, t, host);
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        push_tls(L, t, host);
        break;
    case CURLE_BAD_CONTENT_ENCODING:
        push_garbled(L, host, "cannot be decompressed", detail);
        break;
    case CURLE_WRITE_ERROR: /* what hostler does not take is told before: it is libcurl that takes no more */
        push_garbled(L, host, "goes on behind the end of what is compressed", detail);
        break;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        if (strstr(detail, "chunked-encoding"))
            push_garbled(L, host, "has a chunk that is none", detail);
        else
            push_broken_off(L, t, host);
        break;
    default:
        if (is_no_http(t))
            push_other_protocol(L, host, 0);
        else
            error_push(L, "http", "the request to %s failed: %s", host, detail);
    }
}

int http_raise_failure(lua_State *L, curl_pool_transfer *t) {
    push_host(L, t->easy);
    const char *host = lua_tostring(L, -1);
    bool by_proxy = push_refused_by_proxy(L, t, host);
    if (!by_proxy)
        push_failure(L, t, host);
    error_set_boolean(L, "unclear", !by_proxy && sent_bytes(t->easy) > 0);
    return lua_error(L);
}

void http_check_answer(lua_State *L, curl_pool_transfer *t, bool has_whole_head) {
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (has_whole_head && status >= 200)
        return;
    push_host(L, t->easy);
    const char *host = lua_tostring(L, -1);
    if (!has_whole_head) {
        error_push(L, "http.body", "the answer of %s broke off within its headers", host);
    } else {
        push_other_protocol(L, host, (int)status);
    }
    error_set_boolean(L, "unclear", true);
    lua_error(L);
}
