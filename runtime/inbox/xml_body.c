/* An XML body as Lua tables, by libexpat; see inbox.h. */
#include "base/text.h"
#include "inbox/inbox.h"

#include <expat.h>
#include <lauxlib.h>
#include <string.h>

#define DEEPEST 64
#define MOST_ELEMENTS 10000
#define READING_TYPE "hostler.inbox.xml"

/* The elements that are open are on the Lua stack, the innermost on top. */
typedef struct {
    XML_Parser parser;
    lua_State *L;
    int depth, elements;
    text_buffer texts[DEEPEST]; /* of the elements that are open */
    const char *problem;
} reading;

static void stop(reading *r, const char *problem) {
    if (!r->problem)
        r->problem = problem;
    XML_StopParser(r->parser, XML_FALSE);
}

static void on_doctype(void *context, const char *name, const char *system, const char *public, int subset) {
    (void)name, (void)system, (void)public, (void)subset;
    stop(context, "a document type is not taken");
}

static void push_attributes(lua_State *L, const char **attributes) {
    lua_newtable(L);
    for (; *attributes; attributes += 2) {
        lua_pushstring(L, attributes[1]);
        lua_setfield(L, -2, attributes[0]);
    }
}

static void on_start(void *context, const char *name, const char **attributes) {
    reading *r = context;
    if (r->problem)
        return;
    if (r->depth >= DEEPEST || !lua_checkstack(r->L, 6)) {
        stop(r, "it is nested too deeply");
        return;
    }
    if (++r->elements > MOST_ELEMENTS) {
        stop(r, "it has too many elements");
        return;
    }
    lua_newtable(r->L);
    lua_pushstring(r->L, name);
    lua_setfield(r->L, -2, "name");
    push_attributes(r->L, attributes);
    lua_setfield(r->L, -2, "attributes");
    text_clear(&r->texts[r->depth++]);
}

static void on_text(void *context, const char *text, int length) {
    reading *r = context;
    if (!r->problem && r->depth > 0)
        text_add(&r->texts[r->depth - 1], text, (size_t)length);
}

static void on_end(void *context, const char *name) {
    (void)name;
    reading *r = context;
    if (r->problem)
        return;
    const text_buffer *text = &r->texts[--r->depth];
    lua_pushlstring(r->L, text->length ? text->text : "", text->length);
    lua_setfield(r->L, -2, "text");
    if (r->depth > 0)
        lua_rawseti(r->L, -2, (int)lua_objlen(r->L, -2) + 1);
}

static int collect(lua_State *L) {
    reading *r = lua_touserdata(L, 1);
    if (r->parser)
        XML_ParserFree(r->parser);
    for (int i = 0; i < DEEPEST; i++)
        text_free(&r->texts[i]);
    r->parser = NULL;
    return 0;
}

/* A userdata, as what is raised in a callback leaves the parser where it is. */
static reading *push_reading(lua_State *L) {
    reading *r = lua_newuserdata(L, sizeof *r);
    memset(r, 0, sizeof *r);
    if (luaL_newmetatable(L, READING_TYPE)) {
        lua_pushcfunction(L, collect);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    r->L = L;
    r->parser = XML_ParserCreate(NULL);
    if (!r->parser)
        luaL_error(L, "out of memory");
    XML_SetUserData(r->parser, r);
    XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
    XML_SetElementHandler(r->parser, on_start, on_end);
    XML_SetCharacterDataHandler(r->parser, on_text);
    return r;
}

static int xml_lua(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    reading *r = push_reading(L);
    enum XML_Status status = XML_Parse(r->parser, text, (int)length, XML_TRUE);
    if (status == XML_STATUS_OK && !r->problem)
        return 1;
    lua_pushnil(L);
    if (r->problem)
        lua_pushstring(L, r->problem);
    else
        lua_pushfstring(L, "line %d: %s", (int)XML_GetCurrentLineNumber(r->parser),
                        XML_ErrorString(XML_GetErrorCode(r->parser)));
    return 2;
}

void xml_body_add(lua_State *L) {
    lua_pushcfunction(L, xml_lua);
    lua_setfield(L, -2, "xml");
}
