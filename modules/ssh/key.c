/* Keys; see key.h. Reads OpenSSH's own private key format ("openssh-key-v1", PROTOCOL.key in its sources)
 * and leaves PEM to OpenSSL. */
#include "ssh/key.h"

#include "base/files.h"
#include "ssh/public_key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGEST_KEY_FILE 65536
#define OPENSSH_BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----"
#define OPENSSH_END "-----END OPENSSH PRIVATE KEY-----"

#define CERTIFICATE "-cert-v01@openssh.com"

/* One whose signature has the key's own name. */
#define PLAIN(type, shown, group) \
    {                             \
        type, shown, group, {     \
            type                  \
        }                         \
    }

static const struct {
    const char *type, *shown, *group;
    key_algorithms algorithms;
} types[] = {
    PLAIN("ssh-ed25519", "ED25519", NULL),
    {"ssh-rsa", "RSA", NULL, {"rsa-sha2-512", "rsa-sha2-256"}},
    PLAIN("ecdsa-sha2-nistp256", "ECDSA", "P-256"),
    PLAIN("ecdsa-sha2-nistp384", "ECDSA", "P-384"),
    PLAIN("ecdsa-sha2-nistp521", "ECDSA", "P-521"),
    PLAIN("sk-ssh-ed25519@openssh.com", "ED25519-SK", NULL),
    PLAIN("sk-ecdsa-sha2-nistp256@openssh.com", "ECDSA-SK", NULL),
    PLAIN("ssh-ed25519" CERTIFICATE, "ED25519-CERT", NULL),
    {"ssh-rsa" CERTIFICATE, "RSA-CERT", NULL, {"rsa-sha2-512" CERTIFICATE, "rsa-sha2-256" CERTIFICATE}},
    PLAIN("ecdsa-sha2-nistp256" CERTIFICATE, "ECDSA-CERT", NULL),
    PLAIN("ecdsa-sha2-nistp384" CERTIFICATE, "ECDSA-CERT", NULL),
    PLAIN("ecdsa-sha2-nistp521" CERTIFICATE, "ECDSA-CERT", NULL),
    PLAIN("sk-ssh-ed25519" CERTIFICATE, "ED25519-SK-CERT", NULL),
    PLAIN("sk-ecdsa-sha2-nistp256" CERTIFICATE, "ECDSA-SK-CERT", NULL),
    {"ssh-dss", "DSA", NULL, {NULL}},
    {NULL, NULL, NULL, {NULL}},
};

void key_fingerprint(const void *blob, size_t length, char text[FINGERPRINT_SIZE]) {
    unsigned char hash[SHA256_DIGEST_LENGTH];
    SHA256(blob, length, hash);
    strcpy(text, "SHA256:");
    sodium_bin2base64(text + 7, FINGERPRINT_SIZE - 7, hash, sizeof hash,
                      sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
}

const char *key_type_shown(const void *blob, size_t length) {
    for (int i = 0; types[i].type; i++)
        if (wire_is_type(blob, length, types[i].type))
            return types[i].shown;
    return "unknown type of";
}

key_algorithms *key_algorithms_of(const void *blob, size_t length) {
    int i = 0;
    while (types[i].type && !wire_is_type(blob, length, types[i].type))
        i++;
    return &types[i].algorithms;
}

void key_signature_type(const char *algorithm, char text[64]) {
    size_t length = strlen(algorithm), suffix = strlen(CERTIFICATE);
    bool certified = length > suffix && strcmp(algorithm + length - suffix, CERTIFICATE) == 0;
    snprintf(text, 64, "%.*s%s", (int)(certified ? length - suffix : length), algorithm,
             certified && strncmp(algorithm, "sk-", 3) == 0 ? "@openssh.com" : "");
}

/* ---- building OpenSSL's key from its numbers ---- */

static EVP_PKEY *from_parameters(const char *algorithm, OSSL_PARAM_BLD *builder) {
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
    if (!context || !parameters || EVP_PKEY_fromdata_init(context) <= 0 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, parameters) <= 0)
        key = NULL;
    OSSL_PARAM_free(parameters);
    EVP_PKEY_CTX_free(context);
    return key;
}

static BIGNUM *read_number(wire_reader *reader) {
    size_t length;
    const unsigned char *bytes = wire_string(reader, &length);
    return BN_bin2bn(bytes, (int)length, NULL);
}

