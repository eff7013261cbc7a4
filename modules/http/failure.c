/* What a failed transfer is called: libcurl's results in hostler's error codes, with what to do next. */
#include "http/failure.h"

#include "base/error.h"
#include "base/scrub.h"

#include <lauxlib.h>
#include <string.h>

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

static void push_timeout(lua_State *L, curl_pool_transfer *t, const char *host) {
    CURL *easy = t->easy;
    curl_off_t received = 0;
    curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
    double seconds = (double)curl_names_spent(&t->names) / 1000;
    if (reached(easy, CURLINFO_STARTTRANSFER_TIME_T))
        error_push(L, "timeout", "the answer of %s was not complete within %.3g s: %lld bytes came", host,
                   seconds, (long long)received);
    else if (sent_bytes(easy) > 0)
        error_push(L, "timeout", "no answer from %s within %.3g s", host, seconds);
    else if (t->names.too_late)
        error_push(L, "timeout", "the name of %s was not found within %.3g s", host, seconds);
    else if (!reached(easy, CURLINFO_CONNECT_TIME_T))
        error_push(L, "timeout", "no connection to %s within %.3g s", host, seconds);
    else
        error_push(L, "timeout", "no TLS session with %s within %.3g s", host, seconds);
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

static void push_broken_off(lua_State *L, curl_pool_transfer *t, const char *host) {
    curl_off_t received = 0, announced = -1;
    curl_easy_getinfo(t->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 0)
        error_push(L, "http.body", "%s closed the connection without an answer", host);
    else if (announced > 0)
        error_push(L, "http.body", "the answer of %s broke off after %lld of %lld bytes", host,
                   (long long)received, (long long)announced);
    else
        error_push(L, "http.body", "the answer of %s broke off after %lld bytes", host, (long long)received);
    error_set(L, "detail", t->problem);
}

static void push_tls(lua_State *L, curl_pool_transfer *t, const char *host) {
    error_push(L, "http.tls", "no trusted TLS session with %s: %s", host,
               t->problem[0] ? t->problem : curl_easy_strerror(t->result));
    error_set(L, "hint",
              t->result == CURLE_SSL_CACERT_BADFILE
                  ? "ca_file (or $SSL_CERT_FILE) must name a readable file with PEM certificates"
                  : "a server with a certificate authority of its own needs ca_file = \"FILE.pem\"; "
                    "http.probe_tls(host) shows its certificate");
}

int http_raise_failure(lua_State *L, curl_pool_transfer *t) {
    push_host(L, t->easy);
    const char *host = lua_tostring(L, -1);
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
        error_push(L, "http.connect", "cannot connect to %s: %s", host,
                   number ? strerror((int)number) : detail);
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
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_BAD_CONTENT_ENCODING:
        push_broken_off(L, t, host);
        break;
    default:
        error_push(L, "http", "the request to %s failed: %s", host, detail);
    }
    error_set_boolean(L, "unclear", sent_bytes(t->easy) > 0);
    return lua_error(L);
}
