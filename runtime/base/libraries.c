/* Library versions; see libraries.h. */
#include "base/libraries.h"

#include <ares.h>
#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <expat.h>
#include <libpq-fe.h>
#include <libssh2.h>
#include <luajit.h>
#include <openssl/crypto.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <uv.h>

const library_version *library_versions(size_t *count) {
    static char pq[24];
    static library_version list[11];
    int version = PQlibVersion();
    snprintf(pq, sizeof pq, "%d.%d", version / 10000, version % 10000);
    size_t n = 0;
    list[n++] = (library_version){"luajit", LUAJIT_VERSION};
    list[n++] = (library_version){"libuv", uv_version_string()};
    list[n++] = (library_version){"libcurl", curl_version_info(CURLVERSION_NOW)->version};
    list[n++] = (library_version){"cjson", cJSON_Version()};
    list[n++] = (library_version){"libssh2", libssh2_version(0)};
    list[n++] = (library_version){"libpq", pq};
    list[n++] = (library_version){"sqlite", sqlite3_libversion()};
    list[n++] = (library_version){"c-ares", ares_version(NULL)};
    list[n++] = (library_version){"libsodium", sodium_version_string()};
    list[n++] = (library_version){"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)};
    list[n++] = (library_version){"expat", XML_ExpatVersion()};
    *count = n;
    return list;
}
