/* The C half of the inbox: proofs of origin, and the bodies of deliveries. All of it works on what strangers
 * send. */
#ifndef HOSTLER_INBOX_INBOX_H
#define HOSTLER_INBOX_INBOX_H

#include <lua.h>

/* Adds to the table on top of the stack:
 * - hmac(algorithm, key, text, ...) -> bytes: of the texts one after the other. algorithm: "sha256" or
 *   "sha512"; key: a secret or text.
 * - same(left, right) -> boolean: whether two secrets or texts are equal, in a time that tells nothing of
 *   them.
 * - decode(encoding, text) -> bytes, or nil when the text is not all of it "hex" or "base64". */
void proof_add(lua_State *L);

/* Adds json(text) -> text, or nil and why not: bounds what a JSON text can make of memory and stack before it
 * is parsed, and puts whole numbers that a double cannot hold in quotes, so that no digit is lost. */
void json_body_add(lua_State *L);

/* Adds xml(text) -> { name, attributes, text, [1..n] = the elements in it }, or nil and why not. A document
 * type is refused, and with it entities. */
void xml_body_add(lua_State *L);

#endif
