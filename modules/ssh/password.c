/* Logging in with a password; see password.h. */
#include "ssh/password.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_ROUNDS 5
#define LONGEST_ROUND 100 /* questions at once; libssh2 takes no more */

static void show(const LIBSSH2_USERAUTH_KBDINT_PROMPT *prompt, char *text, size_t size) {
    size_t length = prompt->length < size - 1 ? prompt->length : size - 1;
    for (size_t i = 0; i < length; i++)
        text[i] = prompt->text[i] >= ' ' && prompt->text[i] < 127 ? prompt->text[i] : '?';
    text[length] = '\0';
    while (length > 0 && text[length - 1] == ' ')
        text[--length] = '\0';
}

/* The first question whose answer is not to be shown is for the password, once. What else is asked is left
 * open. */
static void answer(const char *name, int name_length, const char *instruction, int instruction_length,
                   int count, const LIBSSH2_USERAUTH_KBDINT_PROMPT *prompts,
                   LIBSSH2_USERAUTH_KBDINT_RESPONSE *responses, void **abstract) {
    ssh_session *s = *abstract;
    password_talk *talk = s->talk;
    (void)name, (void)name_length, (void)instruction, (void)instruction_length;
    if (++talk->rounds > MOST_ROUNDS)
        failure_set(&s->failure, "ssh.auth", "%s: the server does not stop asking: %s", s->target.label,
                    talk->asked);
    for (int i = 0; i < count && i < LONGEST_ROUND; i++) {
        bool is_password = !prompts[i].echo && !talk->given;
        if (!is_password && !*talk->asked)
            show(&prompts[i], talk->asked, sizeof talk->asked);
        responses[i].text = strdup(is_password ? s->target.password : ""); /* libssh2 frees it */
        if (!responses[i].text)
            abort();
        responses[i].length = (unsigned)strlen(responses[i].text);
        talk->given = talk->given || is_password;
    }
}

int password_step_interactive(ssh_session *s) {
    const char *user = s->target.user;
    return libssh2_userauth_keyboard_interactive_ex(s->ssh2, user, (unsigned)strlen(user), answer);
}

int password_step(ssh_session *s) {
    const char *user = s->target.user, *password = s->target.password;
    return libssh2_userauth_password_ex(s->ssh2, user, (unsigned)strlen(user), password,
                                        (unsigned)strlen(password), NULL);
}
