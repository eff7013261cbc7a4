/* The local machine for the prelude; see system.h. Files are only read here: what changes anything passes the
 * gate. */
#include "base/system.h"

#include "base/embed.h"
#include "base/error.h"
#include "base/private_file.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/version.h"
#include "host.h"
#include "report/terminal.h"
#include "task/task.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LARGEST_FILE (16 * 1024 * 1024) /* unless its reader expects more */
#define LONGEST_ANSWER 65536

static double seconds_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int now_lua(lua_State *L) {
    lua_pushnumber(L, seconds_of(CLOCK_REALTIME));
    return 1;
}

static int monotonic_lua(lua_State *L) {
    lua_pushnumber(L, seconds_of(CLOCK_MONOTONIC));
    return 1;
}

/* uuid() -> a random (version 4) UUID, RFC 9562. */
static int uuid_lua(lua_State *L) {
    unsigned char b[16];
    randombytes_buf(b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    char text[37];
    snprintf(text, sizeof text, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    lua_pushstring(L, text);
    return 1;
}

static int env_lua(lua_State *L) {
    lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
    return 1;
}

/* Pushes a file's content; returns 0, or an errno with nothing pushed. */
static int push_file(lua_State *L, const char *path, size_t most) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    struct stat status;
    int problem = fstat(fd, &status) ? errno : S_ISDIR(status.st_mode) ? EISDIR : 0;
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    size_t total = 0;
    while (!problem) {
        ssize_t count = read(fd, luaL_prepbuffer(&buffer), LUAL_BUFFERSIZE);
        if (count == 0)
            break;
        total += count > 0 ? (size_t)count : 0;
        problem = count < 0 ? errno : total > most ? EFBIG : 0;
        luaL_addsize(&buffer, count > 0 ? (size_t)count : 0);
    }
    close(fd);
    luaL_pushresult(&buffer);
    if (problem)
        lua_pop(L, 1);
    return problem;
}

/* read_file(path, most bytes or nil) -> text, or nil, reason */
static int read_file_lua(lua_State *L) {
    int problem = push_file(L, luaL_checkstring(L, 1), (size_t)luaL_optnumber(L, 2, LARGEST_FILE));
    return problem ? system_push_outcome(L, problem) : 1;
}

int system_write_all(int fd, const char *text, size_t length) {
    while (length > 0) {
        ssize_t count = write(fd, text, length);
        if (count < 0 && errno != EINTR)
            return errno;
        text += count > 0 ? count : 0;
        length -= count > 0 ? (size_t)count : 0;
    }
    return 0;
}

int system_push_outcome(lua_State *L, int problem) {
    if (!problem) {
        lua_pushboolean(L, true);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, strerror(problem));
    return 2;
}

/* write_private(path, text) -> true, or nil, reason. The file is its owner's alone, also when it was there
 * before. */
static int write_private_lua(lua_State *L) {
    size_t length;
    const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &length);
    return system_push_outcome(L, private_file_write(path, text, length));
}

/* append_private(path, text) -> true, or nil, reason. The directory is made where it is missing. */
static int append_private_lua(lua_State *L) {
    size_t length;
    const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &length);
    int problem = private_file_make_directory(path);
    return system_push_outcome(L, problem ? problem : private_file_append(path, text, length));
}

/* rename(from, to) -> true, or nil, reason */
static int rename_lua(lua_State *L) {
    return system_push_outcome(L, rename(luaL_checkstring(L, 1), luaL_checkstring(L, 2)) ? errno : 0);
}

/* credential(name) -> the text of $CREDENTIALS_DIRECTORY/name without its last newline, or nil.
 * systemd.exec(5). */
static int credential_lua(lua_State *L) {
    const char *name = luaL_checkstring(L, 1), *directory = getenv("CREDENTIALS_DIRECTORY");
    if (!directory || strchr(name, '/'))
        return 0;
    lua_pushfstring(L, "%s/%s", directory, name);
    if (push_file(L, lua_tostring(L, -1), LARGEST_FILE))
        return 0;
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    if (length > 0 && text[length - 1] == '\n')
        lua_pushlstring(L, text, length - 1);
    return 1;
}

/* list_files(directory) -> names in it, sorted; nil when it cannot be read. */
static int list_files_lua(lua_State *L) {
    struct dirent **entries;
    int count = scandir(luaL_checkstring(L, 1), &entries, NULL, alphasort);
    if (count < 0)
        return 0;
    lua_createtable(L, count, 0);
    for (int i = 0, kept = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            lua_pushstring(L, entries[i]->d_name);
            lua_rawseti(L, -2, ++kept);
        }
        free(entries[i]);
    }
    free(entries);
    return 1;
}

/* kind(path) -> "file", "directory", "other", or nil */
static int kind_lua(lua_State *L) {
    struct stat status;
    if (stat(luaL_checkstring(L, 1), &status))
        return 0;
    lua_pushstring(L, S_ISREG(status.st_mode) ? "file" : S_ISDIR(status.st_mode) ? "directory" : "other");
    return 1;
}

