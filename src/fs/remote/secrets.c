/* SPDX-License-Identifier: Apache-2.0
 *
 * Signing and digests over OpenSSL's EVP interface. */
#include "secrets.h"
#include "bt/base/alloc.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "http.h"

void secrets_wipe(void *bytes, size_t n) {
    volatile char *const p = bytes;
    for (size_t i = 0; i < n; i++) {
        p[i] = 0;
    }
}

void secrets_wipe_text(bt_str *text) {
    if (text->data != NULL) {
        secrets_wipe(text->data, text->len);
    }
    bt_str_deinit(text);
}

#ifdef BT_HAVE_OPENSSL

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

const char *secrets_library(void) {
    return OpenSSL_version(OPENSSL_VERSION);
}

/* Before calls of which one may fail: OpenSSL says "0" of everything, and what it was is in its
 * list of errors; where there was no memory even for that, errno knows. */
static void begin_calls(void) {
    ERR_clear_error();
    errno = 0;
}

static bool lacked_memory(void) {
    /* that its own beginning failed is remembered for ever, without a reason: it only takes memory
     */
    bool lacked = errno == ENOMEM || OPENSSL_init_crypto(0, NULL) != 1;
    for (unsigned long code = ERR_get_error(); code != 0; code = ERR_get_error()) {
        lacked = lacked || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
    }
    return lacked;
}

static bt_status fail_call(const char *what, bt_error *err) {
    const char *const reason = ERR_reason_error_string(ERR_peek_last_error());
    return lacked_memory() ? BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot %s", what)
                           : BT_FAIL(err, BT_E_UNSUPPORTED,
                                     "OpenSSL cannot %s: %s (perhaps its configuration "
                                     "forbids it)",
                                     what, reason != NULL ? reason : "it says no reason");
}

struct bt_fs_hasher {
    EVP_MD_CTX *context;
};

static const EVP_MD *digest_type(bt_fs_hash kind) {
    switch (kind) {
    case BT_FS_SHA1:
        return EVP_sha1();
    case BT_FS_SHA256:
        return EVP_sha256();
    case BT_FS_MD5:
        return EVP_md5();
    }
    return NULL;
}

bt_status secrets_digest(bt_fs_hash kind, const void *bytes, size_t n, uint8_t *out,
                         bt_error *err) {
    begin_calls();
    return EVP_Digest(bytes, n, out, NULL, digest_type(kind), NULL) == 1
               ? BT_OK
               : fail_call("make a digest", err);
}

bt_status secrets_hmac_sha256(const void *key, size_t n_key, const void *bytes, size_t n,
                              uint8_t out[32], bt_error *err) {
    uint8_t digest[32];
    begin_calls();
    if (n_key > INT_MAX || HMAC(EVP_sha256(), key, (int)n_key, bytes, n, digest, NULL) == NULL) {
        return fail_call("sign a request", err);
    }
    memcpy(out, digest, sizeof digest);
    secrets_wipe(digest, sizeof digest);
    return BT_OK;
}

bt_status bt_fs_hasher_create(bt_fs_hash kind, bt_fs_hasher **out, bt_error *err) {
    bt_fs_hasher *const hasher = bt_calloc_array(1, sizeof *hasher);
    if (hasher == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot begin a digest");
    }
    begin_calls();
    hasher->context = EVP_MD_CTX_new();
    if (hasher->context == NULL ||
        EVP_DigestInit_ex(hasher->context, digest_type(kind), NULL) != 1) {
        const bt_status rc = fail_call("begin a digest", err);
        bt_fs_hasher_free(hasher);
        return rc;
    }
    *out = hasher;
    return BT_OK;
}

bt_status bt_fs_hasher_add(bt_fs_hasher *hasher, const void *bytes, size_t n, bt_error *err) {
    begin_calls();
    return EVP_DigestUpdate(hasher->context, bytes, n) == 1 ? BT_OK
                                                            : fail_call("go on with a digest", err);
}

bt_status bt_fs_hasher_finish(bt_fs_hasher *hasher, char hex[BT_FS_HEX_MAX], bt_error *err) {
    uint8_t      digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    begin_calls();
    if (EVP_DigestFinal_ex(hasher->context, digest, &n) != 1 || 2 * n >= BT_FS_HEX_MAX) {
        return fail_call("finish a digest", err);
    }
    for (unsigned int i = 0; i < n; i++) {
        (void)snprintf(hex + (size_t)2 * i, 3, "%02x", digest[i]);
    }
    return BT_OK;
}

