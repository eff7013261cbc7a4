/* Logging in: what is tried, in which order, and what a person is told when nothing helped; see login.h.
 *
 * The order is OpenSSH's: keys, then the password as an answer to questions, then the password as such. A
 * server may want several of them, one after the other. It says which methods it takes whenever it refuses
 * something (s->methods), so it is asked for them only when there is nothing to refuse.
 *
 * All signatures are made here or by the agent, and handed to libssh2. */
#include "ssh/login.h"

#include "base/scrub.h"
#include "ssh/agent.h"
#include "ssh/certificate.h"
#include "ssh/identities.h"
#include "ssh/password.h"
#include "ssh/publickey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum { TRY_NOTHING, TRY_KEY, TRY_QUESTIONS, TRY_PASSWORD, TRY_ASKING } attempt;
typedef enum { SIGN_IDLE, SIGN_ASKED, SIGN_DONE, SIGN_FAILED } sign_state;

struct ssh_login {
    ssh_session *session;
    ssh_agent *agent;
    bool asked, listed; /* the agent for its keys; and it has answered */
    bool chosen;        /* which keys to try */
    ssh_identities identities;
    size_t current;
    attempt trying;
    publickey_offer offer;
    sign_state signing;
    ssh_buffer signature; /* the agent's */
    bool is_old_agent;    /* it signs RSA with SHA-1 whatever it is asked for */
    password_talk talk;
    bool tried_key, tried_questions, tried_password, asked_methods;
    bool partly;              /* something was right, and more was wanted */
    ssh_buffer keys, answers; /* what was tried, and how it went, for people */
};

void login_close(void) {
    identities_close();
    agents_close();
}

/* ---- the agent ---- */

static void on_keys(void *context, unsigned char type, const unsigned char *data, size_t length) {
    ssh_login *login = context;
    if (type == AGENT_IDENTITIES)
        identities_take_agent(&login->identities, data, length);
    login->listed = true;
    session_wake(login->session);
}

static void note_agent(ssh_login *login) {
    const char *path = login->session->target.agent;
    ssh_buffer *notes = &login->identities.notes;
    if (!path)
        identities_note(notes, "there is no ssh-agent (SSH_AUTH_SOCK is not set)");
    else if (*agent_problem(login->agent))
        identities_note(notes, "the ssh-agent at %s does not answer: %s", path, agent_problem(login->agent));
    else if (login->identities.agent_count == 0)
        identities_note(notes, "the ssh-agent has no keys");
}

static const ssh_identity *current_identity(const ssh_login *login) {
    return &login->identities.list[login->current];
}

static void on_signature(void *context, unsigned char type, const unsigned char *data, size_t length) {
    ssh_login *login = context;
    char wanted[64];
    size_t size;
    wire_reader reader = {data, length, false};
    const unsigned char *whole = wire_string(&reader, &size);
    key_signature_type(current_identity(login)->algorithm, wanted);
    login->signing = SIGN_FAILED;
    if (type == AGENT_SIGNATURE && !reader.bad && wire_is_type(whole, size, wanted)) {
        buffer_add(&login->signature, whole, size);
        login->signing = SIGN_DONE;
    }
    login->is_old_agent = type == AGENT_SIGNATURE && !reader.bad && wire_is_type(whole, size, "ssh-rsa");
    session_wake(login->session);
}

/* ---- attempts: each is a turn that says EAGAIN, 0 when logged in, or an error ---- */

static int sign(void *context, const unsigned char *data, size_t length, ssh_buffer *signature) {
    ssh_login *login = context;
    const ssh_identity *identity = current_identity(login);
    const ssh_key *signer = identity->signer;
    if (signer->private)
        return key_sign(signer, identity->algorithm, data, length, signature) ? 0 : -1;
    if (login->signing == SIGN_IDLE) {
        login->signing = SIGN_ASKED;
        agent_sign(login->agent, identity->algorithm, signer->blob.data, signer->blob.length, data, length,
                   on_signature, login);
    }
    if (login->signing == SIGN_ASKED)
        return LIBSSH2_ERROR_EAGAIN;
    if (login->signing == SIGN_FAILED)
        return -1;
    buffer_add(signature, login->signature.data, login->signature.length);
    return 0;
}

/* How it went with a key, in addition to that it was not enough. */
static void describe_outcome(const ssh_login *login, char *text, size_t size) {
    const ssh_identity *identity = current_identity(login);
    char problem[128];
    certificate_problem(identity->blob, login->session->target.user, problem, sizeof problem);
    if (login->session->partly)
        snprintf(text, size, " (taken, and more is wanted)");
    else if (login->signing == SIGN_FAILED && login->is_old_agent)
        snprintf(text, size, " (the agent signs it with SHA-1 only, which servers refuse)");
    else if (login->signing == SIGN_FAILED)
        snprintf(text, size, " (the agent refused to sign)");
    else if (login->offer.wanted)
        snprintf(text, size, " (its signature was refused)");
    else
        snprintf(text, size, *problem ? " (%s)" : "%s", problem);
}