/* real_path(path) -> absolute path without links, or nil */
static int real_path_lua(lua_State *L) {
    char resolved[PATH_MAX];
    if (!realpath(luaL_checkstring(L, 1), resolved))
        return 0;
    lua_pushstring(L, resolved);
    return 1;
}

static int isatty_lua(lua_State *L) {
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

static int write_scrubbed(lua_State *L, FILE *out) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    char *clean = scrub(text, length, &length);
    terminal_print(out, clean, length);
    free(clean);
    return 0;
}

/* write(text): to standard output, scrubbed. */
static int write_lua(lua_State *L) {
    return write_scrubbed(L, stdout);
}

static int write_error_lua(lua_State *L) {
    return write_scrubbed(L, stderr);
}

/* ---- reading one line of an answer without stopping the loop ---- */

typedef struct {
    wait wait;
    uv_poll_t poll;
    size_t length;
    char text[LONGEST_ANSWER];
    bool ended;
    int flags; /* of the descriptor, before libuv made it non-blocking: output to the terminal shares them */
} line_wait;

static void line_closed(uv_handle_t *handle) {
    fcntl(STDIN_FILENO, F_SETFL, ((line_wait *)handle->data)->flags);
    wait_done(handle->data);
}

static void stop_reading(line_wait *line) {
    if (!uv_is_closing((uv_handle_t *)&line->poll))
        uv_close((uv_handle_t *)&line->poll, line_closed);
}

/* Reads what there is of the line; true at its end. Byte by byte, so that what follows the line stays for
 * whoever reads next. */
