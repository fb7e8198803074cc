/* SPDX-License-Identifier: Apache-2.0
 *
 * Several processes that train together (multi_worker_mirrored, docs/scaling.md). All of them make
 * the same run: each reads every batch and works on its share (exec), and what decides the course
 * of the run is the same everywhere. One, rank 0, restores, writes and tells; the others get their
 * state from it and touch no file of model_dir. They meet before each step and after whatever only
 * rank 0 did: there a request to stop, to any of them, becomes everybody's. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/crc32c.h"
#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "ranks.h"
#include "strategy.h"

static const char strategy_key[] = "runtime.distribution_strategy";

bt_status ranks_check_alone(const bt_train_args *args, const char *what, bt_error *err) {
    const bt_comm_job *const job = args->job;
    if (job == NULL || job->size <= 1) {
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_CONFIG,
                   "%s runs in one process, and %s started %" PRId32 " (this is rank %" PRId32
                   "): start it without %s",
                   what, bt_comm_launch_name(job->launch), job->size, job->rank,
                   bt_comm_launch_name(job->launch));
}

/* Processes that do not know of each other would write into one folder. */
bt_status ranks_check_job(const bt_train_args *args, bt_error *err) {
    const bt_comm_job *const job = args->job;
    const bool               is_together = strategy_is_together(args->conf);
    const char              *strategy = "";
    char                     what[64];
    if (job == NULL || job->size <= 1) {
        if (is_together && bt_conf_mode_trains(args->mode)) {
            bt_log(BT_LOG_INFO,
                   "%s: %s with one process (no mpirun, srun or TF_CONFIG of several): one replica",
                   strategy_key, STRATEGY_TOGETHER);
        }
        return BT_OK;
    }
    if (!is_together) {
        BT_TRY(bt_conf_get_str(args->conf, strategy_key, &strategy, err));
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s is %s, and %s started %" PRId32 " processes (this is rank %" PRId32
                       "), which would all write into --model_dir %s: set it to %s, or start one "
                       "process",
                       strategy_key, strategy, bt_comm_launch_name(job->launch), job->size,
                       job->rank, args->model_dir, STRATEGY_TOGETHER);
    }
    if (!bt_conf_mode_trains(args->mode) || args->mode == BT_CONF_MODE_CONTINUOUS_TRAIN_AND_EVAL) {
        (void)snprintf(what, sizeof what, "--mode=%s", bt_conf_mode_name(args->mode));
        return ranks_check_alone(args, what, err);
    }
    return BT_OK;
}

enum { MAX_FACTS_BYTES = 60000, MAX_DEPTH = 32, MAX_NAME = 512 };

/* What may well differ from host to host. */
static const char *const local_keys[] = {"runtime.threads", "runtime.pin", "runtime.blas_library",
                                         "runtime.task_index"};

static bool is_local(const char *name) {
    for (size_t i = 0; i < BT_ARRAY_LEN(local_keys); i++) {
        if (bt_str_equal(local_keys[i], name)) {
            return true;
        }
    }
    return false;
}

/* A line of params.yaml, "  key: value" or "  - item", as "section.key=value". ends: of the name
 * down to each depth. */
static bt_status append_line(bt_str *out, const char *line, size_t n, char name[MAX_NAME],
                             size_t ends[MAX_DEPTH], bt_error *err) {
    const size_t      indent = strspn(line, " ");
    const size_t      depth = indent / 2 < MAX_DEPTH - 1 ? indent / 2 : MAX_DEPTH - 1;
    const char *const text = line + indent;
    const size_t      n_text = n > indent ? n - indent : 0;
    const size_t      n_key = strcspn(text, ":\n");
    const bool        is_key = n_key < n_text && text[0] != '-' && text[0] != '\'';
    size_t            at = depth > 0 ? ends[depth - 1] : 0;
    if (is_key) {
        at += (size_t)snprintf(name + at, MAX_NAME - at, "%s%.*s", at > 0 ? "." : "", (int)n_key,
                               text);
        at = at < MAX_NAME ? at : MAX_NAME - 1;
        for (size_t d = depth; d < MAX_DEPTH; d++) {
            ends[d] = at;
        }
    } else {
        at = ends[depth];
    }
    name[at] = '\0';
    if (is_local(name)) {
        return BT_OK;
    }
    const size_t skipped = is_key ? n_key + 1 + strspn(text + n_key + 1, " ") : 0;
    return bt_str_appendf(out, err, "%s=%.*s\n", name,
                          (int)(n_text > skipped ? n_text - skipped : 0), text + skipped);
}

/* The configuration; what is too long to be named is represented by its checksum. */
static bt_status config_facts(const bt_train_args *args, bt_str *out, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    yaml = BT_STR_INIT;
    char      name[MAX_NAME] = "";
    size_t    ends[MAX_DEPTH] = {0};
    BT_CHECK(bt_conf_dump_yaml(args->conf, &yaml, err));
    BT_CHECK(bt_str_appendf(out, err, "--experiment=%s\n--mode=%s\n--model_dir=%s\n",
                            bt_conf_experiment_name(args->conf), bt_conf_mode_name(args->mode),
                            args->model_dir));
    for (const char *line = bt_str_text(&yaml); *line != '\0';) {
        const size_t n = strcspn(line, "\n");
        if (out->len + n + MAX_NAME > MAX_FACTS_BYTES) {
            BT_CHECK(bt_str_appendf(out, err, "the rest of the configuration=%08" PRIx32 "\n",
                                    bt_crc32c(0, line, strlen(line))));
            break;
        }
        BT_CHECK(append_line(out, line, n, name, ends, err));
        line += n + (line[n] == '\n');
    }
done:
    bt_str_deinit(&yaml);
    return rc;
}

