/* hostler version, and the versions of the libraries it runs on. Makes no Lua world: it has to be quick. */
#include "command.h"

#include "../version.h"

#include <ares.h>
#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <libpq-fe.h>
#include <libssh2.h>
#include <luajit.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

static void print_libraries(void) {
    int pg = PQlibVersion();
    printf("  luajit         %s\n", LUAJIT_VERSION);
    printf("  libuv          %s\n", uv_version_string());
    printf("  libcurl        %s\n", curl_version_info(CURLVERSION_NOW)->version);
    printf("  cjson          %s\n", cJSON_Version());
    printf("  libssh2        %s\n", libssh2_version(0));
    printf("  libpq          %d.%d\n", pg / 10000, pg % 10000);
    printf("  sqlite         %s\n", sqlite3_libversion());
    printf("  c-ares         %s\n", ares_version(NULL));
    printf("  libmicrohttpd  %s\n", MHD_get_version());
    printf("  libsodium      %s\n", sodium_version_string());
    printf("  openssl        %s\n", OpenSSL_version(OPENSSL_VERSION_STRING));
}

int command_version(int argc, char **argv) {
    bool libraries = argc == 2 && strcmp(argv[1], "--libraries") == 0;
    if (argc > 1 && !libraries) {
        fputs("usage: hostler version [--libraries]\n", stderr);
        return 2;
    }
    printf("hostler %s\n", HOSTLER_VERSION);
    if (libraries)
        print_libraries();
    return 0;
}
