/* fuzz SECONDS [SEED]: hostile input for what reads text from outside: JSON, HTTP requests, the bodies of
 * deliveries, and secrets in output, in their forms, broken into lines, and cut. Bounded;
 * one seed always gives the same inputs. Built with the sanitizers by `make fuzz`; a finding is a crash or a
 * broken rule. */
#define _GNU_SOURCE /* memmem */
#include "base/json.h"
#include "base/scrub.h"
#include "base/secret.h"
#include "host.h"
#include "inbox/inbox.h"
#include "requests.h"

#include <lauxlib.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LONGEST 400
#define REQUESTS 20 /* in a round: they take less time than the rest */

static const char second_secret[] = "Correct/Horse+Battery&Stapl3";
static const char repeating_secret[] = "ababababac";

static unsigned long long state;

static unsigned random_below(unsigned limit) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(state >> 33) % limit;
}

/* A random walk over words that the formats know, with random bytes among them. */
static size_t make_text(char *text) {
    static const char *const words[] = {"{",
                                        "}",
                                        "[",
                                        "]",
                                        "\"",
                                        ":",
                                        ",",
                                        "null",
                                        "true",
                                        "1e308",
                                        "-0.5",
                                        "\\u0",
                                        "\\",
                                        "\xc3",
                                        "\xff",
                                        "abc",
                                        "--",
                                        "=",
                                        "-n",
                                        "size",
                                        "\n",
                                        "hunter2",
                                        "aHVudGVy",
                                        "%2F",
                                        "'\\''",
                                        "ada",
                                        "a@b.c",
                                        "hunter2hunter2",
                                        "abab",
                                        "ababababac",
                                        "[[[[",
                                        "{\"a\":",
                                        "999999999999",
                                        "<a>",
                                        "</a>",
                                        "<a b='1'>",
                                        "<!DOCTYPE a [",
                                        "&amp;",
                                        "&x;",
                                        "<![CDATA[",
                                        "]]>",
                                        "<?xml version='1.0'?>"};
    size_t length = 0, wanted = random_below(LONGEST - 20);
    while (length < wanted) {
        if (random_below(6) == 0) {
            text[length++] = (char)random_below(256);
        } else {
            for (const char *c = words[random_below(sizeof words / sizeof *words)]; *c; c++)
                text[length++] = *c;
        }
    }
    return length;
}

static void check_scrub(const char *text, size_t length) {
    size_t clean_length;
    char *clean = scrub(text, length, &clean_length);
    if (memmem(clean, clean_length, "hunter2hunter2", 14) ||
        memmem(clean, clean_length, repeating_secret, sizeof repeating_secret - 1)) {
        fprintf(stderr, "a secret is left in: %.*s\n", (int)length, text);
        abort();
    }
    free(clean);
}

