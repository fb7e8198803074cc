/* SPDX-License-Identifier: Apache-2.0
 *
 * TF_CONFIG: {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}.
 * A "chief" is rank 0, as for TensorFlow. What does not fit together is refused; keys beside
 * cluster and task belong to other programs and are left alone. */
#include <inttypes.h>
#include <string.h>

#include <jansson.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "bt/fs.h"
#include "comm_internal.h"

#define USUAL                                                                                      \
    "expected {\"cluster\": {\"worker\": [\"host:port\", ...]}, \"task\": {\"type\": \"worker\", " \
    "\"index\": 0}}"

bool comm_address_parse(const char *address, char host[COMM_HOST_MAX], int32_t *port) {
    const char *const colon = strrchr(address, ':');
    int64_t           number = 0;
    if (colon == NULL || !bt_parse_i64(colon + 1, &number) || number < 1 || number > 65535) {
        return false;
    }
    const char *begin = address;
    size_t      n = (size_t)(colon - address);
    if (n >= 2 && begin[0] == '[' && begin[n - 1] == ']') {
        begin++;
        n -= 2;
    } else if (memchr(begin, ':', n) != NULL) {
        return false; /* an IPv6 address without brackets: where does the port begin? */
    }
    if (n == 0 || n >= COMM_HOST_MAX || strcspn(begin, " \t\r\n/@[]") < n) {
        return false;
    }
    memcpy(host, begin, n);
    host[n] = '\0';
    *port = (int32_t)number;
    return true;
}

static bt_status add_address(bt_comm_job *job, const char *kind, const json_t *value,
                             bt_error *err) {
    char              host[COMM_HOST_MAX];
    int32_t           port = 0;
    const char *const text = json_string_value(value);
    if (text == NULL || !comm_address_parse(text, host, &port)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "TF_CONFIG: cluster.%s: '%s' is not an address: expected \"host:port\" or "
                       "\"[IPv6 address]:port\"",
                       kind, text != NULL ? text : "(no string)");
    }
    for (int32_t i = 0; i < job->n_addresses; i++) {
        if (strcmp(job->addresses[i], text) == 0) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "TF_CONFIG: cluster names %s twice: each process needs an address of "
                           "its own",
                           text);
        }
    }
    job->addresses[job->n_addresses] = bt_strdup(text);
    if (job->addresses[job->n_addresses] == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for TF_CONFIG");
    }
    job->n_addresses++;
    return BT_OK;
}

static bt_status add_addresses(bt_comm_job *job, const char *kind, const json_t *list,
                               bt_error *err) {
    size_t  i = 0;
    json_t *value = NULL;
    if (list == NULL) {
        return BT_OK;
    }
    if (!json_is_array(list)) {
        return BT_FAIL(err, BT_E_CONFIG, "TF_CONFIG: cluster.%s is not a list of addresses; " USUAL,
                       kind);
    }
    json_array_foreach(list, i, value) {
        BT_TRY(add_address(job, kind, value, err));
    }
    return BT_OK;
}

/* Kinds of processes that there are and that we are not. */
static bt_status check_cluster(const json_t *cluster, bt_error *err) {
    const char *kind = NULL;
    json_t     *value = NULL;
    if (!json_is_object(cluster)) {
        return BT_FAIL(err, BT_E_CONFIG, "TF_CONFIG has no object \"cluster\"; " USUAL);
    }
    json_object_foreach((json_t *)cluster, kind, value) {
        if (strcmp(kind, "ps") == 0) {
            return BT_FAIL(err, BT_E_UNSUPPORTED,
                           "TF_CONFIG: cluster.ps: parameter servers are not supported; take them "
                           "out of TF_CONFIG, multi_worker_mirrored needs workers only");
        }
        if (strcmp(kind, "worker") != 0 && strcmp(kind, "chief") != 0) {
            return BT_FAIL(err, BT_E_UNSUPPORTED,
                           "TF_CONFIG: cluster.%s: processes of this kind are not supported; "
                           "expected worker, and chief where there is one",
                           kind);
        }
    }
    return BT_OK;
}

