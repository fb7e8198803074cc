/* SPDX-License-Identifier: Apache-2.0
 *
 * How the job was started, from the environment: mpirun before srun, since mpirun's daemons may be
 * started by srun; TF_CONFIG beside either must say the same. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "comm_internal.h"

const char *bt_comm_launch_name(bt_comm_launch launch) {
    switch (launch) {
    case BT_COMM_ALONE:
        return "alone";
    case BT_COMM_TF_CONFIG:
        return "TF_CONFIG";
    case BT_COMM_OPENMPI:
        return "mpirun";
    case BT_COMM_SLURM:
        return "srun";
    }
    return "?";
}

void bt_comm_job_deinit(bt_comm_job *job) {
    for (int32_t i = 0; i < job->n_addresses; i++) {
        bt_free(job->addresses[i]);
    }
    bt_free(job->addresses);
    bt_free(job->name);
    *job = (bt_comm_job){.size = 1};
}

/* One of the two variables without the other, or numbers that cannot be. */
static bt_status read_pair(const char *rank_name, const char *size_name, bt_comm_job *job,
                           bt_error *err) {
    const char *const rank_text = getenv(rank_name);
    const char *const size_text = getenv(size_name);
    int64_t           rank = -1;
    int64_t           size = 0;
    if (rank_text == NULL || size_text == NULL || !bt_parse_i64(rank_text, &rank) ||
        !bt_parse_i64(size_text, &size) || rank < 0 || rank >= size) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s is '%s' and %s is '%s': expected a rank below a number of processes; "
                       "start the job with mpirun or srun, or unset both",
                       rank_name, rank_text != NULL ? rank_text : "(not set)", size_name,
                       size_text != NULL ? size_text : "(not set)");
    }
    if (size > BT_COMM_MAX_RANKS) {
        return BT_FAIL(err, BT_E_CONFIG, "%s is %" PRId64 ": at most %d processes are supported",
                       size_name, size, (int)BT_COMM_MAX_RANKS);
    }
    job->rank = (int32_t)rank;
    job->size = (int32_t)size;
    return BT_OK;
}

/* Appends the text up to the end of a name, without what ends it. */
static bool copy_part(char host[COMM_HOST_MAX], size_t *n, const char *text, size_t n_text) {
    if (n_text >= COMM_HOST_MAX - *n) {
        return false;
    }
    memcpy(host + *n, text, n_text);
    *n += n_text;
    host[*n] = '\0';
    return true;
}

bool comm_first_host(const char *list, char host[COMM_HOST_MAX]) {
    size_t n = 0;
    host[0] = '\0';
    for (const char *at = list; *at != '\0' && *at != ',';) {
        const bool        is_group = *at == '[';
        const char *const close = is_group ? strchr(at, ']') : NULL;
        if (is_group && close == NULL) {
            return false;
        }
        const char *const begin = is_group ? at + 1 : at;
        const size_t      n_part = strcspn(begin, is_group ? "-,]" : "[,");
        if (n_part == 0 || !copy_part(host, &n, begin, n_part)) {
            return false;
        }
        at = is_group ? close + 1 : at + n_part;
    }
    return n > 0 && strpbrk(host, " \t\r\n/@:[]") == NULL;
}

static const char *or_empty(const char *text) {
    return text != NULL ? text : "";
}

static bt_status read_slurm(bt_comm_job *job, bt_error *err) {
    const char *nodes = getenv("SLURM_STEP_NODELIST");
    char        host[COMM_HOST_MAX];
    bt_str      name = BT_STR_INIT;
    BT_TRY(read_pair("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", job, err));
    job->launch = BT_COMM_SLURM;
    if (job->size == 1) {
        return BT_OK;
    }
    nodes = nodes != NULL ? nodes : getenv("SLURM_NODELIST");
    if (nodes == NULL || !comm_first_host(nodes, host)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "SLURM_STEP_NODELIST is '%s': expected the hosts of the step, as srun sets "
                       "it",
                       nodes != NULL ? nodes : "(not set)");
    }
    if (getenv("SLURM_JOB_ID") == NULL || getenv("SLURM_STEP_ID") == NULL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "SLURM_PROCID is set, but not SLURM_JOB_ID and SLURM_STEP_ID: expected what "
                       "srun sets");
    }
    job->addresses = bt_calloc_array(1, sizeof *job->addresses);
    if (job->addresses != NULL) {
        job->addresses[0] = bt_strdup(host);
        job->n_addresses = job->addresses[0] != NULL;
    }
    if (job->n_addresses == 0) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the name of a host");
    }
    const bt_status rc =
        bt_str_appendf(&name, err, "Slurm %s %s.%s", or_empty(getenv("SLURM_CLUSTER_NAME")),
                       getenv("SLURM_JOB_ID"), getenv("SLURM_STEP_ID"));
    job->name = bt_str_take(&name);
    bt_str_deinit(&name);
    return rc;
}

/* MPICH and Intel MPI start processes with these. */
static bt_status refuse_other_mpi(bt_error *err) {
    int64_t size = 0;
    if (getenv("PMI_RANK") == NULL || getenv("PMI_SIZE") == NULL ||
        !bt_parse_i64(getenv("PMI_SIZE"), &size) || size <= 1) {
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_UNSUPPORTED,
                   "PMI_SIZE is %" PRId64 ": a job started by MPICH's or Intel's mpiexec is not "
                   "supported; use Open MPI's mpirun, srun or TF_CONFIG",
                   size);
}

static bt_status read_launcher(bt_comm_job *job, bt_error *err) {
    if (getenv("OMPI_COMM_WORLD_SIZE") != NULL || getenv("OMPI_COMM_WORLD_RANK") != NULL) {
        job->launch = BT_COMM_OPENMPI;
        return read_pair("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", job, err);
    }
    /* a script of sbatch has SLURM_PROCID as well, but is not a step */
    if (getenv("SLURM_STEP_NUM_TASKS") != NULL) {
        return read_slurm(job, err);
    }
    return refuse_other_mpi(err);
}

static bt_status read_job(bt_comm_job *job, bt_error *err) {
    const char *const tf_config = getenv("TF_CONFIG");
    BT_TRY(read_launcher(job, err));
    if (tf_config == NULL || tf_config[strspn(tf_config, " \t\r\n")] == '\0') {
        return BT_OK;
    }
    const bt_comm_job launcher = *job;
    bt_comm_job       told = {.size = 1};
    bt_status         rc = comm_tf_config_parse(&told, tf_config, err);
    if (rc == BT_OK && launcher.size > 1 &&
        (told.rank != launcher.rank || told.size != launcher.size)) {
        rc = BT_FAIL(err, BT_E_CONFIG,
                     "TF_CONFIG says rank %" PRId32 " of %" PRId32 ", %s says %" PRId32
                     " of %" PRId32 ": unset TF_CONFIG, or start the program without %s",
                     told.rank, told.size, bt_comm_launch_name(launcher.launch), launcher.rank,
                     launcher.size, bt_comm_launch_name(launcher.launch));
    }
    if (rc != BT_OK) {
        bt_comm_job_deinit(&told);
        return rc;
    }
    bt_comm_job_deinit(job);
    *job = told;
    return BT_OK;
}

bt_status bt_comm_job_read(bt_comm_job *job, bt_error *err) {
    *job = (bt_comm_job){.size = 1};
    const bt_status rc = read_job(job, err);
    if (rc != BT_OK || job->size == 1) {
        bt_comm_job_deinit(job);
    }
    return rc;
}
