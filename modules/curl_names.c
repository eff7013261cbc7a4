/* Finds the addresses of the names that libcurl connects to; see curl_names.h. */
#include "curl_names.h"

#include "base/text.h"
#include "task/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HTTPS_PROXY_PORT 443
#define PROXY_PORT 1080

/* ---- places ---- */

static curl_place make_place(const char *host, const char *port) {
    curl_place place = {NULL, port ? (int)strtol(port, NULL, 10) : 0};
    size_t length = strlen(host);
    bool bracketed = length > 1 && host[0] == '[' && host[length - 1] == ']';
    place.host = bracketed ? strndup(host + 1, length - 2) : strdup(host);
    if (!place.host)
        abort();
    return place;
}

/* Makes the place the detour's ADDRESS and PORT, when its HOST and PORT are the place's; without PORT all
 * are. */
static bool take_detour(const char *detour, curl_place *place) {
    char port[8];
    snprintf(port, sizeof port, "%d", place->port);
    size_t host_length = strlen(place->host), port_length = strlen(port);
    if (strncasecmp(detour, place->host, host_length) != 0 || detour[host_length] != ':')
        return false;
    const char *address = detour + host_length + 1;
    if (strncmp(address, port, port_length) == 0)
        address += port_length;
    const char *end = strrchr(address, ':');
    if (*address != ':' || end == address)
        return false;
    char *host = strndup(address + 1, (size_t)(end - address - 1));
    if (!host)
        abort();
    curl_place other = make_place(host, end[1] ? end + 1 : port);
    free(host);
    curl_place_free(place);
    *place = other;
    return true;
}

/* The URL's host as libcurl resolves it, and its port. */
static curl_place parse(const char *url, unsigned flags, const char *default_port) {
    curl_place place = {NULL, 0};
    char *host = NULL, *port = NULL;
    CURLU *parts = curl_url();
    if (parts && curl_url_set(parts, CURLUPART_URL, url, flags) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &host, CURLU_PUNYCODE) == CURLUE_OK) {
        curl_url_get(parts, CURLUPART_PORT, &port, default_port ? 0 : CURLU_DEFAULT_PORT);
        place = make_place(host, port ? port : default_port);
    }
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
    return place;
}

curl_place curl_place_of_url(const char *url, const struct curl_slist *detours) {
    curl_place place = parse(url, 0, NULL);
    while (place.host && detours && !take_detour(detours->data, &place))
        detours = detours->next;
    return place;
}

void curl_place_free(curl_place *place) {
    free(place->host);
    *place = (curl_place){NULL, 0};
}

bool curl_place_is_name(const curl_place *place) {
    static const char local[] = "localhost";
    resolve_answer number;
    size_t length = strlen(place->host);
    const char *tail = length < sizeof local - 1 ? "" : place->host + length - (sizeof local - 1);
    bool is_local = strcasecmp(tail, local) == 0 && (tail == place->host || tail[-1] == '.');
    return !is_local && !resolve_number(place->host, &number);
}

/* ---- the proxy ---- */

