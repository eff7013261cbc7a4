/* Names for libcurl. Left to itself it asks the system's resolver on threads that nothing can end; here
 * net/resolve finds the addresses, and libcurl is handed them (CURLOPT_RESOLVE). It keeps them as it keeps
 * what it finds itself: a minute. */
#ifndef HOSTLER_CURL_NAMES_H
#define HOSTLER_CURL_NAMES_H

#include "net/resolve.h"

#include <curl/curl.h>

/* Where a transfer connects to. Zeroed, it is nowhere. */
typedef struct {
    char *host; /* owned; without brackets, in ASCII */
    int port;
} curl_place;

/* Of the URL, or where one of `detours` leads from there: "HOST:PORT:ADDRESS:PORT", as CURLOPT_CONNECT_TO
 * takes them; may be NULL. */
curl_place curl_place_of_url(const char *url, const struct curl_slist *detours);

/* Of the proxy that the environment names for this URL: the one that libcurl goes to. */
curl_place curl_place_of_proxy(const char *url);

/* The setting of the environment that names a proxy for this URL, "https_proxy" for one; NULL where none
 * does, or no_proxy excepts the host. For messages: networks in no_proxy are not looked at. */
const char *curl_proxy_setting(const char *url);

void curl_place_free(curl_place *place);

/* Whether it is a name that has to be looked for. Numbers are none, and libcurl itself knows where localhost
 * is. */
bool curl_place_is_name(const curl_place *place);

/* The names of one transfer, and the time that it has. Zeroed at first. */
typedef struct {
    CURL *easy;
    long connect_time, whole_time; /* in milliseconds */
    uint64_t began;                /* of uv_now */
    curl_place place;              /* the one looked for last */
    resolution *resolving;
    struct curl_slist *found;   /* the addresses so far, as CURLOPT_RESOLVE takes them */
    const char *problem, *hint; /* why the last has none; NULL if it has. Static texts */
    bool too_late;              /* that is, the time was over */
    void (*done)(void *data);
    void *data;
} curl_names;

/* The time begins, for the names too. */
void curl_names_begin(curl_names *names, CURL *easy, long connect_time, long whole_time);

/* Looks for the place's addresses, and takes over its memory. `done` is called from the loop, unless it was
 * given up: with names->problem, or with the easy handle set up to use what was found, in the time that is
 * left. */
void curl_names_find(curl_names *names, curl_place place, void (*done)(void *data), void *data);

void curl_names_give_up(curl_names *names);

/* Milliseconds since it began. */
long curl_names_spent(const curl_names *names);

/* After the easy handle is gone. */
void curl_names_free(curl_names *names);

#endif
