/* The registration table of modules with a C half. */
#include "host.h"

#include "task/program.h"
#include "web/web.h"

#include <stddef.h>

int base64_open(lua_State *L);
int dns_open(lua_State *L);
int checkup_open(lua_State *L);
int file_open(lua_State *L);
int ftp_open(lua_State *L);
int http_open(lua_State *L);
int known_hosts_file_open(lua_State *L);
int mail_open(lua_State *L);
int postgres_open(lua_State *L);
int ssh_open(lua_State *L);

const native_module native_modules[] = {
    {"base64", base64_open},
    {"dns", dns_open},
    {"checkup", checkup_open},
    {"file", file_open},
    {"ftp", ftp_open},
    {"http/http", http_open},
    {"http/server", web_open},
    {"known_hosts_file", known_hosts_file_open},
    {"mail/mail", mail_open},
    {"postgres/postgres", postgres_open},
    {"sh", program_open},
    {"ssh/native", ssh_open},
    {NULL, NULL},
};
