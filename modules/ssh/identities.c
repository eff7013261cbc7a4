/* Which keys there are to log in with; see identities.h. */
#define _GNU_SOURCE /* vasprintf */
#include "ssh/identities.h"

#include "base/files.h"
#include "ssh/certificate.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

void identities_note(ssh_buffer *text, const char *format, ...) {
    char *line;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&line, format, arguments);
    va_end(arguments);
    if (length < 0)
        abort();
    if (text->length > 0)
        buffer_add(text, "; ", 2);
    buffer_add(text, line, (size_t)length);
    free(line);
}

/* ---- files, read once and again when they change ---- */

typedef struct key_file key_file;
struct key_file {
    key_file *next;
    char *path;
    struct timespec changed; /* content, mode or owner */
    key_file_result result;
    ssh_key key; /* of a certificate only its blob and its path */
};

static key_file *key_files;

static const key_file *open_file(const char *path, key_file_result (*load)(const char *, ssh_key *)) {
    struct stat status = {.st_size = 0};
    stat(path, &status);
    for (key_file *known = key_files; known; known = known->next)
        if (strcmp(known->path, path) == 0 && known->changed.tv_sec == status.st_ctim.tv_sec &&
            known->changed.tv_nsec == status.st_ctim.tv_nsec)
            return known;
    key_file *file = calloc(1, sizeof *file);
    if (!file || !(file->path = strdup(path)))
        abort();
    file->changed = status.st_ctim;
    file->result = load(path, &file->key);
    file->next = key_files;
    key_files = file;
    return file;
}

static key_file_result load_certificate(const char *path, ssh_key *key) {
    memset(key, 0, sizeof *key);
    return key_load_public(path, key) && certificate_is(&key->blob) ? KEY_LOADED : KEY_MALFORMED;
}

static const key_file *open_key(const char *path) {
    return open_file(path, key_file_load);
}

static const key_file *open_certificate(const char *path) {
    return open_file(path, load_certificate);
}

static const key_file *open_certificate_beside(const char *path) {
    char name[4096];
    snprintf(name, sizeof name, "%s-cert.pub", path);
    return open_certificate(name);
}

void identities_close(void) {
    while (key_files) {
        key_file *file = key_files;
        key_files = file->next;
        key_free(&file->key);
        free(file->path);
        free(file);
    }
}

/* ---- the list ---- */

static bool same_blob(const ssh_buffer *a, const ssh_buffer *b) {
    return a->length == b->length && a->length > 0 && memcmp(a->data, b->data, a->length) == 0;
}

/* Which of the key's algorithms may be used, in the order of PubkeyAcceptedAlgorithms where that is set, as
 * OpenSSH's key_sig_algorithm chooses. Returns how many. */
static int choose_algorithms(const ssh_identities *all, const ssh_buffer *blob,
                             const char *chosen[KEY_MOST_ALGORITHMS]) {
    key_algorithms *algorithms = key_algorithms_of(blob->data, blob->length);
    int count = 0;
    for (const char *at = all->allowed ? all->allowed : ""; *at && count < KEY_MOST_ALGORITHMS;) {
        size_t length = strcspn(at, ",");
        for (int i = 0; i < KEY_MOST_ALGORITHMS && (*algorithms)[i]; i++)
            if (count < KEY_MOST_ALGORITHMS && strlen((*algorithms)[i]) == length &&
                strncmp(at, (*algorithms)[i], length) == 0)
                chosen[count++] = (*algorithms)[i];
        at += length + (at[length] == ',');
    }
    while (!all->allowed && count < KEY_MOST_ALGORITHMS && (*algorithms)[count]) {
        chosen[count] = (*algorithms)[count];
        count++;
    }
    return count;
}

static void note_useless(ssh_identities *all, const ssh_buffer *blob, const char *name) {
    const char *shown = key_type_shown(blob->data, blob->length);
    if ((*key_algorithms_of(blob->data, blob->length))[0])
        identities_note(&all->notes,
                        "'%s' is a %s key, for which PubkeyAcceptedAlgorithms in the OpenSSH configuration "
                        "allows no algorithm that hostler has",
                        name, shown);
    else
        identities_note(&all->notes, "'%s' is a %s key, which is of no use here", name, shown);
}

static void add(ssh_identities *all, const ssh_key *signer, const ssh_buffer *blob, const char *name) {
    const char *algorithms[KEY_MOST_ALGORITHMS];
    int count = choose_algorithms(all, blob, algorithms);
    for (size_t i = 0; i < all->count; i++)
        if (same_blob(all->list[i].blob, blob))
            return;
    if (count == 0)
        note_useless(all, blob, name);
    for (int i = 0; i < count && all->count < MOST_IDENTITIES; i++)
        all->list[all->count++] = (ssh_identity){signer, blob, name, algorithms[i], i > 0};
}

static void add_certificate(ssh_identities *all, const ssh_key *signer, const key_file *certificate) {
    if (certificate->result == KEY_LOADED && certificate_is_of(&certificate->key.blob, &signer->blob))
        add(all, signer, &certificate->key.blob, certificate->path);
}