static bt_status data_facts(const char *section, const bt_data_stream *data, bt_str *out,
                            bt_error *err) {
    if (data == NULL) {
        return BT_OK;
    }
    return bt_str_appendf(out, err,
                          "rows of %s=%" PRId64 "\nchecksum of the rows of %s=%010" PRIx64 "\n",
                          section, bt_data_n_rows(data), section, bt_data_content(data));
}

/* What is known once the data are open. Another instruction set rounds otherwise, and the weights
 * of the ranks would drift apart. */
static bt_status run_facts(const ranks_facts *facts, bt_str *out, bt_error *err) {
    const bt_task_labels *const l = facts->labels;
    uint32_t                    labels = 0;
    for (int64_t i = 0; l->names != NULL && i < l->n; i++) {
        labels = bt_crc32c(labels, l->names[i], strlen(l->names[i]) + 1);
    }
    BT_TRY(data_facts("task.train_data", facts->train_data, out, err));
    BT_TRY(data_facts("task.validation_data", facts->validation_data, out, err));
    return bt_str_appendf(out, err,
                          "checksum of the vocabulary=%010" PRIx64
                          "\nchecksum of the names of the classes=%08" PRIx32
                          "\ntrainer.train_steps=%" PRId64 "\nkernels (runtime.isa)=%s\n",
                          facts->vocabulary, labels, facts->train_steps, facts->isa);
}

bt_status ranks_open(const bt_train_args *args, bt_comm **out, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    facts = BT_STR_INIT;
    *out = NULL;
    if (args->job == NULL || args->job->size <= 1) {
        return BT_OK;
    }
    BT_CHECK(config_facts(args, &facts, err));
    const bt_comm_config config = {.version = BT_VERSION, .facts = bt_str_text(&facts)};
    BT_CHECK(bt_comm_open(args->job, &config, out, err));
    bt_log(BT_LOG_INFO, "%s: %" PRId32 " processes, found by %s; rank 0 (host %s) writes",
           STRATEGY_TOGETHER, bt_comm_size(*out), bt_comm_launch_name(args->job->launch),
           bt_comm_host(*out, 0));
done:
    bt_str_deinit(&facts);
    return rc;
}

static int32_t count_here(const bt_comm *comm, int32_t end) {
    const char *const host = bt_comm_host(comm, bt_comm_rank(comm));
    int32_t           n = 0;
    for (int32_t rank = 0; rank < end; rank++) {
        n += bt_str_equal(bt_comm_host(comm, rank), host);
    }
    return n;
}

int32_t ranks_on_this_host(const bt_comm *comm) {
    return count_here(comm, bt_comm_size(comm));
}

int32_t ranks_before_on_this_host(const bt_comm *comm) {
    return count_here(comm, bt_comm_rank(comm));
}

void ranks_fail(ranks *r, bt_status rc, const bt_error *err) {
    const bool is_agreed = rc == BT_E_INTERRUPTED && r->has_parted;
    if (rc != BT_OK && !is_agreed) {
        bt_comm_fail(r->comm, err);
    }
}

bt_status ranks_close(ranks *r, bt_status rc, bt_error *err) {
    const bt_status closed = bt_comm_close(r->comm, rc == BT_OK ? err : NULL);
    r->comm = NULL;
    return rc == BT_OK ? closed : rc;
}

bt_status ranks_meet(ranks *r, bt_status rc, bt_error *err) {
    enum { STOP, FAILED, N };
    const bool has_failed = rc != BT_OK && rc != BT_E_INTERRUPTED;
    int64_t    numbers[N] = {rc == BT_E_INTERRUPTED ? bt_stop_signal() : 0, has_failed};
    bt_error   other = BT_ERROR_INIT;
    if (r->comm == NULL || r->has_parted) {
        return rc;
    }
    const bt_status met = bt_comm_combine_i64(r->comm, BT_COMM_MAX, numbers, N, &other);
    r->has_parted = has_failed || met != BT_OK || numbers[FAILED] != 0 || numbers[STOP] != 0;
    if (has_failed) {
        return rc; /* what this rank has to say itself */
    }
    if (met != BT_OK) {
        return BT_FAIL(err, met, "%s", other.msg);
    }
    if (numbers[FAILED] != 0) { /* its sentence is on the way */
        return bt_comm_barrier(r->comm, "the end of a rank that failed", 0, err);
    }
    if (numbers[STOP] == 0) {
        return BT_OK;
    }
    bt_stop_tell((int)numbers[STOP]);
    return bt_stop_check(err);
}

bt_status ranks_check_facts(ranks *r, const ranks_facts *facts, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    text = BT_STR_INIT;
    if (r->comm == NULL) {
        return BT_OK;
    }
    BT_CHECK(run_facts(facts, &text, err));
    BT_CHECK(bt_comm_agree(r->comm, bt_str_text(&text), err));
done:
    bt_str_deinit(&text);
    return rc;
}

bt_status ranks_tell(ranks *r, void *bytes, size_t n_bytes, bt_error *err) {
    return bt_comm_broadcast(r->comm, 0, bytes, n_bytes, err);
}