/* A form of the second secret, with what sets its bytes apart among them where it is an encoded one. */
static size_t make_form(char *form, char *broken, size_t *broken_length) {
    static const char *const breaks[] = {"\n", "\r\n", "\\n", "\n    ", "=\n", "\\\n", " "};
    static const char before[] = "xyz";
    unsigned char bytes[64];
    unsigned kind = random_below(4), shift = random_below(3);
    memcpy(bytes, before, shift);
    memcpy(bytes + shift, second_secret, sizeof second_secret);
    size_t length = shift + sizeof second_secret - 1, skipped = 0, kept;
    if (kind == 0) {
        sodium_bin2base64(form, LONGEST, bytes, length, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
        skipped = shift ? 4 : 0;
    } else if (kind == 1) {
        sodium_bin2hex(form, LONGEST, bytes + shift, length - shift);
    } else {
        strcpy(form, second_secret);
    }
    kept = strlen(form) - skipped - (kind == 0 ? 1 : 0);
    *broken_length = 0;
    for (size_t i = 0; form[i]; i++) {
        broken[(*broken_length)++] = form[i];
        for (const char *c = kind < 3 && random_below(9) == 0 ? breaks[random_below(7)] : ""; *c; c++)
            broken[(*broken_length)++] = *c;
    }
    memmove(form, form + skipped, kept);
    return kept;
}

/* Nothing of the form may be left, when the text is cut and when it is not. */
static void check_part(const char *form, size_t length, char *clean, size_t clean_length, const char *text,
                       size_t text_length) {
    for (size_t i = 0; i + 8 <= length; i++) {
        if (memmem(clean, clean_length, form + i, 8)) {
            fprintf(stderr, "%.8s is left: %.*s\nof: %.*s\n", form + i, (int)clean_length, clean,
                    (int)text_length, text);
            abort();
        }
    }
    free(clean);
}

static void check_cut(const char *around, size_t around_length) {
    char form[LONGEST], broken[3 * LONGEST], text[5 * LONGEST];
    size_t broken_length, form_length = make_form(form, broken, &broken_length), clean_length;
    memcpy(text, around, around_length);
    memcpy(text + around_length, broken, broken_length);
    memcpy(text + around_length + broken_length, around, around_length);
    size_t whole = 2 * around_length + broken_length, most = 1 + random_below((unsigned)whole + 9);
    size_t from = random_below((unsigned)(around_length + broken_length)), length = whole - from;
    char *exact = malloc(length + 1), *clean;
    memcpy(exact, text + from, length);
    clean = scrub_end(exact, length, most, &clean_length);
    if (clean_length > most)
        abort();
    check_part(form, form_length, clean, clean_length, exact, length);
    length = random_below((unsigned)length + 1);
    clean = scrub_beginning(exact, length, most, &clean_length);
    if (clean_length > most)
        abort();
    check_part(form, form_length, clean, clean_length, exact, length);
    free(exact);
    clean = scrub(text, whole, &clean_length);
    check_part(form, form_length, clean, clean_length, text, whole);
}

/* What can be read can be written, and reads the same again. */
static int check_json(lua_State *L) {
    size_t length, offset;
    const char *text = lua_tolstring(L, lua_upvalueindex(1), &length);
    if (!json_parse(L, text, length, &offset)) {
        if (offset > length)
            abort();
        return 0;
    }
    cJSON *item = json_from_lua(L, -1, JSON_SHOW);
    char *written = cJSON_PrintUnformatted(item);
    cJSON_Delete(item);
    bool again = json_parse(L, written, strlen(written), &offset);
    if (!again) {
        fprintf(stderr, "not read again: %s\n", written);
        abort();
    }
    cJSON_free(written);
    return 0;
}

/* Calls a reader of bodies with the text: pushes what it returns, a value or nil and a reason. */
static void read_body(lua_State *L, void (*add)(lua_State *), const char *name, const char *text,
                      size_t length) {
    lua_newtable(L);
    add(L);
    lua_getfield(L, -1, name);
    lua_pushlstring(L, text, length);
    lua_call(L, 1, 1);
}

/* What is JSON before its bounds are checked is so after that, or is refused. XML gives a table or nothing.
 */
static int check_bodies(lua_State *L) {
    size_t length, offset;
    const char *text = lua_tolstring(L, lua_upvalueindex(1), &length);
    read_body(L, json_body_add, "json", text, length);
    if (!lua_isnil(L, -1) && json_parse(L, text, length, &offset)) {
        const char *bounded = lua_tolstring(L, -2, &length);
        if (!json_parse(L, bounded, length, &offset)) {
            fprintf(stderr, "no JSON any more: %s\n", bounded);
            abort();
        }
    }
    read_body(L, xml_body_add, "xml", text, length);
    if (!lua_isnil(L, -1) && !lua_istable(L, -1))
        abort();
    return 0;
}

/* Calls a check with the text; raising is an answer. */
static void check_in_lua(lua_State *L, lua_CFunction check, const char *text, size_t length) {
    lua_settop(L, 0);
    lua_pushlstring(L, text, length);
    lua_pushcclosure(L, check, 1);
    lua_pcall(L, 0, 0, 0);
}

int main(int argc, char **argv) {
    int seconds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 20;
    state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    static const char secret[] = "hunter2hunter2";
    lua_State *L = host_open();
    secret_push(L, secret, sizeof secret - 1);
    secret_push(L, second_secret, sizeof second_secret - 1);
    secret_push(L, repeating_secret, sizeof repeating_secret - 1);
    unsigned long rounds = 0;
    for (time_t end = time(NULL) + seconds; time(NULL) < end; rounds++) {
        char text[LONGEST];
        size_t length = make_text(text);
        char *exact = malloc(length + 1); /* on the heap, so that reading past its end is found */
        memcpy(exact, text, length);
        check_scrub(exact, length);
        check_cut(exact, length);
        for (int i = 0; i < REQUESTS; i++)
            requests_check(random_below);
        check_in_lua(L, check_json, exact, length);
        check_in_lua(L, check_bodies, exact, length);
        free(exact);
    }
    host_close(L);
    printf("%lu inputs\n", rounds);
    return 0;
}