static void note_key(ssh_login *login) {
    const ssh_identity *identity = current_identity(login);
    char print[FINGERPRINT_SIZE], outcome[160];
    const char *shown = key_type_shown(identity->blob->data, identity->blob->length);
    describe_outcome(login, outcome, sizeof outcome);
    if (identity->last_resort && !*outcome)
        return; /* refused once more */
    key_fingerprint(identity->blob->data, identity->blob->length, print);
    identities_note(&login->keys, "%s '%s' %s%s", shown, identity->name, print, outcome);
}

static int try_key(ssh_login *login) {
    const ssh_identity *identity = current_identity(login);
    publickey_offer *offer = &login->offer;
    if (!offer->session)
        *offer = (publickey_offer){.session = login->session,
                                   .algorithm = identity->algorithm,
                                   .blob = identity->blob,
                                   .sign = sign,
                                   .context = login};
    int rc = publickey_step(offer);
    if (rc == LIBSSH2_ERROR_EAGAIN || rc == 0)
        return rc;
    note_key(login);
    publickey_end(offer);
    buffer_free(&login->signature);
    login->signing = SIGN_IDLE;
    login->tried_key = true;
    login->current++;
    return rc;
}

static int try_questions(ssh_login *login) {
    ssh_session *s = login->session;
    int rc = password_step_interactive(s);
    if (rc == LIBSSH2_ERROR_EAGAIN || rc == 0)
        return rc;
    login->tried_questions = true;
    if (s->talk->rounds > 0) /* else the server does not ask at all */
        identities_note(&login->answers, "the password as an answer (%s)",
                        s->partly ? "taken, and more is wanted" : "refused");
    return rc;
}

static int try_password(ssh_login *login) {
    ssh_session *s = login->session;
    int rc = password_step(s);
    if (rc == LIBSSH2_ERROR_EAGAIN || rc == 0)
        return rc;
    login->tried_password = true;
    identities_note(&login->answers, "the password (%s)",
                    s->partly ? "taken, and more is wanted"
                    : rc == LIBSSH2_ERROR_PASSWORD_EXPIRED
                        ? "it has expired: log in once with ssh to change it"
                        : "refused");
    return rc;
}

/* Asks for the methods, by trying none; 0 where that is enough to be let in. */
static int try_asking(ssh_login *login) {
    ssh_session *s = login->session;
    const char *list = libssh2_userauth_list(s->ssh2, s->target.user, (unsigned)strlen(s->target.user));
    if (!list && libssh2_session_last_errno(s->ssh2) == LIBSSH2_ERROR_EAGAIN)
        return LIBSSH2_ERROR_EAGAIN;
    login->asked_methods = true;
    if (list)
        scrub_format(s->methods, sizeof s->methods, "%s", list);
    return libssh2_userauth_authenticated(s->ssh2) ? 0 : LIBSSH2_ERROR_AUTHENTICATION_FAILED;
}

/* ---- which is next ---- */

