/* See memory.h. */
#include "base/memory.h"

#include <stdlib.h>

#define MEBIBYTE ((size_t)1 << 20)
#define USUAL 1024 /* MiB */
#define LEAST 64
#define GREATEST 65536
#define LARGE MEBIBYTE          /* a piece that is refused at the first bound */
#define RESERVE (64 * MEBIBYTE) /* from the first bound to the second */

static struct {
    lua_Alloc inner;
    void *inner_data;
    size_t used, most;
    size_t check_at; /* how much use is worth a look */
    bool enforced, needed;
    void (*on_need)(void);
} memory;

static void *allocate(void *unused, void *block, size_t size, size_t wanted) {
    (void)unused;
    size_t more = wanted > size ? wanted - size : 0, after = memory.used + more;
    if (more > 0 && memory.enforced) {
        if (after > (more > LARGE ? memory.most : memory.most + RESERVE))
            return NULL;
        if (after > memory.check_at && !memory.needed) {
            memory.needed = true;
            memory.on_need();
        }
    }
    void *result = memory.inner(memory.inner_data, block, size, wanted);
    if (result || wanted == 0)
        memory.used += wanted - size;
    return result;
}

static bool read_setting(void) {
    const char *setting = getenv("HOSTLER_MEMORY");
    char *end = NULL;
    double number = setting && *setting ? strtod(setting, &end) : USUAL;
    bool valid = number >= LEAST && number <= GREATEST && !(end && *end);
    memory.most = (size_t)(valid ? number : USUAL) * MEBIBYTE;
    return valid;
}

bool memory_limit(lua_State *L, void (*on_need)(void)) {
    bool valid = read_setting();
    memory.check_at = memory.most / 2;
    memory.on_need = on_need;
    memory.enforced = memory.needed = false;
    memory.inner = lua_getallocf(L, &memory.inner_data);
    memory.used = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024;
    lua_setallocf(L, allocate, NULL);
    return valid;
}

void memory_enforce(bool on) {
    memory.enforced = on;
}

/* The next look is worth it when half of what is left is used, or a part of the reserve. */
bool memory_check(lua_State *L) {
    if (!memory.needed)
        return false;
    lua_gc(L, LUA_GCCOLLECT, 0);
    memory.needed = false;
    bool too_much = memory.used > memory.most / 16 * 15;
    memory.check_at = too_much ? memory.used + RESERVE / 8 : (memory.used + memory.most) / 2;
    return too_much;
}

unsigned memory_most(void) {
    return (unsigned)(memory.most / MEBIBYTE);
}

void memory_release(lua_State *L) {
    lua_setallocf(L, memory.inner, memory.inner_data);
}