/* n e d iqmp p q. OpenSSL recomputes what else it wants. */
static EVP_PKEY *read_rsa(wire_reader *reader) {
    static const char *const names[] = {OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,
                                        OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
                                        OSSL_PKEY_PARAM_RSA_FACTOR1,   OSSL_PKEY_PARAM_RSA_FACTOR2,
                                        OSSL_PKEY_PARAM_RSA_EXPONENT1, OSSL_PKEY_PARAM_RSA_EXPONENT2};
    BIGNUM *numbers[8] = {NULL};
    for (int i = 0; i < 6; i++)
        numbers[i] = read_number(reader);
    BN_CTX *context = BN_CTX_new();
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    BIGNUM *less_one = BN_new();
    bool ok = !reader->bad && context && builder && less_one;
    for (int i = 0; ok && i < 2; i++) { /* d mod p-1, d mod q-1 */
        numbers[6 + i] = BN_new();
        ok = numbers[6 + i] && BN_sub(less_one, numbers[4 + i], BN_value_one()) && !BN_is_zero(less_one) &&
             BN_mod(numbers[6 + i], numbers[2], less_one, context);
    }
    for (int i = 0; ok && i < 8; i++)
        ok = OSSL_PARAM_BLD_push_BN(builder, names[i], numbers[i]);
    if (ok)
        key = from_parameters("RSA", builder);
    for (int i = 0; i < 8; i++)
        BN_clear_free(numbers[i]);
    BN_clear_free(less_one);
    BN_CTX_free(context);
    OSSL_PARAM_BLD_free(builder);
    return key;
}

static EVP_PKEY *read_ecdsa(wire_reader *reader, const char *group) {
    size_t name_length, point_length;
    wire_string(reader, &name_length);
    const unsigned char *point = wire_string(reader, &point_length);
    BIGNUM *number = read_number(reader);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (!reader->bad && builder && number &&
        OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, point_length) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, number))
        key = from_parameters("EC", builder);
    BN_clear_free(number);
    OSSL_PARAM_BLD_free(builder);
    return key;
}

static EVP_PKEY *read_ed25519(wire_reader *reader) {
    size_t length;
    wire_string(reader, &length);
    const unsigned char *seed_and_public = wire_string(reader, &length);
    if (reader->bad || length != 64)
        return NULL;
    return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed_and_public, 32);
}

/* ---- OpenSSH's format ---- */

static EVP_PKEY *read_private_section(wire_reader *reader) {
    uint32_t check = wire_u32(reader);
    if (check != wire_u32(reader))
        return NULL;
    const unsigned char *start = reader->at;
    size_t left = reader->left, length;
    wire_string(reader, &length);
    if (wire_is_type(start, left, "ssh-rsa"))
        return read_rsa(reader);
    if (wire_is_type(start, left, "ssh-ed25519"))
        return read_ed25519(reader);
    for (int i = 0; types[i].type; i++)
        if (types[i].group && wire_is_type(start, left, types[i].type))
            return read_ecdsa(reader, types[i].group);
    return NULL;
}

static key_file_result parse_openssh(const unsigned char *bytes, size_t length, ssh_key *key) {
    static const char magic[] = "openssh-key-v1";
    if (length < sizeof magic || memcmp(bytes, magic, sizeof magic) != 0)
        return KEY_MALFORMED;
    wire_reader reader = {bytes + sizeof magic, length - sizeof magic, false};
    size_t cipher_length, skipped, blob_length, section_length;
    const unsigned char *cipher = wire_string(&reader, &cipher_length);
    wire_string(&reader, &skipped); /* kdf and its options */
    wire_string(&reader, &skipped);
    if (wire_u32(&reader) != 1)
        return KEY_MALFORMED;
    const unsigned char *blob = wire_string(&reader, &blob_length);
    const unsigned char *section = wire_string(&reader, &section_length);
    if (reader.bad)
        return KEY_MALFORMED;
    buffer_add(&key->blob, blob, blob_length);
    if (cipher_length != 4 || memcmp(cipher, "none", 4) != 0)
        return KEY_ENCRYPTED;
    if (strstr(key_type_shown(blob, blob_length), "-SK"))
        return KEY_TOKEN;
    wire_reader inside = {section, section_length, false};
    key->private = read_private_section(&inside);
    return key->private ? KEY_LOADED : KEY_MALFORMED;
}