static bool takes(const ssh_session *s, const char *method) {
    size_t length = strlen(method);
    for (const char *at = s->methods; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, method, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

static bool may_take(const ssh_session *s, const char *method) {
    return !*s->methods || takes(s, method);
}

static attempt next_attempt(const ssh_login *login) {
    const ssh_session *s = login->session;
    if (login->current < login->identities.count && may_take(s, "publickey"))
        return TRY_KEY;
    if (s->target.password && !login->tried_questions && may_take(s, "keyboard-interactive"))
        return TRY_QUESTIONS;
    if (s->target.password && !login->tried_password && may_take(s, "password"))
        return TRY_PASSWORD;
    return !*s->methods && !login->asked_methods ? TRY_ASKING : TRY_NOTHING;
}

static int go_on(ssh_login *login) {
    static int (*const ways[])(ssh_login *) = {[TRY_KEY] = try_key,
                                               [TRY_QUESTIONS] = try_questions,
                                               [TRY_PASSWORD] = try_password,
                                               [TRY_ASKING] = try_asking};
    int rc = ways[login->trying](login);
    if (rc != LIBSSH2_ERROR_EAGAIN && rc != 0) {
        login->trying = TRY_NOTHING;
        login->partly = login->partly || login->session->partly;
    }
    return rc;
}

/* ---- what a person is told ---- */

static void text_of(const ssh_buffer *buffer, char *text, size_t size) {
    scrub_format(text, size, "%.*s", (int)buffer->length, buffer->data ? buffer->data : "");
}

static bool gave_password(const ssh_login *login) {
    return login->tried_password || (login->tried_questions && login->talk.rounds > 0);
}

/* A key was offered to learn what the server takes, and keys are not among that. */
static bool takes_no_keys(const ssh_login *login) {
    return !login->partly && !may_take(login->session, "publickey");
}

static const char *problem_of(const ssh_login *login) {
    bool tried_keys = login->tried_key && !takes_no_keys(login);
    if (login->partly)
        return "the server wants more than one proof, and has not got all of them";
    if (gave_password(login))
        return tried_keys ? "the server refused every key and the password"
                          : "the server refused the password";
    if (takes_no_keys(login))
        return "the server takes no keys";
    return tried_keys ? "the server refused every key" : "there is no key to log in with";
}

static const char *hint_for(const ssh_login *login) {
    const ssh_session *s = login->session;
    bool by_password = takes(s, "password") || takes(s, "keyboard-interactive");
    if (by_password && !s->target.password && !takes(s, "publickey"))
        return "give it the password: ssh.connect(host, { password = secret(\"NAME\") })";
    if (gave_password(login))
        return "check the user and the password";
    if (!may_take(s, "publickey"))
        return "hostler logs in with keys and passwords: let the server's AuthenticationMethods have one of "
               "them";
    if (login->identities.count > 0)
        return "put one of these keys into the user's authorized_keys, add the right one with ssh-add, or "
               "name another user";
    if (!s->target.agent)
        return "start an agent (eval $(ssh-agent); ssh-add), or come in with it forwarded (ssh -A)";
    if (*agent_problem(login->agent))
        return "start the agent again, or set SSH_AUTH_SOCK to the one that runs";
    return "add your key: ssh-add; `ssh-add -l` shows what the agent has";
}

/* The server left before it had seen every key. */
static bool was_too_many(const ssh_login *login) {
    return login->tried_key && !login->identities.list[login->current - 1].last_resort;
}

static void add_hints(ssh_login *login, bool left) {
    ssh_session *s = login->session;
    if (left && was_too_many(login))
        failure_add(&s->failure, "hint",
                    "too many keys: the server stops after a few (MaxAuthTries). Name the right one with "
                    "identity = \"...\", or IdentityFile and IdentitiesOnly in ~/.ssh/config");
    if (*login->talk.asked)
        failure_add(
            &s->failure, "hint",
            "the server also asked \"%s\", and hostler answers only for a password: let it do without for "
            "this user, for example with a key",
            login->talk.asked);
    failure_add(&s->failure, "hint", "%s", hint_for(login));
}

/* Sets the failure. The notes tell of keys that were not tried. */
static void describe_failure(ssh_login *login, const char *tried, const char *notes, bool left) {
    ssh_session *s = login->session;
    bool both = *tried && *notes;
    failure_set(&s->failure, "ssh.auth", "%s: %s for '%s'%s%s%s%s%s%s%s%s", s->target.label,
                problem_of(login), s->target.user, *tried || *notes ? ": " : "", tried, both ? " (" : "",
                notes, both ? ")" : "", *s->methods ? "; it takes: " : "", s->methods,
                left ? "; then it closed the connection" : "");
    failure_add(&s->failure, "user", "%s", s->target.user);
    failure_add(&s->failure, "tried", "%s", tried);
    failure_add(&s->failure, "agent", "%s", notes);
    failure_add(&s->failure, "methods", "%s", s->methods);
}

static void fail_login(ssh_login *login, bool left) {
    char keys[2048] = "", answers[256], tried[2400], notes[1024] = "";
    text_of(&login->answers, answers, sizeof answers);
    if (!takes_no_keys(login)) {
        note_agent(login);
        text_of(&login->keys, keys, sizeof keys);
        text_of(&login->identities.notes, notes, sizeof notes);
    }
    scrub_format(tried, sizeof tried, "%s%s%s", keys, *keys && *answers ? "; " : "", answers);
    describe_failure(login, tried, notes, left);
    add_hints(login, left);
}

/* ---- */

static bool server_left(const ssh_session *s) {
    return s->hung_up || *s->goodbye;
}

static ssh_login *login_for(ssh_session *s) {
    if (!s->login) {
        s->login = calloc(1, sizeof *s->login);
        if (!s->login)
            abort();
        s->login->session = s;
        s->talk = &s->login->talk;
    }
    return s->login;
}

static void ask_agent(ssh_login *login) {
    const char *path = login->session->target.agent;
    login->asked = true;
    if (path) {
        login->agent = agent_at(path);
        agent_list(login->agent, on_keys, login);
    } else {
        login->listed = true;
    }
}

int login_step(ssh_session *s) {
    ssh_login *login = login_for(s);
    if (!login->asked)
        ask_agent(login);
    if (!login->listed)
        return LIBSSH2_ERROR_EAGAIN;
    if (!login->chosen)
        identities_choose(&login->identities, &s->target);
    login->chosen = true;
    while (!server_left(s) && !session_is_broken(s)) {
        if (login->trying == TRY_NOTHING)
            login->trying = next_attempt(login);
        if (login->trying == TRY_NOTHING)
            break;
        int rc = go_on(login);
        if (rc == LIBSSH2_ERROR_EAGAIN || rc == 0)
            return rc;
    }
    fail_login(login, server_left(s));
    return LIBSSH2_ERROR_AUTHENTICATION_FAILED;
}

void login_free(ssh_session *s) {
    ssh_login *login = s->login;
    target_forget_password(&s->target);
    s->watch = NULL;
    s->talk = NULL;
    if (!login)
        return;
    agent_forget(login);
    identities_free(&login->identities);
    publickey_end(&login->offer);
    buffer_free(&login->signature);
    buffer_free(&login->keys);
    buffer_free(&login->answers);
    free(login);
    s->login = NULL;
}
