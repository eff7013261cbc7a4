/* Sealing: secrets at rest. Authenticated encryption (libsodium's secretbox) under a key that lives in a file
 * which only its owner can read. Whoever has the journal without the key file has no secret. */
#ifndef HOSTLER_BASE_SEAL_H
#define HOSTLER_BASE_SEAL_H

#include <lua.h>

/* Pushes a table:
 * - key(path, create) -> fingerprint: reads the key, or makes one; nil, reason when there is none, or when it
 *   is not safe.
 * - close(value) -> text: seals a text or a secret with the key read last.
 * - open(text, as_secret) -> value: nil when it was sealed with another key, or changed. */
int seal_open(lua_State *L);

#endif