static key_file_result load_openssh(const char *text, ssh_key *key) {
    const char *begin = strstr(text, OPENSSH_BEGIN) + strlen(OPENSSH_BEGIN),
               *end = strstr(begin, OPENSSH_END);
    if (!end)
        return KEY_MALFORMED;
    unsigned char bytes[LARGEST_KEY_FILE];
    size_t length;
    key_file_result result = KEY_MALFORMED;
    if (sodium_base642bin(bytes, sizeof bytes, begin, (size_t)(end - begin), "\r\n \t", &length, NULL,
                          sodium_base64_VARIANT_ORIGINAL) == 0)
        result = parse_openssh(bytes, length, key);
    sodium_memzero(bytes, sizeof bytes);
    return result;
}

/* ---- PEM ---- */

static void add_number(ssh_buffer *blob, EVP_PKEY *key, const char *name) {
    BIGNUM *number = NULL;
    unsigned char bytes[2048];
    if (EVP_PKEY_get_bn_param(key, name, &number) && BN_num_bytes(number) <= (int)sizeof bytes)
        buffer_add_mpint(blob, bytes, (size_t)BN_bn2bin(number, bytes));
    BN_free(number);
}

static bool add_ecdsa_blob(ssh_buffer *blob, EVP_PKEY *key) {
    static const char *const openssl_names[] = {"prime256v1", "secp384r1", "secp521r1"};
    static const char *const names[] = {"nistp256", "nistp384", "nistp521"};
    char group[64], type[64];
    unsigned char point[256];
    size_t length;
    if (!EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) ||
        !EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &length))
        return false;
    for (int i = 0; i < 3; i++) {
        if (strcmp(group, openssl_names[i]) != 0)
            continue;
        snprintf(type, sizeof type, "ecdsa-sha2-%s", names[i]);
        buffer_add_string(blob, type, strlen(type));
        buffer_add_string(blob, names[i], strlen(names[i]));
        buffer_add_string(blob, point, length);
        return true;
    }
    return false;
}

/* Makes the SSH form of an OpenSSL key's public half. */
static bool make_blob(ssh_key *key) {
    unsigned char raw[32];
    size_t length = sizeof raw;
    switch (EVP_PKEY_get_base_id(key->private)) {
    case EVP_PKEY_RSA:
        buffer_add_string(&key->blob, "ssh-rsa", 7);
        add_number(&key->blob, key->private, OSSL_PKEY_PARAM_RSA_E);
        add_number(&key->blob, key->private, OSSL_PKEY_PARAM_RSA_N);
        return true;
    case EVP_PKEY_EC:
        return add_ecdsa_blob(&key->blob, key->private);
    case EVP_PKEY_ED25519:
        if (!EVP_PKEY_get_raw_public_key(key->private, raw, &length))
            return false;
        buffer_add_string(&key->blob, "ssh-ed25519", 11);
        buffer_add_string(&key->blob, raw, length);
        return true;
    default:
        return false;
    }
}

static int note_that_a_passphrase_is_wanted(char *buffer, int size, int writing, void *wanted) {
    (void)buffer, (void)size, (void)writing;
    *(bool *)wanted = true;
    return -1;
}

static key_file_result load_pem(const char *text, ssh_key *key) {
    bool encrypted = false;
    BIO *source = BIO_new_mem_buf(text, -1);
    key->private = PEM_read_bio_PrivateKey(source, NULL, note_that_a_passphrase_is_wanted, &encrypted);
    BIO_free(source);
    ERR_clear_error();
    if (!key->private)
        return encrypted ? KEY_ENCRYPTED : KEY_MALFORMED;
    return make_blob(key) ? KEY_LOADED : KEY_MALFORMED;
}

/* ---- files ---- */

static int read_text(const char *path, char *text, size_t size, struct stat *status) {
    size_t length = 0;
    int fd, problem = files_open(path, O_RDONLY, &fd);
    *text = '\0';
    if (problem)
        return problem;
    problem = fstat(fd, status) ? errno : files_read(fd, text, size - 1, &length);
    text[length] = '\0';
    close(fd);
    return problem ? problem : length == size - 1 ? EFBIG : 0;
}

/* As OpenSSH judges it: others' keys are theirs to look after. */
static bool is_exposed(const struct stat *status) {
    return status->st_uid == getuid() && (status->st_mode & 077);
}

