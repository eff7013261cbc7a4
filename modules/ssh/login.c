/* Logging in with public keys: the agent's and those in files; see login.h.
 *
 * All signatures are made here or by the agent and handed to libssh2 through its callback: libssh2 1.10 by
 * itself signs RSA with SHA-1 only, which today's servers refuse. */
#define _GNU_SOURCE /* vasprintf */
#include "ssh/login.h"

#include "base/scrub.h"
#include "ssh/agent.h"
#include "ssh/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define MOST_KEYS 64

typedef enum { SIGN_IDLE, SIGN_ASKED, SIGN_DONE, SIGN_FAILED } sign_state;

struct ssh_login {
    ssh_session *session;
    ssh_agent *agent;
    bool asked, listed; /* the agent for its keys; and it has answered */
    ssh_key from_agent[MOST_KEYS];
    size_t agent_count;
    const ssh_key *candidates[MOST_KEYS]; /* in the order of trying */
    size_t candidate_count, current;
    ssh_buffer blob; /* the current key's, as libssh2 is to send it */
    sign_state signing;
    unsigned char *signature; /* malloc'ed; libssh2 frees it */
    size_t signature_size;
    ssh_buffer tried, notes; /* for the message */
};

/* ---- key files, read once and again when they change ---- */

typedef struct key_file key_file;
struct key_file {
    key_file *next;
    char *path;
    struct timespec changed;
    key_file_result result;
    ssh_key key;
};

static key_file *key_files;

static const key_file *open_key_file(const char *path) {
    struct stat status = {.st_size = 0};
    stat(path, &status);
    for (key_file *known = key_files; known; known = known->next)
        if (strcmp(known->path, path) == 0 && known->changed.tv_sec == status.st_mtim.tv_sec &&
            known->changed.tv_nsec == status.st_mtim.tv_nsec)
            return known;
    key_file *file = calloc(1, sizeof *file);
    if (!file || !(file->path = strdup(path)))
        abort();
    file->changed = status.st_mtim;
    file->result = key_file_load(path, &file->key);
    file->next = key_files;
    key_files = file;
    return file;
}

void login_close(void) {
    while (key_files) {
        key_file *file = key_files;
        key_files = file->next;
        key_free(&file->key);
        free(file->path);
        free(file);
    }
    agents_close();
}

/* ---- which keys to try ---- */