static bt_status take_cluster(bt_comm_job *job, const json_t *cluster, bt_error *err) {
    BT_TRY(check_cluster(cluster, err));
    const json_t *const chief = json_object_get(cluster, "chief");
    const json_t *const worker = json_object_get(cluster, "worker");
    const size_t        n = json_array_size(chief) + json_array_size(worker);
    if (json_array_size(chief) > 1) {
        return BT_FAIL(err, BT_E_CONFIG, "TF_CONFIG: cluster.chief has %zu addresses: expected one",
                       json_array_size(chief));
    }
    if (n > BT_COMM_MAX_RANKS) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "TF_CONFIG: cluster names %zu processes: at most %d are supported", n,
                       (int)BT_COMM_MAX_RANKS);
    }
    job->addresses = bt_calloc_array(n + 1, sizeof *job->addresses);
    if (job->addresses == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for TF_CONFIG");
    }
    BT_TRY(add_addresses(job, "chief", chief, err));
    BT_TRY(add_addresses(job, "worker", worker, err));
    if (job->n_addresses == 0) {
        return BT_FAIL(err, BT_E_CONFIG, "TF_CONFIG: cluster names no worker; " USUAL);
    }
    job->size = job->n_addresses;
    return BT_OK;
}

/* A number, or a number in a string: TensorFlow takes both. */
static bool read_index(const json_t *value, int64_t *index) {
    if (json_is_integer(value)) {
        *index = json_integer_value(value);
        return true;
    }
    return json_is_string(value) && bt_parse_i64(json_string_value(value), index);
}

static bt_status take_task(bt_comm_job *job, const json_t *root, bt_error *err) {
    const json_t *const task = json_object_get(root, "task");
    const json_t *const cluster = json_object_get(root, "cluster");
    const char *const   type = json_string_value(json_object_get(task, "type"));
    const int64_t       n_chiefs = (int64_t)json_array_size(json_object_get(cluster, "chief"));
    int64_t             index = -1;
    if (type == NULL || !read_index(json_object_get(task, "index"), &index)) {
        return BT_FAIL(err, BT_E_CONFIG, "TF_CONFIG: task has no type and index; " USUAL);
    }
    const bool is_chief = strcmp(type, "chief") == 0;
    if (!is_chief && strcmp(type, "worker") != 0) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "TF_CONFIG: task.type is '%s': expected worker%s; processes of other kinds "
                       "are not supported",
                       type, n_chiefs > 0 ? " or chief" : "");
    }
    const int64_t n = is_chief ? n_chiefs : job->size - n_chiefs;
    if (index < 0 || index >= n) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "TF_CONFIG: task.index is %" PRId64 ", but cluster.%s names %" PRId64
                       " process%s (0 to %" PRId64 ")",
                       index, type, n, n == 1 ? "" : "es", n - 1);
    }
    job->rank = (int32_t)(is_chief ? index : n_chiefs + index);
    return BT_OK;
}

/* The same on all ranks, and only there. */
static bt_status make_name(bt_comm_job *job, bt_error *err) {
    bt_str    name = BT_STR_INIT;
    bt_status rc = BT_OK;
    for (int32_t i = 0; i < job->n_addresses; i++) {
        BT_CHECK(bt_str_appendf(&name, err, "%s%s", i > 0 ? "," : "TF_CONFIG ", job->addresses[i]));
    }
    job->name = bt_str_take(&name);
done:
    bt_str_deinit(&name);
    return rc;
}

bt_status comm_tf_config_parse(bt_comm_job *job, const char *text, bt_error *err) {
    json_t      *root = NULL;
    json_error_t problem = {0};
    bt_status    rc = BT_OK;
    BT_CHECK(bt_json_load(text, strlen(text), JSON_REJECT_DUPLICATES, &root, &problem, err));
    if (root == NULL || !json_is_object(root)) {
        rc = BT_FAIL(err, BT_E_CONFIG, "TF_CONFIG is not a JSON object%s%s; " USUAL,
                     root == NULL ? ": " : "", root == NULL ? problem.text : "");
        goto done;
    }
    BT_CHECK(take_cluster(job, json_object_get(root, "cluster"), err));
    BT_CHECK(take_task(job, root, err));
    BT_CHECK(make_name(job, err));
    job->launch = BT_COMM_TF_CONFIG;
done:
    json_decref(root);
    return rc;
}