/* Takes the public key on a text's first line: "type base64 comment". False when there is none. */
static bool read_public_half(const char *text, ssh_key *key) {
    unsigned char bytes[LARGEST_PUBLIC_KEY];
    public_key_text line;
    size_t size =
        public_key_parse(text, text + strcspn(text, "\n"), &line) ? public_key_decode(&line, bytes) : 0;
    if (size > 0)
        buffer_add(&key->blob, bytes, size);
    return size > 0;
}

bool key_load_public(const char *path, ssh_key *key) {
    char text[LARGEST_KEY_FILE];
    struct stat status;
    key->problem = read_text(path, text, sizeof text, &status);
    return key->problem == 0 && read_public_half(text, key);
}

static void load_public_half(const char *path, ssh_key *key) {
    char name[4096];
    snprintf(name, sizeof name, "%s.pub", path);
    if (key->blob.length > 0)
        return;
    int problem = key->problem; /* of the private half's file */
    key_load_public(name, key);
    key->problem = problem;
}

static key_file_result parse(const char *text, ssh_key *key) {
    if (strstr(text, OPENSSH_BEGIN))
        return load_openssh(text, key);
    return read_public_half(text, key) ? KEY_PUBLIC : load_pem(text, key);
}

key_file_result key_file_load(const char *path, ssh_key *key) {
    char text[LARGEST_KEY_FILE];
    struct stat status;
    memset(key, 0, sizeof *key);
    key->problem = read_text(path, text, sizeof text, &status);
    key_file_result result = key->problem == ENOENT ? KEY_MISSING
                             : key->problem         ? KEY_UNREADABLE
                                                    : parse(text, key);
    sodium_memzero(text, sizeof text);
    if (!key->problem && result != KEY_PUBLIC && is_exposed(&status)) {
        EVP_PKEY_free(key->private);
        key->private = NULL;
        result = KEY_EXPOSED;
    }
    if (result != KEY_LOADED && result != KEY_PUBLIC)
        load_public_half(path, key);
    key->comment = strdup(path);
    if (!key->comment)
        abort();
    return result;
}

void key_free(ssh_key *key) {
    buffer_free(&key->blob);
    free(key->comment);
    EVP_PKEY_free(key->private);
    memset(key, 0, sizeof *key);
}

/* ---- signing ---- */

/* OpenSSL's ECDSA signature (DER) as SSH wants it: two mpints. */
static bool ecdsa_to_wire(const unsigned char *der, size_t length, ssh_buffer *wire) {
    ECDSA_SIG *parsed = d2i_ECDSA_SIG(NULL, &der, (long)length);
    if (!parsed)
        return false;
    const BIGNUM *numbers[2];
    ECDSA_SIG_get0(parsed, &numbers[0], &numbers[1]);
    for (int i = 0; i < 2; i++) {
        unsigned char bytes[128];
        if (BN_num_bytes(numbers[i]) <= (int)sizeof bytes)
            buffer_add_mpint(wire, bytes, (size_t)BN_bn2bin(numbers[i], bytes));
    }
    ECDSA_SIG_free(parsed);
    return true;
}

static const EVP_MD *digest_for(const char *type) {
    if (strcmp(type, "ssh-ed25519") == 0)
        return NULL;
    if (strcmp(type, "ecdsa-sha2-nistp384") == 0)
        return EVP_sha384();
    if (strcmp(type, "ecdsa-sha2-nistp521") == 0 || strcmp(type, "rsa-sha2-512") == 0)
        return EVP_sha512();
    return EVP_sha256();
}

bool key_sign(const ssh_key *key, const char *algorithm, const unsigned char *data, size_t length,
              ssh_buffer *signature) {
    char type[64];
    unsigned char bytes[2048];
    size_t signed_length = sizeof bytes;
    ssh_buffer wire = {NULL, 0, 0};
    key_signature_type(algorithm, type);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok = context && EVP_DigestSignInit(context, NULL, digest_for(type), NULL, key->private) > 0 &&
              EVP_DigestSign(context, bytes, &signed_length, data, length) > 0;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    if (ok && EVP_PKEY_get_base_id(key->private) == EVP_PKEY_EC)
        ok = ecdsa_to_wire(bytes, signed_length, &wire);
    else if (ok)
        buffer_add(&wire, bytes, signed_length);
    if (ok) {
        buffer_add_string(signature, type, strlen(type));
        buffer_add_string(signature, wire.data, wire.length);
    }
    buffer_free(&wire);
    return ok;
}
