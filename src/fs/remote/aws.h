/* SPDX-License-Identifier: Apache-2.0
 *
 * aws, private to the fs room: accounts of Amazon's kind and the signatures (SigV4) made with them.
 * Knows nothing of objects: s3.h does. No secret is ever put into a message. */
#ifndef BT_FS_AWS_H
#define BT_FS_AWS_H

#include "bt/fs.h"
#include "http.h"

/* Credentials (aws_credentials.c). */

typedef struct aws_credentials {
    char  *id;      /* NULL: none were found (requests are not signed) */
    char  *secret;  /* all owned */
    char  *token;   /* of a session; "" for none */
    double expires; /* aws_time(); 0: never */
} aws_credentials;

void aws_credentials_deinit(aws_credentials *credentials); /* wipes */
/* Copies; the texts must be of printable ASCII (they go into header fields): else BT_E_CONFIG that
 * names "from". token may be NULL. */
BT_MUST_USE bt_status aws_credentials_set(aws_credentials *out, const char *id, const char *secret,
                                          const char *token, const char *from, bt_error *err);
/* From JSON; key_of_token: "Token" or "SessionToken". "Expiration" may be missing. */
BT_MUST_USE bt_status aws_credentials_from_json(aws_credentials *out, const char *text, size_t n,
                                                const char *key_of_token, const char *from,
                                                bt_error *err);
/* Those of this process, a copy; found once, renewed before they run out. refused (or NULL): these
 * were, because they ran out or were replaced. Safe to call from several threads. */
BT_MUST_USE bt_status aws_credentials_get(const aws_credentials *refused, aws_credentials *out,
                                          bt_error *err);
/* RFC 3339, an offset too; 0 when it is none. */
double aws_parse_expiration(const char *text);

/* Settings. */

/* The text of an environment variable; NULL when it is unset or empty. */
const char *aws_env(const char *name);
/* AWS_REGION, AWS_DEFAULT_REGION, the profile's, else us-east-1. Borrowed for ever. */
const char *aws_region(void);
/* Of "s3" or "sts", as the variables and the profile say; NULL: the usual one. Borrowed for ever.
 */
const char *aws_endpoint(const char *service);
/* addressing_style of the profile's "s3" block; NULL: not said. */
const char *aws_addressing(void);
/* BT_E_CONFIG unless it is https://, or this machine itself. */
BT_MUST_USE bt_status aws_check_endpoint(const char *url, bt_error *err);
bool                  aws_is_region(const char *text); /* it becomes a part of a host's name */
/* Now, as the store's clock has it. */
double aws_time(void);
void   aws_set_time(double now);

/* ~/.aws (aws_profile.c). */

typedef struct aws_ini_entry {
    char *section;
    char *
        key; /* lower case; "s3.addressing_style" for an indented line; "" for the section itself */
    char *value;
} aws_ini_entry;

typedef struct aws_ini {
    char          *path; /* NULL: there is no such file */
    aws_ini_entry *entries;
    size_t         n;
    size_t         cap;
} aws_ini;

typedef struct aws_profiles {
    aws_ini config;
    aws_ini credentials;
    char   *name;     /* the profile to use */
    bool    is_named; /* by a variable */
} aws_profiles;

BT_MUST_USE bt_status aws_profiles_load(aws_profiles *out, bt_error *err);
void                  aws_profiles_deinit(aws_profiles *profiles);
/* The value of a key (NULL: of anything at all) of a profile; NULL: none. Borrowed. Both files, the
 * credentials file first; or one of them. */
const char *aws_profile_get(const aws_profiles *profiles, const char *profile, const char *key);
const char *aws_config_get(const aws_profiles *profiles, const char *profile, const char *key);
const char *aws_credentials_file_get(const aws_profiles *profiles, const char *profile,
                                     const char *key);
/* Of the "[services X]" that the profile names: "s3.endpoint_url". */
const char *aws_services_get(const aws_profiles *profiles, const char *key);

/* Where credentials come from. */

typedef struct aws_role {
    const char *arn;
    const char *session;     /* NULL: one is made up */
    const char *external_id; /* or NULL */
    const char *duration;    /* or NULL */
} aws_role;

/* aws_sts.c */
BT_MUST_USE bt_status aws_assume_role(const aws_role *role, const aws_credentials *source,
                                      aws_credentials *out, bt_error *err);
BT_MUST_USE bt_status aws_assume_web_role(const aws_role *role, const char *token_file,
                                          aws_credentials *out, bt_error *err);
/* aws_machine.c. *out stays empty where AWS_CONTAINER_CREDENTIALS_* say nothing, or where there is
 * no metadata server. */
BT_MUST_USE bt_status aws_container_credentials(aws_credentials *out, bt_error *err);
BT_MUST_USE bt_status aws_machine_credentials(aws_credentials *out, bt_error *err);
/* "http://169.254.170.2/..." or the URL that was said; BT_E_CONFIG for a host that no SDK asks. */
BT_MUST_USE bt_status aws_container_url(bt_str *out, bt_error *err);
/* aws_process.c: runs the command (no shell), whose output is JSON. */
BT_MUST_USE bt_status aws_process_credentials(const char *command, const char *profile,
                                              aws_credentials *out, bt_error *err);
/* Splits as a shell does, quotes and backslashes, no expansion. NULL-terminated; caller frees with
 * aws_free_words. BT_E_CONFIG for an open quote. */
BT_MUST_USE bt_status aws_split_words(const char *text, char ***words, bt_error *err);
void                  aws_free_words(char **words);

/* Signatures. */

enum { AWS_MAX_FIELDS = 16, AWS_SHA256_HEX = 65 };

/* Header fields as they are sent, "Name: value". */
typedef struct aws_fields {
    char  *lines[AWS_MAX_FIELDS + 1]; /* owned; NULL after the last */
    size_t n;
} aws_fields;

void                  aws_fields_clear(aws_fields *fields); /* wipes: a token may be among them */
BT_MUST_USE bt_status aws_fields_add(aws_fields *fields, bt_error *err, const char *fmt, ...)
    BT_PRINTF(3, 4);

typedef struct aws_request {
    const char *method;
    const char *url; /* encoded as it is sent; its path is signed as it stands */
    const char *region;
    const char *service;              /* "s3", "sts" */
    char        hash[AWS_SHA256_HEX]; /* of the body */
    double      now;                  /* seconds since 1970 */
} aws_request;

BT_MUST_USE bt_status aws_hash_body(const void *bytes, size_t n, char hash[AWS_SHA256_HEX],
                                    bt_error *err);
/* All of *fields are signed; Host, X-Amz-Date, X-Amz-Content-Sha256, the token and Authorization
 * are added. */
BT_MUST_USE bt_status aws_sign(const aws_request *request, const aws_credentials *credentials,
                               aws_fields *fields, bt_error *err);

#endif