void bt_fs_hasher_free(bt_fs_hasher *hasher) {
    if (hasher != NULL) {
        EVP_MD_CTX_free(hasher->context);
        bt_free(hasher);
    }
}

static int no_password(char *buffer, int size, int writing, void *context) {
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1; /* never ask on the terminal */
}

static bt_status append_signature(bt_str *out, const void *text, size_t n, const char *key_pem,
                                  bt_error *err) {
    uint8_t signature[1024];
    size_t  n_signature = sizeof signature;
    begin_calls();
    BIO *const      bio = BIO_new_mem_buf(key_pem, -1);
    EVP_PKEY *const key =
        bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    EVP_MD_CTX *const context = EVP_MD_CTX_new();
    const bool        ok = key != NULL && context != NULL && EVP_PKEY_is_a(key, "RSA") == 1 &&
                    EVP_PKEY_get_size(key) <= (int)sizeof signature &&
                    EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                    EVP_DigestSign(context, signature, &n_signature, text, n) == 1;
    const bool is_memory = !ok && lacked_memory();
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    (void)BIO_free(bio);
    return ok          ? http_append_base64(out, signature, n_signature, true, err)
           : is_memory ? BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot sign with private_key")
                       : BT_FAIL(err, BT_E_CONFIG, "private_key is not an RSA key that can sign");
}

bt_status secrets_append_jwt(bt_str *out, const char *key_id, const char *claims, const char *key,
                             bt_error *err) {
    bt_status  rc = BT_OK;
    bt_str     header = BT_STR_INIT;
    bt_str     token = BT_STR_INIT;
    const bool plain = strspn(key_id, "0123456789abcdefABCDEF") == strlen(key_id);
    BT_CHECK(bt_str_appendf(&header, err, "{\"alg\":\"RS256\",\"typ\":\"JWT\"%s%s%s}",
                            key_id[0] != '\0' && plain ? ",\"kid\":\"" : "", plain ? key_id : "",
                            key_id[0] != '\0' && plain ? "\"" : ""));
    BT_CHECK(http_append_base64(&token, header.data, header.len, true, err));
    BT_CHECK(bt_str_append_char(&token, '.', err));
    BT_CHECK(http_append_base64(&token, claims, strlen(claims), true, err));
    BT_CHECK(bt_str_append_n(out, token.data, token.len, err));
    BT_CHECK(bt_str_append_char(out, '.', err));
    BT_CHECK(append_signature(out, token.data, token.len, key, err));
done:
    bt_str_deinit(&header);
    bt_str_deinit(&token);
    return rc;
}

#else

static bt_status fail_not_built(const char *what, bt_error *err) {
    return BT_FAIL(err, BT_E_UNSUPPORTED,
                   "this build has no OpenSSL, which %s (--version says what is built in)", what);
}

const char *secrets_library(void) {
    return NULL;
}

bt_status bt_fs_hasher_create(bt_fs_hash kind, bt_fs_hasher **out, bt_error *err) {
    (void)kind, (void)out;
    return fail_not_built("makes the SHA digests of modules and their names", err);
}

bt_status bt_fs_hasher_add(bt_fs_hasher *hasher, const void *bytes, size_t n, bt_error *err) {
    (void)hasher, (void)bytes, (void)n;
    return fail_not_built("makes digests", err);
}

bt_status bt_fs_hasher_finish(bt_fs_hasher *hasher, char hex[BT_FS_HEX_MAX], bt_error *err) {
    (void)hasher, (void)hex;
    return fail_not_built("makes digests", err);
}

void bt_fs_hasher_free(bt_fs_hasher *hasher) {
    (void)hasher;
}

bt_status secrets_digest(bt_fs_hash kind, const void *bytes, size_t n, uint8_t *out,
                         bt_error *err) {
    (void)kind, (void)bytes, (void)n, (void)out;
    return fail_not_built("makes the digests that stores ask for", err);
}

bt_status secrets_hmac_sha256(const void *key, size_t n_key, const void *bytes, size_t n,
                              uint8_t out[32], bt_error *err) {
    (void)key, (void)n_key, (void)bytes, (void)n, (void)out;
    return fail_not_built("signs the requests of s3:// with credentials", err);
}

bt_status secrets_append_jwt(bt_str *out, const char *key_id, const char *claims, const char *key,
                             bt_error *err) {
    (void)out, (void)key_id, (void)claims, (void)key;
    return fail_not_built("signs for a service account", err);
}

#endif
