/* SPDX-License-Identifier: Apache-2.0
 *
 * gcs_account, private: the kinds of Google's credentials and how each becomes an access token. No
 * secret is ever put into a message. */
#ifndef BT_FS_GCS_ACCOUNT_H
#define BT_FS_GCS_ACCOUNT_H

#include <jansson.h>

#include "remote.h"

enum { GCS_MAX_TOKEN_ANSWER = 1 << 20 };

typedef enum gcs_account_kind {
    GCS_ACCOUNT_SERVICE,  /* signs for itself */
    GCS_ACCOUNT_USER,     /* has a token that gives tokens */
    GCS_ACCOUNT_EXTERNAL, /* changes another provider's token for Google's */
    GCS_ACCOUNT_PROXY     /* only impersonates; source is who does */
} gcs_account_kind;

typedef struct gcs_account {
    gcs_account_kind kind;
    char            *file; /* where it came from */
    char            *token_url;
    char            *identity; /* client_email, client_id or audience */
    char            *secret;   /* private_key or client_secret */
    char            *more;     /* private_key_id or refresh_token */
    /* external accounts */
    bool   has_basic; /* the client is named in a header of its own */
    char  *subject_type;
    char  *user_project;   /* NULL: none */
    char  *subject_file;   /* one of the two */
    char  *subject_url;    /* asked with: */
    char **subject_fields; /* "Name: value", NULL at the end */
    char  *subject_key;    /* of a JSON object; NULL: the text itself */
    /* the service account that it acts as; NULL: none */
    char               *acts_as; /* URL */
    char              **delegates;
    int64_t             lifetime;
    struct gcs_account *source;
} gcs_account;

typedef struct gcs_token {
    bt_str text;
    double expires; /* bt_time_unix(), a while before it does */
} gcs_token;

BT_MUST_USE bt_status gcs_account_load(const char *path, gcs_account **out, bt_error *err);
BT_MUST_USE bt_status gcs_account_ask(const gcs_account *account, const char *scope, gcs_token *out,
                                      bt_error *err);
/* The account of this machine (Compute Engine, GKE's workload identity). */
BT_MUST_USE bt_status gcs_machine_ask(double limit_seconds, gcs_token *out, bt_error *err);

/* What the kinds share. */

/* Fills a member from a key; fallback NULL: it must be there. */
BT_MUST_USE bt_status gcs_copy_field(const json_t *root, const char *key, const char *fallback,
                                     const char *path, char **out, bt_error *err);
/* An answer with an access token; refusals are told without what may be secret in them. */
BT_MUST_USE bt_status gcs_ask_token(const http_request *request, gcs_token *out, bt_error *err);
BT_MUST_USE bt_status gcs_post_form(const gcs_account *account, const bt_str *form, gcs_token *out,
                                    bt_error *err);
BT_MUST_USE bt_status gcs_append_form(bt_str *form, const char *name, const char *value,
                                      bt_error *err);
void                  gcs_wipe(bt_str *text);

/* gcs_external.c */
BT_MUST_USE bt_status gcs_read_external(const json_t *root, const char *path, gcs_account *out,
                                        bt_error *err);
BT_MUST_USE bt_status gcs_read_impersonation(const json_t *root, const char *path, gcs_account *out,
                                             bt_error *err);
BT_MUST_USE bt_status gcs_external_ask(const gcs_account *account, const char *scope,
                                       gcs_token *out, bt_error *err);
BT_MUST_USE bt_status gcs_impersonate(const gcs_account *account, const bt_str *token,
                                      const char *scope, gcs_token *out, bt_error *err);

#endif
