/* See sqlite_log.h. */
#include "journal/sqlite_log.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_REGION 32768 /* the index is mapped in parts of this size */
#define LOG_HEADER 32
#define FRAME_HEADER 24
#define MAGIC 0x377f0682u /* its lowest bit tells the byte order of the checksums */
#define FRAMES_AT_ONCE 16

/* The header of the index, in the machine's byte order; the index begins with two of them. */
typedef struct {
    uint32_t version, unused, changes;
    uint8_t is_made, is_big_endian;
    uint16_t page_size; /* 1: 65536 */
    uint32_t frames, pages, frame_checksum[2];
    uint8_t salt[8];
    uint32_t checksum[2]; /* of what is above */
} index_header;

/* What follows them. */
typedef struct {
    uint32_t copied, read_marks[5];
    uint8_t locks[8];
    uint32_t attempted, unused;
} index_checkpoint;

typedef struct {
    index_header copies[2];
    index_checkpoint checkpoint;
} index_beginning;

_Static_assert(sizeof(index_header) == 48 && sizeof(index_beginning) == 136, "as SQLite has it");

/* ---- checksums ---- */

static bool is_big_endian(void) {
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
}

/* Adds `length` bytes, a multiple of 8. */
static void add_to_checksum(uint32_t sum[2], const void *bytes, size_t length, bool swapped) {
    const uint8_t *at = bytes;
    for (const uint8_t *end = at + length; at < end; at += 8) {
        uint32_t words[2];
        memcpy(words, at, sizeof words);
        sum[0] += (swapped ? __builtin_bswap32(words[0]) : words[0]) + sum[1];
        sum[1] += (swapped ? __builtin_bswap32(words[1]) : words[1]) + sum[0];
    }
}

static uint32_t big_endian(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static bool has_checksum(const uint8_t *at, const uint32_t sum[2]) {
    return big_endian(at) == sum[0] && big_endian(at + 4) == sum[1];
}

/* ---- the index ---- */

static bool is_whole(const index_header *header) {
    uint32_t sum[2] = {0, 0};
    add_to_checksum(sum, header, offsetof(index_header, checksum), false);
    return header->is_made && memcmp(sum, header->checksum, sizeof sum) == 0;
}

static void copy_beginning(index_beginning *to, const volatile uint8_t *from) {
    for (size_t i = 0; i < sizeof *to; i++)
        ((uint8_t *)to)[i] = from[i];
}

bool sqlite_log_read(sqlite3 *database, sqlite_log *state) {
    sqlite3_file *file = NULL;
    void volatile *region = NULL;
    index_beginning found;
    if (sqlite3_file_control(database, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
        file->pMethods->xShmMap(file, 0, INDEX_REGION, 0, &region) != SQLITE_OK || !region)
        return false;
    copy_beginning(&found, region);
    /* One of the two may be half written at this moment. */
    const index_header *header = is_whole(&found.copies[0]) ? &found.copies[0] : &found.copies[1];
    if (!is_whole(header))
        return false;
    *state = (sqlite_log){.changes = header->changes,
                          .frames = header->frames,
                          .page_size = header->page_size == 1 ? 65536 : header->page_size,
                          .copied = found.checkpoint.copied,
                          .attempted = found.checkpoint.attempted,
                          .is_swapped = header->is_big_endian != is_big_endian()};
    memcpy(state->checksum, header->frame_checksum, sizeof state->checksum);
    memcpy(state->salt, header->salt, sizeof state->salt);
    return state->frames == 0 || state->page_size >= 512;
}

bool sqlite_log_goes_on(const sqlite_log *a, const sqlite_log *b) {
    return memcmp(a->salt, b->salt, sizeof a->salt) == 0 &&
           (a->frames == 0 || a->page_size == b->page_size) && a->frames <= b->frames;
}

bool sqlite_log_is_same(const sqlite_log *a, const sqlite_log *b) {
    return sqlite_log_goes_on(a, b) && a->frames == b->frames && a->changes == b->changes &&
           memcmp(a->checksum, b->checksum, sizeof a->checksum) == 0;
}

bool sqlite_log_is_settled(const sqlite_log *a, const sqlite_log *b) {
    return memcmp(a->salt, b->salt, sizeof a->salt) == 0 && a->copied == b->copied &&
           a->attempted == b->attempted && b->copied == b->attempted;
}

/* ---- the log ---- */

/* Checks the log's header, whose checksum is where that of the frames begins. */
static bool check_header(sqlite3_file *file, const sqlite_log *state, uint32_t sum[2]) {
    uint8_t header[LOG_HEADER];
    if (file->pMethods->xRead(file, header, sizeof header, 0) != SQLITE_OK)
        return false;
    bool order = state->is_swapped != is_big_endian();
    memset(sum, 0, 2 * sizeof *sum);
    add_to_checksum(sum, header, 24, state->is_swapped);
    return big_endian(header) == (MAGIC | order) && big_endian(header + 8) == state->page_size &&
           memcmp(header + 16, state->salt, sizeof state->salt) == 0 && has_checksum(header + 24, sum);
}

/* Adds a frame to the checksum, and compares that with the frame's own. */
static bool check_frame(const uint8_t *frame, const sqlite_log *state, uint32_t sum[2]) {
    add_to_checksum(sum, frame, 8, state->is_swapped);
    add_to_checksum(sum, frame + FRAME_HEADER, state->page_size, state->is_swapped);
    return memcmp(frame + 8, state->salt, sizeof state->salt) == 0 && has_checksum(frame + 16, sum);
}

static bool check_frames(sqlite3_file *file, uint32_t first, const sqlite_log *state, uint32_t sum[2]) {
    size_t size = FRAME_HEADER + state->page_size;
    uint8_t *frames = malloc(FRAMES_AT_ONCE * size);
    bool good = frames != NULL;
    for (uint32_t at = first; good && at < state->frames; at += FRAMES_AT_ONCE) {
        uint32_t count = state->frames - at < FRAMES_AT_ONCE ? state->frames - at : FRAMES_AT_ONCE;
        sqlite3_int64 offset = LOG_HEADER + (sqlite3_int64)at * (sqlite3_int64)size;
        good = file->pMethods->xRead(file, frames, (int)(count * size), offset) == SQLITE_OK;
        for (uint32_t i = 0; good && i < count; i++)
            good = check_frame(frames + i * size, state, sum);
    }
    free(frames);
    return good;
}

bool sqlite_log_holds(sqlite3 *database, const sqlite_log *from, const sqlite_log *to) {
    sqlite3_file *file = NULL;
    uint32_t sum[2];
    if (to->frames == 0)
        return true;
    if (sqlite3_file_control(database, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) != SQLITE_OK ||
        !file->pMethods)
        return false;
    bool continues = from && from->frames > 0 && sqlite_log_goes_on(from, to);
    if (continues)
        memcpy(sum, from->checksum, sizeof sum);
    else if (!check_header(file, to, sum))
        return false;
    return check_frames(file, continues ? from->frames : 0, to, sum) &&
           memcmp(sum, to->checksum, sizeof sum) == 0;
}