static void add_with_certificates(ssh_identities *all, const ssh_target *target, const ssh_key *signer) {
    for (char **path = target->certificates; *path; path++)
        add_certificate(all, signer, open_certificate(*path));
    for (char **path = target->identities; *path && !*target->certificates; path++)
        add_certificate(all, signer, open_certificate_beside(*path));
    add(all, signer, &signer->blob, signer->comment);
}

static bool is_of(const ssh_key *agents, const ssh_buffer *key) {
    return same_blob(&agents->blob, key) || certificate_is_of(&agents->blob, key);
}

static bool add_from_agent(ssh_identities *all, const ssh_target *target, const ssh_buffer *key) {
    bool found = false;
    for (size_t i = 0; i < all->agent_count; i++) {
        if (!is_of(&all->from_agent[i], key))
            continue;
        add_with_certificates(all, target, &all->from_agent[i]);
        found = true;
    }
    return found;
}

static void note_file(ssh_identities *all, const ssh_target *target, const key_file *file) {
    if (file->result == KEY_ENCRYPTED)
        identities_note(&all->notes, "%s has a passphrase: add it to the agent with ssh-add", file->path);
    else if (file->result == KEY_TOKEN)
        identities_note(&all->notes, "%s is on a security token: add it to the agent with ssh-add",
                        file->path);
    else if (file->result == KEY_PUBLIC)
        identities_note(
            &all->notes,
            "%s is a public key, and the agent does not have its private key: add that with ssh-add",
            file->path);
    else if (file->result == KEY_UNREADABLE)
        identities_note(&all->notes, "%s cannot be read: %s", file->path, files_reason(file->key.problem));
    else if (file->result == KEY_EXPOSED)
        identities_note(
            &all->notes,
            "%s may be read by others than its owner, so it is not used, nor by ssh: chmod 600 %s",
            file->path, file->path);
    else if (file->result == KEY_MALFORMED)
        identities_note(&all->notes, "%s holds no private key that can be used", file->path);
    else if (file->result == KEY_MISSING && target->identities_given)
        identities_note(&all->notes, "%s does not exist", file->path);
}

/* Of the certificates that are configured, those that are not offered. What of those that may not be is said
 * already. */
static void note_certificates(ssh_identities *all, const ssh_target *target) {
    for (char **path = target->certificates; *path; path++) {
        const key_file *file = open_certificate(*path);
        const char *algorithms[KEY_MOST_ALGORITHMS];
        bool offered = file->result == KEY_LOADED && choose_algorithms(all, &file->key.blob, algorithms) == 0;
        for (size_t i = 0; i < all->count; i++)
            offered = offered || same_blob(all->list[i].blob, &file->key.blob);
        if (file->key.problem)
            identities_note(&all->notes, "%s cannot be read: %s", *path, files_reason(file->key.problem));
        else if (file->result != KEY_LOADED)
            identities_note(&all->notes, "%s holds no certificate", *path);
        else if (!offered)
            identities_note(&all->notes, "nobody has the private key of the certificate %s", *path);
    }
}

/* What few servers need comes when all else has been refused: each attempt counts. */
static void put_last_resorts_last(ssh_identities *all) {
    static ssh_identity kept[MOST_IDENTITIES];
    size_t first = 0, last = 0;
    for (size_t i = 0; i < all->count; i++) {
        if (all->list[i].last_resort)
            kept[last++] = all->list[i];
        else
            all->list[first++] = all->list[i];
    }
    memcpy(all->list + first, kept, last * sizeof *kept);
}

void identities_choose(ssh_identities *all, const ssh_target *target) {
    all->allowed = target->login_algorithms;
    for (char **path = target->identities; *path; path++)
        add_from_agent(all, target, &open_key(*path)->key.blob);
    for (size_t i = 0; i < all->agent_count && !target->only_identities; i++)
        add_with_certificates(all, target, &all->from_agent[i]);
    for (char **path = target->identities; *path; path++) {
        const key_file *file = open_key(*path);
        if (file->result == KEY_LOADED)
            add_with_certificates(all, target, &file->key);
        else if (!add_from_agent(all, target, &file->key.blob))
            note_file(all, target, file);
    }
    note_certificates(all, target);
    put_last_resorts_last(all);
}

void identities_take_agent(ssh_identities *all, const unsigned char *data, size_t length) {
    wire_reader reader = {data, length, false};
    uint32_t count = wire_u32(&reader);
    for (uint32_t i = 0; i < count && all->agent_count < MOST_AGENT_KEYS; i++) {
        size_t blob_length, comment_length;
        const unsigned char *blob = wire_string(&reader, &blob_length);
        const unsigned char *comment = wire_string(&reader, &comment_length);
        if (reader.bad)
            break;
        ssh_key *key = &all->from_agent[all->agent_count++];
        buffer_add(&key->blob, blob, blob_length);
        key->comment = strndup((const char *)comment, comment_length);
        if (!key->comment)
            abort();
    }
}

void identities_free(ssh_identities *all) {
    for (size_t i = 0; i < all->agent_count; i++)
        key_free(&all->from_agent[i]);
    buffer_free(&all->notes);
}
