/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens for Google Cloud Storage, from the usual places in the usual order:
 * GOOGLE_APPLICATION_CREDENTIALS, gcloud's application default credentials, the metadata server of
 * a machine in the cloud, and none at all (public buckets). One token for the process, renewed five
 * minutes before it runs out, or when it was refused. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/time.h"
#include "fs_internal.h"
#include "gcs.h"
#include "gcs_account.h"

static const char *const scope = "https://www.googleapis.com/auth/devstorage.read_write";
static const double      patience_seconds = 10.0; /* with a metadata server that must be there */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct {
    bool         is_looked_for;
    gcs_account *account;
    bool         is_machine;
    gcs_token    token;
} the; /* under lock */

/* gcloud auth application-default login */
static bt_status gcloud_file(char **path, bt_error *err) {
    const char *const config = getenv("CLOUDSDK_CONFIG");
    const char *const home = getenv("HOME");
    bt_str            s = BT_STR_INIT;
    bt_status         rc = BT_OK;
    *path = NULL;
    if (config != NULL && config[0] != '\0') {
        rc = bt_str_appendf(&s, err, "%s/application_default_credentials.json", config);
    } else if (home != NULL && home[0] != '\0') {
        rc =
            bt_str_appendf(&s, err, "%s/.config/gcloud/application_default_credentials.json", home);
    }
    if (rc == BT_OK) {
        *path = bt_str_take(&s);
    }
    bt_str_deinit(&s);
    return rc;
}

/* Where the metadata server is named, or the machine is Google's, it is worth waiting for (it comes
 * up beside a container on GKE), and its silence is worth a warning. */
static bool must_have_metadata(void) {
    enum { NAME_MAX_BYTES = 256 };
    const char *const host = getenv("GCE_METADATA_HOST");
    char             *name = NULL;
    size_t            n = 0;
    if (host != NULL && host[0] != '\0') {
        return true;
    }
    const bool google = bt_fs_read_all("/sys/class/dmi/id/product_name", NAME_MAX_BYTES, &name, &n,
                                       NULL) == BT_OK &&
                        bt_str_starts_with(name, "Google");
    bt_free(name);
    return google;
}

static void look_for_machine(void) {
    bt_error   problem = BT_ERROR_INIT;
    const bool must = must_have_metadata();
    the.is_machine =
        gcs_machine_ask(must ? patience_seconds : 0.001, &the.token, &problem) == BT_OK;
    if (the.is_machine) {
        bt_log(BT_LOG_DEBUG, "gs://: credentials of this machine's account");
    } else if (must) {
        bt_log(BT_LOG_WARNING, "gs://: no credentials of this machine's account: %s", problem.msg);
    }
}

static bt_status look_for_account(bt_error *err) {
    const char *const named = getenv("GOOGLE_APPLICATION_CREDENTIALS");
    const char *const skip = getenv("NO_GCE_CHECK");
    char             *path = NULL;
    bt_status         rc = BT_OK;
    if (named != NULL && named[0] != '\0') {
        rc = gcs_account_load(named, &the.account, err);
        return rc == BT_OK ? rc : bt_error_prefix(err, "GOOGLE_APPLICATION_CREDENTIALS");
    }
    BT_TRY(gcloud_file(&path, err));
    if (path != NULL && bt_fs_exists(path)) {
        rc = gcs_account_load(path, &the.account, err);
        bt_free(path);
        return rc;
    }
    bt_free(path);
    if (!bt_str_equal_nocase(skip, "true")) {
        look_for_machine();
    }
    if (!the.is_machine) {
        bt_log(BT_LOG_INFO,
               "gs://: no credentials found (GOOGLE_APPLICATION_CREDENTIALS, gcloud's file, the "
               "metadata server): only public buckets can be read");
    }
    return rc;
}

static bt_status renew(bt_error *err) {
    if (the.account != NULL) {
        return gcs_account_ask(the.account, scope, &the.token, err);
    }
    return the.is_machine ? gcs_machine_ask(0, &the.token, err) : BT_OK;
}

static bt_status append_token(void *context, bool refused, bt_str *out, bt_error *err) {
    bt_status rc = BT_OK;
    (void)context;
    pthread_mutex_lock(&lock);
    if (!the.is_looked_for) {
        rc = look_for_account(err);
        the.is_looked_for = rc == BT_OK;
    }
    if (rc == BT_OK &&
        (refused || the.token.text.len == 0 || bt_time_unix() >= the.token.expires)) {
        rc = renew(err);
    }
    if (rc == BT_OK) {
        rc = bt_str_append(out, bt_str_text(&the.token.text), err);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

const http_auth *gcs_auth(void) {
    static const http_auth auth = {append_token, NULL};
    const char *const      emulator = getenv("STORAGE_EMULATOR_HOST");
    return emulator != NULL && emulator[0] != '\0' ? NULL : &auth;
}
