/* Seals with the key of a file; see seal.h. A sealed text is base64 of nonce and box. */
#include "base/seal.h"

#include "base/files.h"
#include "base/outcome.h"
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FINGERPRINT_BYTES 8
#define VARIANT sodium_base64_VARIANT_ORIGINAL

static unsigned char key[crypto_secretbox_KEYBYTES];

/* When another process was faster, its key stays. */
static const char *make_key(const char *path) {
    int problem = files_make_private_parent(path);
    if (problem)
        return strerror(problem);
    unsigned char fresh[sizeof key];
    randombytes_buf(fresh, sizeof fresh);
    problem = files_create(path, (const char *)fresh, sizeof fresh, FILES_PRIVATE);
    sodium_memzero(fresh, sizeof fresh);
    return problem && problem != EEXIST ? strerror(problem) : NULL;
}

static const char *read_key(const char *path) {
    int fd, refusal = files_open(path, O_RDONLY | O_NOFOLLOW, &fd);
    if (refusal)
        return files_reason(refusal);
    struct stat status;
    const char *problem = fstat(fd, &status) ? strerror(errno) : NULL;
    if (!problem && (status.st_mode & 077))
        problem = "others than its owner may read it: chmod 600";
    if (!problem && (status.st_size != sizeof key || read(fd, key, sizeof key) != (ssize_t)sizeof key))
        problem = "it is no key: it does not hold 32 bytes";
    close(fd);
    return problem;
}

/* key(path, create) -> fingerprint, or nil, reason */
static int key_lua(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    const char *problem = NULL;
    if (lua_toboolean(L, 2) && access(path, F_OK) && errno == ENOENT)
        problem = make_key(path);
    if (!problem)
        problem = read_key(path);
    if (problem)
        return outcome_push_refusal(L, problem);
    unsigned char hash[crypto_generichash_BYTES];
    char text[FINGERPRINT_BYTES * 2 + 1];
    crypto_generichash(hash, sizeof hash, key, sizeof key, NULL, 0);
    sodium_bin2hex(text, sizeof text, hash, FINGERPRINT_BYTES);
    lua_pushstring(L, text);
    return 1;
}

/* close(value) -> text */
static int close_lua(lua_State *L) {
    size_t length;
    const char *plain = secret_plain(L, 1, &length);
    size_t box_length = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + length;
    unsigned char *box = lua_newuserdata(L, box_length);
    randombytes_buf(box, crypto_secretbox_NONCEBYTES);
    crypto_secretbox_easy(box + crypto_secretbox_NONCEBYTES, (const unsigned char *)plain, length, box, key);
    size_t room = sodium_base64_encoded_len(box_length, VARIANT);
    char *text = lua_newuserdata(L, room);
    sodium_bin2base64(text, room, box, box_length, VARIANT);
    lua_pushstring(L, text);
    return 1;
}

/* open(text, as_secret) -> a secret or text; nil when this key did not seal it */
static int open_lua(lua_State *L) {
    size_t length, box_length;
    const char *text = luaL_checklstring(L, 1, &length);
    unsigned char *box = lua_newuserdata(L, length + 1), *plain = lua_newuserdata(L, length + 1);
    if (sodium_base642bin(box, length, text, length, NULL, &box_length, NULL, VARIANT) ||
        box_length < crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES)
        return 0;
    size_t sealed_length = box_length - crypto_secretbox_NONCEBYTES;
    if (crypto_secretbox_open_easy(plain, box + crypto_secretbox_NONCEBYTES, sealed_length, box, key))
        return 0;
    size_t plain_length = sealed_length - crypto_secretbox_MACBYTES;
    if (lua_toboolean(L, 2))
        secret_push(L, (const char *)plain, plain_length);
    else
        lua_pushlstring(L, (const char *)plain, plain_length);
    sodium_memzero(plain, length);
    return 1;
}

int seal_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"key", key_lua}, {"close", close_lua}, {"open", open_lua}, {NULL, NULL}};
    sodium_memzero(key, sizeof key); /* another world's */
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
