/* See certificate.h. */
#include "ssh/certificate.h"

#include "ssh/public_key.h"

#include <string.h>

#define ECDSA "ecdsa-sha2-nistp"

bool certificate_load(const char *path, ssh_key *certificate) {
    key_file_load(path, certificate);
    if (public_key_is_certificate(certificate->blob.data, certificate->blob.length))
        return true;
    key_free(certificate);
    return false;
}

bool certificate_is_about(const ssh_key *certificate, const ssh_key *key) {
    wire_reader signed_key = {(unsigned char *)certificate->blob.data, certificate->blob.length, false};
    wire_reader plain = {(unsigned char *)key->blob.data, key->blob.length, false};
    size_t signed_size, size, type_size;
    const unsigned char *signed_type = wire_string(&signed_key, &signed_size);
    const unsigned char *type = wire_string(&plain, &type_size);
    wire_string(&signed_key, &size); /* a nonce */
    if (signed_key.bad || plain.bad || type_size == 0 || type_size >= signed_size ||
        memcmp(signed_type, type, type_size) != 0 || signed_type[type_size] != '-')
        return false;
    return plain.left <= signed_key.left && memcmp(plain.at, signed_key.at, plain.left) == 0;
}

bool certificate_is_supported(const ssh_key *certificate) {
    wire_reader reader = {(unsigned char *)certificate->blob.data, certificate->blob.length, false};
    size_t size;
    const unsigned char *type = wire_string(&reader, &size);
    return size > strlen(ECDSA) && memcmp(type, ECDSA, strlen(ECDSA)) == 0;
}