static void note(ssh_buffer *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(ssh_buffer *text, const char *format, ...) {
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

static bool same_key(const ssh_key *a, const ssh_key *b) {
    return a->blob.length == b->blob.length && a->blob.length > 0 &&
           memcmp(a->blob.data, b->blob.data, a->blob.length) == 0;
}

/* Certificates and keys on security tokens need more of libssh2 than it can do. */
static bool can_be_used(const ssh_key *key) {
    const char *shown = key_type_shown(key->blob.data, key->blob.length);
    return strcmp(shown, "ED25519") == 0 || strcmp(shown, "RSA") == 0 || strcmp(shown, "ECDSA") == 0;
}

static void add_candidate(ssh_login *login, const ssh_key *key) {
    for (size_t i = 0; i < login->candidate_count; i++)
        if (same_key(login->candidates[i], key))
            return;
    if (login->candidate_count < MOST_KEYS && can_be_used(key))
        login->candidates[login->candidate_count++] = key;
}

static void note_file(ssh_login *login, const key_file *file) {
    bool given = login->session->target.identities_given;
    if (file->result == KEY_ENCRYPTED)
        note(&login->notes, "%s has a passphrase: add it to the agent with ssh-add", file->path);
    else if (file->result == KEY_UNREADABLE)
        note(&login->notes, "%s cannot be read", file->path);
    else if (file->result == KEY_MALFORMED)
        note(&login->notes, "%s holds no private key that can be used", file->path);
    else if (file->result == KEY_MISSING && given)
        note(&login->notes, "%s does not exist", file->path);
}

/* As OpenSSH orders them: the configured keys that the agent has, its others, then the files. */
static void choose_candidates(ssh_login *login) {
    char **identities = login->session->target.identities;
    for (char **path = identities; *path; path++)
        for (size_t i = 0; i < login->agent_count; i++)
            if (same_key(&login->from_agent[i], &open_key_file(*path)->key))
                add_candidate(login, &login->from_agent[i]);
    for (size_t i = 0; i < login->agent_count && !login->session->target.only_identities; i++)
        add_candidate(login, &login->from_agent[i]);
    for (char **path = identities; *path; path++) {
        const key_file *file = open_key_file(*path);
        bool in_agent = false;
        for (size_t i = 0; i < login->agent_count; i++)
            in_agent = in_agent || same_key(&login->from_agent[i], &file->key);
        if (file->result == KEY_LOADED)
            add_candidate(login, &file->key);
        else if (!in_agent)
            note_file(login, file);
    }
}

static void on_keys(void *context, unsigned char type, const unsigned char *data, size_t length) {
    ssh_login *login = context;
    wire_reader reader = {data, length, false};
    uint32_t count = type == AGENT_IDENTITIES ? wire_u32(&reader) : 0;
    for (uint32_t i = 0; i < count && login->agent_count < MOST_KEYS; i++) {
        size_t blob_length, comment_length;
        const unsigned char *blob = wire_string(&reader, &blob_length);
        const unsigned char *comment = wire_string(&reader, &comment_length);
        if (reader.bad)
            break;
        ssh_key *key = &login->from_agent[login->agent_count++];
        buffer_add(&key->blob, blob, blob_length);
        key->comment = strndup((const char *)comment, comment_length);
        if (!key->comment)
            abort();
    }
    login->listed = true;
    session_wake(login->session);
}

static void note_agent(ssh_login *login) {
    const char *path = login->session->target.agent;
    if (!path)
        note(&login->notes, "there is no ssh-agent (SSH_AUTH_SOCK is not set)");
    else if (*agent_problem(login->agent))
        note(&login->notes, "the ssh-agent at %s does not answer: %s", path, agent_problem(login->agent));
    else if (login->agent_count == 0)
        note(&login->notes, "the ssh-agent has no keys");
}

/* ---- signing ---- */

static void on_signature(void *context, unsigned char type, const unsigned char *data, size_t length) {
    ssh_login *login = context;
    size_t size, type_size;
    wire_reader outer = {data, length, false};
    const unsigned char *whole = wire_string(&outer, &size);
    wire_reader inner = {whole, size, outer.bad};
    wire_string(&inner, &type_size);
    const unsigned char *bytes = wire_string(&inner, &size);
    login->signing = SIGN_FAILED;
    if (type == AGENT_SIGNATURE && !inner.bad && size > 0) {
        login->signature = malloc(size);
        if (!login->signature)
            abort();
        memcpy(login->signature, bytes, size);
        login->signature_size = size;
        login->signing = SIGN_DONE;
    }
    session_wake(login->session);
}

/* libssh2's callback. Called again, with the same data, after it said EAGAIN. */
static int sign(LIBSSH2_SESSION *ssh2, unsigned char **signature, size_t *size, const unsigned char *data,
                size_t length, void **abstract) {
    ssh_login *login = *abstract;
    const ssh_key *key = login->candidates[login->current];
    (void)ssh2;
    if (key->private)
        return key_sign(key, data, length, signature, size) ? 0 : -1;
    if (login->signing == SIGN_IDLE) {
        login->signing = SIGN_ASKED;
        agent_sign(login->agent, key->blob.data, key->blob.length, data, length, on_signature, login);
    }
    if (login->signing == SIGN_ASKED)
        return LIBSSH2_ERROR_EAGAIN;
    if (login->signing == SIGN_FAILED)
        return -1;
    *signature = login->signature;
    *size = login->signature_size;
    login->signature = NULL;
    return 0;
}

/* The blob as it is sent: an RSA key is offered under the name of the signature it will make. */
static void prepare_blob(ssh_login *login, const ssh_key *key) {
    login->blob.length = 0;
    const unsigned char *blob = (unsigned char *)key->blob.data;
    wire_reader reader = {blob, key->blob.length, false};
    size_t length;
    if (wire_is_type(blob, key->blob.length, "ssh-rsa")) {
        wire_string(&reader, &length);
        buffer_add_string(&login->blob, "rsa-sha2-256", 12);
    }
    buffer_add(&login->blob, reader.at, reader.left);
}

/* ---- trying ---- */

static void note_attempt(ssh_login *login, const ssh_key *key, const char *outcome) {
    char print[FINGERPRINT_SIZE];
    key_fingerprint(key->blob.data, key->blob.length, print);
    note(&login->tried, "%s '%s' %s%s", key_type_shown(key->blob.data, key->blob.length), key->comment, print,
         outcome);
}

static const char *hint_for(const ssh_login *login) {
    const ssh_session *s = login->session;
    if (login->candidate_count > 0)
        return "put one of these keys into the user's authorized_keys, add the right one with ssh-add, or "
               "name another user";
    if (!s->target.agent)
        return "start an agent (eval $(ssh-agent); ssh-add), or come in with it forwarded (ssh -A)";
    if (*agent_problem(login->agent))
        return "start the agent again, or set SSH_AUTH_SOCK to the one that runs";
    return "add your key: ssh-add; `ssh-add -l` shows what the agent has";
}

static void text_of(ssh_buffer *buffer, char *text, size_t size) {
    scrub_format(text, size, "%.*s", (int)buffer->length, buffer->data ? buffer->data : "");
}

static void fail_login(ssh_login *login, bool too_many) {
    char tried[2048], notes[1024];
    ssh_session *s = login->session;
    note_agent(login);
    text_of(&login->tried, tried, sizeof tried);
    text_of(&login->notes, notes, sizeof notes);
    if (login->candidate_count == 0)
        failure_set(&s->failure, "ssh.auth", "%s: there is no key to log in with: %s", s->target.label,
                    notes);
    else
        failure_set(&s->failure, "ssh.auth", "%s: the server refused every key for '%s': %s%s%s%s%s",
                    s->target.label, s->target.user, tried, *notes ? " (" : "", notes, *notes ? ")" : "",
                    too_many ? "; then it closed the connection" : "");
    failure_add(&s->failure, "user", "%s", s->target.user);
    failure_add(&s->failure, "tried", "%s", tried);
    failure_add(&s->failure, "agent", "%s", notes);
    if (too_many)
        failure_add(&s->failure, "hint",
                    "too many keys: the server stops after a few (MaxAuthTries). Name the right one with "
                    "identity = \"...\", or IdentityFile and IdentitiesOnly in ~/.ssh/config");
    failure_add(&s->failure, "hint", "%s", hint_for(login));
}

/* One turn with the current key: EAGAIN, 0 when logged in, 1 when it was refused. */
static int try_current(ssh_login *login) {
    ssh_session *s = login->session;
    const ssh_key *key = login->candidates[login->current];
    void *context = login;
    if (login->blob.length == 0)
        prepare_blob(login, key);
    int rc = libssh2_userauth_publickey(s->ssh2, s->target.user, (unsigned char *)login->blob.data,
                                        login->blob.length, sign, &context);
    if (rc == LIBSSH2_ERROR_EAGAIN || rc == 0)
        return rc;
    note_attempt(login, key, login->signing == SIGN_FAILED ? " (the agent refused to sign)" : "");
    login->blob.length = 0;
    login->signing = SIGN_IDLE;
    login->current++;
    return 1;
}

static bool server_left(const ssh_session *s) {
    return s->hung_up || *s->goodbye;
}

static ssh_login *login_for(ssh_session *s) {
    if (!s->login) {
        s->login = calloc(1, sizeof *s->login);
        if (!s->login)
            abort();
        s->login->session = s;
    }
    return s->login;
}

int login_step(ssh_session *s) {
    ssh_login *login = login_for(s);
    if (!login->asked) {
        login->asked = true;
        if (s->target.agent) {
            login->agent = agent_at(s->target.agent);
            agent_list(login->agent, on_keys, login);
        } else {
            login->listed = true;
        }
    }
    if (!login->listed)
        return LIBSSH2_ERROR_EAGAIN;
    if (login->current == 0 && login->candidate_count == 0)
        choose_candidates(login);
    while (login->current < login->candidate_count && !server_left(s)) {
        int rc = try_current(login);
        if (rc <= 0)
            return rc;
    }
    fail_login(login, server_left(s));
    return LIBSSH2_ERROR_AUTHENTICATION_FAILED;
}

void login_free(ssh_session *s) {
    ssh_login *login = s->login;
    if (!login)
        return;
    agent_forget(login);
    for (size_t i = 0; i < login->agent_count; i++)
        key_free(&login->from_agent[i]);
    free(login->signature);
    buffer_free(&login->blob);
    buffer_free(&login->tried);
    buffer_free(&login->notes);
    free(login);
    s->login = NULL;
}
