/* SPDX-License-Identifier: Apache-2.0
 *
 * What tells of Amazon's accounts and comes from elsewhere: ~/.aws files, the answers of the token
 * service and of metadata servers, commands and times in them. A value that is given out is of
 * printable ASCII, since it goes into header fields; a secret is in no message. */
#include <stdlib.h>
#include <string.h>

#include "aws.h"
#include "bt/base/alloc.h"
#include "fuzz_file.h"
#include "fuzz_targets.h"
#include "s3_xml.h"

#if defined(BT_HAVE_CURL) && defined(BT_HAVE_EXPAT)

static void check_text(const char *text) {
    for (const char *p = text; *p != '\0'; p++) {
        if (*p <= ' ' || *p >= 0x7f) {
            abort();
        }
    }
}

static void parse_json(const char *text, size_t n) {
    aws_credentials got = {0};
    bt_error        problem = BT_ERROR_INIT;
    if (aws_credentials_from_json(&got, text, n, "Token", "a server", &problem) == BT_OK) {
        check_text(got.id);
        check_text(got.secret);
        check_text(got.token);
        if (got.id[0] == '\0' || got.secret[0] == '\0' || got.expires < 0) {
            abort();
        }
    } else if (got.id != NULL || problem.msg[0] == '\0') {
        abort();
    }
    aws_credentials_deinit(&got);
}

static void parse_xml(const char *text, size_t n) {
    bt_str       id = BT_STR_INIT;
    bt_str       code = BT_STR_INIT;
    s3_xml_field fields[] = {
        {"AssumeRoleResponse/AssumeRoleResult/Credentials/AccessKeyId", &id, false},
        {"ErrorResponse/Error/Code", &code, false}};
    if (s3_xml_read(text, n, fields, BT_ARRAY_LEN(fields), NULL) == BT_OK && fields[0].found &&
        fields[1].found) {
        abort(); /* a document has one root */
    }
    bt_str_deinit(&id);
    bt_str_deinit(&code);
}

static void parse_files(const uint8_t *data, size_t size) {
    static const char *const keys[] = {"region", "aws_access_key_id", "s3.addressing_style", NULL};
    aws_profiles             profiles = {0};
    static bool              is_set;
    const char *const        path = fuzz_file("config", data, size); /* the same each time */
    if (!is_set) { /* once: setenv keeps what it ever got */
        (void)setenv("AWS_CONFIG_FILE", path, 1);
        (void)setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
        is_set = true;
    }
    if (aws_profiles_load(&profiles, NULL) == BT_OK) {
        for (size_t i = 0; i < BT_ARRAY_LEN(keys); i++) {
            const char *const value = aws_profile_get(&profiles, "default", keys[i]);
            if (value != NULL && strpbrk(value, "\r\n") != NULL) {
                abort();
            }
        }
        (void)aws_services_get(&profiles, "s3.endpoint_url");
        aws_profiles_deinit(&profiles);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char **words = NULL;
    char  *text = NULL;
    parse_json((const char *)data, size);
    parse_xml((const char *)data, size);
    parse_files(data, size);
    text = bt_strndup((const char *)data, size);
    if (text != NULL) {
        if (aws_split_words(text, &words, NULL) == BT_OK) {
            aws_free_words(words);
        }
        (void)aws_parse_expiration(text);
        bt_free(text);
    }
    return 0;
}

#else

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    (void)data, (void)size;
    return 0;
}

#endif