static const char *setting(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* In the order in which libcurl looks: no HTTP_PROXY, since in a CGI script the client could set that. */
static const char *proxy_setting(const char *url) {
    static const char *const secure[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL};
    static const char *const plain[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
    const char *const *name = strncasecmp(url, "https:", 6) == 0 ? secure : plain;
    while (*name && !setting(*name))
        name++;
    return *name;
}

/* Whether this entry of no_proxy means the host: it is its name, or that of a domain around it. */
static bool excepts(const char *entry, size_t length, const char *host) {
    if (length > 0 && *entry == '.') {
        entry++;
        length--;
    }
    size_t whole = strlen(host);
    if (length == 0 || length > whole)
        return false;
    const char *tail = host + whole - length;
    return strncasecmp(tail, entry, length) == 0 && (tail == host || tail[-1] == '.');
}

static bool is_excepted(const char *url) {
    const char *list = setting("no_proxy") ? setting("no_proxy") : setting("NO_PROXY");
    if (!list)
        return false;
    curl_place place = curl_place_of_url(url, NULL);
    bool found = strcmp(list, "*") == 0;
    for (const char *entry = list; place.host && *entry && !found;) {
        size_t length = strcspn(entry, ", ");
        found = excepts(entry, length, place.host);
        entry += length;
        entry += strspn(entry, ", ");
    }
    curl_place_free(&place);
    return found;
}

const char *curl_proxy_setting(const char *url) {
    return is_excepted(url) ? NULL : proxy_setting(url);
}

curl_place curl_place_of_proxy(const char *url) {
    const char *name = proxy_setting(url), *proxy = name ? setting(name) : NULL;
    if (!proxy)
        return (curl_place){NULL, 0};
    bool secure = strncasecmp(proxy, "https:", 6) == 0;
    char port[8];
    snprintf(port, sizeof port, "%d", secure ? HTTPS_PROXY_PORT : PROXY_PORT);
    return parse(proxy, CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME, port);
}

/* ---- a transfer's names ---- */

long curl_names_spent(const curl_names *names) {
    return (long)(uv_now(task_loop()) - names->began);
}

static long left(const curl_names *names, long time) {
    long spent = curl_names_spent(names);
    return spent < time ? time - spent : 1; /* none would mean no limit */
}

static void set_time(curl_names *names) {
    curl_easy_setopt(names->easy, CURLOPT_TIMEOUT_MS, left(names, names->whole_time));
    curl_easy_setopt(names->easy, CURLOPT_CONNECTTIMEOUT_MS, left(names, names->connect_time));
}

void curl_names_begin(curl_names *names, CURL *easy, long connect_time, long whole_time) {
    uv_update_time(task_loop());
    names->easy = easy;
    names->connect_time = connect_time < whole_time ? connect_time : whole_time;
    names->whole_time = whole_time;
    names->began = uv_now(task_loop());
    set_time(names);
}

/* "+HOST:PORT:ADDRESS,ADDRESS": with the plus libcurl forgets them after a while. */
static void add_found(curl_names *names, const resolve_answer *answer) {
    text_buffer entry = {0};
    text_printf(&entry, "+%s:%d:", names->place.host, names->place.port);
    for (int i = 0; i < answer->count; i++) {
        char address[RESOLVE_LONGEST_ADDRESS];
        resolve_show(&answer->list[i], address);
        text_printf(&entry, strchr(address, ':') ? "%s[%s]" : "%s%s", i ? "," : "", address);
    }
    struct curl_slist *longer = curl_slist_append(names->found, entry.text);
    if (!longer)
        abort();
    names->found = longer;
    text_free(&entry);
}

static void on_resolved(void *data, const resolve_answer *answer) {
    curl_names *names = data;
    names->resolving = NULL;
    if (answer->count > 0) {
        add_found(names, answer);
        curl_easy_setopt(names->easy, CURLOPT_RESOLVE, names->found);
        set_time(names);
    } else {
        names->problem = answer->problem;
        names->hint = answer->hint;
        names->too_late = answer->too_late;
    }
    names->done(names->data);
}

void curl_names_find(curl_names *names, curl_place place, void (*done)(void *data), void *data) {
    curl_place_free(&names->place);
    names->place = place;
    names->done = done;
    names->data = data;
    uv_update_time(task_loop());
    names->resolving =
        resolve_begin(place.host, (uint64_t)left(names, names->connect_time), on_resolved, names);
}

void curl_names_give_up(curl_names *names) {
    if (names->resolving)
        resolve_give_up(names->resolving);
    names->resolving = NULL;
}

void curl_names_free(curl_names *names) {
    curl_names_give_up(names);
    curl_place_free(&names->place);
    curl_slist_free_all(names->found);
    names->found = NULL;
}