static bool read_rest(line_wait *line) {
    for (;;) {
        char byte;
        ssize_t count = read(STDIN_FILENO, &byte, 1);
        if (count < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        line->ended = count <= 0;
        if (count <= 0 || byte == '\n' || line->length == LONGEST_ANSWER)
            return true;
        line->text[line->length++] = byte;
    }
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    (void)events;
    line_wait *line = (line_wait *)((wait *)poll->data);
    line->ended = status < 0;
    if (status < 0 || read_rest(line))
        stop_reading(line);
}

static void cancel_line(wait *w) {
    stop_reading((line_wait *)w);
}

static int finish_line(lua_State *L, wait *w) {
    line_wait *line = (line_wait *)w;
    if (line->ended && line->length == 0)
        lua_pushnil(L);
    else
        lua_pushlstring(L, line->text, line->length);
    return 1;
}

/* read_line() -> a line from standard input without its newline, or nil at its end. Waits. */
static int read_line_lua(lua_State *L) {
    line_wait *line = wait_new(L, sizeof *line, cancel_line, finish_line);
    line->wait.what = "an answer";
    line->flags = fcntl(STDIN_FILENO, F_GETFL);
    int problem = uv_poll_init(task_loop(), &line->poll, STDIN_FILENO);
    if (problem == UV_EPERM && read_rest(line)) { /* a file: it never keeps anybody waiting */
        wait_done(&line->wait);
        return wait_park(L, &line->wait);
    }
    if (problem)
        return error_raise(L, "input", "cannot read an answer: %s", uv_strerror(problem));
    line->poll.data = &line->wait;
    uv_poll_start(&line->poll, UV_READABLE, on_readable);
    return wait_park(L, &line->wait);
}

/* signal(pid, number) -> true, or nil, reason */
static int signal_lua(lua_State *L) {
    int failed = kill((pid_t)luaL_checkinteger(L, 1), (int)luaL_checkinteger(L, 2));
    return system_push_outcome(L, failed ? errno : 0);
}

/* change_directory(path) -> true, or nil, reason */
static int change_directory_lua(lua_State *L) {
    int problem = uv_chdir(luaL_checkstring(L, 1));
    if (!problem) {
        lua_pushboolean(L, true);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, uv_strerror(problem));
    return 2;
}

/* user() -> the number and the name of the user this process runs as */
static int user_lua(lua_State *L) {
    const struct passwd *entry = getpwuid(geteuid());
    lua_pushinteger(L, (lua_Integer)geteuid());
    if (entry)
        lua_pushstring(L, entry->pw_name);
    else
        lua_pushfstring(L, "%d", (int)geteuid());
    return 2;
}

/* random(n) -> an integer from 0 to n - 1, each as likely */
static int random_lua(lua_State *L) {
    lua_Integer limit = luaL_checkinteger(L, 1);
    luaL_argcheck(L, limit > 0 && limit <= INT32_MAX, 1, "from 1 up");
    lua_pushinteger(L, (lua_Integer)randombytes_uniform((uint32_t)limit));
    return 1;
}

/* hash(text) -> 32 hexadecimal digits that tell texts apart (BLAKE2b) */
static int hash_lua(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    unsigned char digest[crypto_generichash_BYTES_MIN];
    char hex[sizeof digest * 2 + 1];
    crypto_generichash(digest, sizeof digest, (const unsigned char *)text, length, NULL, 0);
    lua_pushstring(L, sodium_bin2hex(hex, sizeof hex, digest, sizeof digest));
    return 1;
}

static int version_lua(lua_State *L) {
    lua_pushstring(L, HOSTLER_VERSION);
    return 1;
}

/* place_of(fn) -> its source name, its first and its last line */
static int place_of_lua(lua_State *L) {
    lua_Debug place;
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_getinfo(L, ">S", &place);
    lua_pushstring(L, place.source);
    lua_pushinteger(L, place.linedefined);
    lua_pushinteger(L, place.lastlinedefined);
    return 3;
}

/* embedded(name) -> the text of a Lua file in the binary, or nil */
static int embedded_lua(lua_State *L) {
    const embedded_file *file = embedded_find(luaL_checkstring(L, 1));
    if (!file)
        return 0;
    lua_pushlstring(L, file->text, (size_t)(file->text_end - file->text));
    return 1;
}

/* load_embedded(name) -> a Lua file in the binary as a function, or nil when there is none */
static int load_embedded_lua(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    if (!embedded_find(name))
        return 0;
    embedded_load(L, name);
    return 1;
}

/* embedded_names() -> the names of the Lua files in the binary */
static int embedded_names_lua(lua_State *L) {
    lua_newtable(L);
    int count = 0;
    for (const embedded_file *file = embedded_files; file->name; file++) {
        lua_pushstring(L, file->name);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* module_natives(name) -> the table of C functions of a module with a C half, or nil; made once. */
static int module_natives_lua(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    for (const native_module *module = native_modules; module->name; module++) {
        if (strcmp(module->name, name) != 0)
            continue;
        lua_pushcfunction(L, module->open);
        lua_call(L, 0, 1);
        return 1;
    }
    return 0;
}

/* load_text(source, chunk_name) -> function, or nil, message. Bytecode is refused: it can crash the
 * interpreter. */
static int load_text_lua(lua_State *L) {
    size_t length;
    const char *source = luaL_checklstring(L, 1, &length);
    if (luaL_loadbufferx(L, source, length, luaL_checkstring(L, 2), "t") == 0)
        return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* caller(level) -> source name, line of the function at that level above the caller */
static int caller_lua(lua_State *L) {
    lua_Debug frame;
    if (!lua_getstack(L, (int)luaL_checkinteger(L, 1), &frame))
        return 0;
    lua_getinfo(L, "Sl", &frame);
    lua_pushstring(L, frame.source);
    lua_pushinteger(L, frame.currentline);
    return 2;
}

/* width() -> columns of the terminal on standard output, or 80 */
static int width_lua(lua_State *L) {
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    lua_pushinteger(L, known ? size.ws_col : 80);
    return 1;
}

/* visible(text) -> what may be shown of it on one line, and the columns that takes */
static int visible_lua(lua_State *L) {
    text_buffer shown = {0};
    size_t columns = text_visible(&shown, luaL_checkstring(L, 1));
    lua_pushlstring(L, shown.length ? shown.text : "", shown.length);
    lua_pushinteger(L, (lua_Integer)columns);
    text_free(&shown);
    return 2;
}

/* duration(seconds) -> "3.2s", "1m 15s" */
static int duration_lua(lua_State *L) {
    text_buffer shown = {0};
    text_duration(&shown, luaL_checknumber(L, 1), false);
    lua_pushlstring(L, shown.text, shown.length);
    text_free(&shown);
    return 1;
}

/* is_utf8(text) */
static int is_utf8_lua(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    lua_pushboolean(L, text_is_utf8(text, length));
    return 1;
}

int system_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"now", now_lua},
        {"monotonic", monotonic_lua},
        {"uuid", uuid_lua},
        {"env", env_lua},
        {"credential", credential_lua},
        {"read_file", read_file_lua},
        {"write_private", write_private_lua},
        {"append_private", append_private_lua},
        {"rename", rename_lua},
        {"list_files", list_files_lua},
        {"kind", kind_lua},
        {"real_path", real_path_lua},
        {"isatty", isatty_lua},
        {"write", write_lua},
        {"write_error", write_error_lua},
        {"signal", signal_lua},
        {"change_directory", change_directory_lua},
        {"user", user_lua},
        {"random", random_lua},
        {"hash", hash_lua},
        {"version", version_lua},
        {"place_of", place_of_lua},
        {"embedded", embedded_lua},
        {"load_embedded", load_embedded_lua},
        {"embedded_names", embedded_names_lua},
        {"module_natives", module_natives_lua},
        {"load_text", load_text_lua},
        {"caller", caller_lua},
        {"width", width_lua},
        {"visible", visible_lua},
        {"is_utf8", is_utf8_lua},
        {"duration", duration_lua},
        {NULL, NULL},
    };
    static const luaL_Reg waiting[] = {{"read_line", read_line_lua}, {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    task_register(L, waiting);
    return 1;
}
