/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-train doctor on the machine: processor, instruction sets, memory, clock, locale. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bt/base/alloc.h"
#include "bt/base/cores.h"
#include "bt/base/memory.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/kern.h"
#include "command_doctor.h"

enum { SMALL_FILE_BYTES = 1 << 20 };

/* Weights, gradients and both moments of BERT-Base (110 million) and BERT-Large (335 million). */
static const double base_gib = 110e6 * 16 / (1 << 30);
static const double large_gib = 335e6 * 16 / (1 << 30);

/* A file of /proc or /sys, whose size says nothing; owned, NULL: it cannot be read. */
static char *read_small(const char *path) {
    FILE *const file = fopen(path, "r");
    char       *text = file != NULL ? bt_alloc(SMALL_FILE_BYTES) : NULL;
    if (text != NULL) {
        text[fread(text, 1, SMALL_FILE_BYTES - 1, file)] = '\0';
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return text;
}

static void find_processor(char name[128]) {
    char *const text = read_small("/proc/cpuinfo");
    const char *at = text != NULL ? strstr(text, "model name") : NULL;
    at = at != NULL ? strchr(at, ':') : NULL;
    (void)snprintf(name, 128, "%.*s", at != NULL ? (int)strcspn(at + 2, "\n") : 0,
                   at != NULL ? at + 2 : "");
    if (name[0] == '\0') {
        (void)snprintf(name, 128, "a processor that /proc/cpuinfo does not name");
    }
    bt_free(text);
}

/* Processors that a control group lets this process use at a time; 0: it does not limit. */
static double cgroup_cores(void) {
    char *const text = read_small("/sys/fs/cgroup/cpu.max"); /* "max 100000", "150000 100000" */
    double      quota = 0;
    double      period = 0;
    char       *end = NULL;
    if (text != NULL) {
        quota = strtod(text, &end);
        period = end != text ? strtod(end, NULL) : 0;
    }
    bt_free(text);
    return period > 0 && quota > 0 ? quota / period : 0;
}

bt_status doctor_processor(doctor *d, const doctor_check *check, bt_error *err) {
    const int32_t all = bt_n_machine_cores();
    const int32_t ours = bt_n_physical_cores();
    const double  limit = cgroup_cores();
    char          name[128];
    char          advice[160];
    find_processor(name);
    BT_TRY(doctor_tell(d, check, DOCTOR_OK, NULL, err,
                       "%s: %" PRId32 " of its %" PRId32 " cores are this process's, and as many "
                       "threads compute (runtime.threads)",
                       name, ours, all));
    if (limit > 0 && limit < ours) {
        const int threads = limit < 1 ? 1 : (int)limit;
        (void)snprintf(advice, sizeof advice,
                       "set runtime.threads=%d: more threads than that wait for each other",
                       threads);
        return doctor_tell(d, check, DOCTOR_NOTE, advice, err,
                           "the control group lets %.2f cores run at a time", limit);
    }
    return BT_OK;
}

/* The next faster instruction set; NULL: there is none. */
static const char *faster_isa(const char *isa) {
    int i = 0;
    while (!bt_str_equal(bt_kern_isa(i), isa)) {
        i++;
    }
    const bool is_portable_build = i == 0 && bt_kern_isa(1) == NULL;
    return is_portable_build ? "avx2" : bt_kern_isa(i + 1);
}

bt_status doctor_kernels(doctor *d, const doctor_check *check, bt_error *err) {
    bt_kern  kern;
    bt_error why = BT_ERROR_INIT;
    BT_TRY(bt_kern_select("auto", &kern, err));
    const char *const better = faster_isa(kern.isa);
    if (better == NULL) {
        BT_TRY(doctor_tell(d, check, DOCTOR_OK, NULL, err,
                           "%s are used: the fastest there are (runtime.isa)", kern.isa));
    } else {
        if (bt_kern_select(better, &kern, &why) == BT_OK) {
            return BT_FAIL(err, BT_E_INTERNAL, "%s was not chosen", better);
        }
        BT_TRY(bt_kern_select("auto", &kern, err));
        const bool is_slow = bt_str_equal(kern.isa, "ref");
        BT_TRY(doctor_tell(d, check, is_slow ? DOCTOR_NOTE : DOCTOR_OK,
                           is_slow ? "portable kernels are several times slower: use a processor "
                                     "with AVX2 or NEON, and a build with vector kernels"
                                   : NULL,
                           err, "%s are used, because for %s: %s", kern.isa, better, why.msg));
    }
    if (bt_kern_blas_load(&why) != BT_OK) {
        return doctor_tell(d, check, DOCTOR_NOTE, NULL, err,
                           "no BLAS, which only runtime.matmul=blas and pairs need: %s", why.msg);
    }
    return doctor_tell(d, check, DOCTOR_OK, NULL, err,
                       "%s, used where runtime.matmul=blas says so and for pairs",
                       bt_kern_blas_describe());
}

bt_status doctor_memory(doctor *d, const doctor_check *check, bt_error *err) {
    const uint64_t available = bt_memory_available("");
    const double   gib = (double)available / (1 << 30);
    if (available == UINT64_MAX) {
        return doctor_tell(d, check, DOCTOR_NOTE, NULL, err,
                           "the system does not say how much is left");
    }
    const bool fits_base = gib > base_gib * 1.5;
    return doctor_tell(
        d, check, fits_base ? DOCTOR_OK : DOCTOR_NOTE,
        fits_base ? NULL
                  : "take a smaller model (--config_file=minilm), or runtime.recompute and small "
                    "batches",
        err,
        "%.1f GiB are left, limits of control groups counted; BERT-Base takes %.1f GiB to train "
        "(BERT-Large %.1f), and the batch comes on top: --dry_run says how much",
        gib, base_gib, large_gib);
}

/* Certificates and signatures of stores hold for a time; the year of a clock that was never set is
 * 1970 or that of the firmware. */
bt_status doctor_clock(doctor *d, const doctor_check *check, bt_error *err) {
    static const time_t sensible = 1704067200; /* 2024 */
    const time_t        now = time(NULL);
    struct tm           parts;
    char                text[64] = "?";
    if (gmtime_r(&now, &parts) != NULL) {
        (void)strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
    }
    return now < sensible
               ? doctor_tell(d, check, DOCTOR_PROBLEM,
                             "set the clock: certificates and signatures of stores depend on it",
                             err, "%s is before this program was written", text)
               : doctor_tell(d, check, DOCTOR_OK, NULL, err, "%s", text);
}

bt_status doctor_locale(doctor *d, const doctor_check *check, bt_error *err) {
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char              *value = NULL;
    for (size_t i = 0; i < BT_ARRAY_LEN(names) && value == NULL; i++) {
        value = getenv(names[i]);
        value = value != NULL && value[0] == '\0' ? NULL : value;
    }
    return doctor_tell(d, check, DOCTOR_OK, NULL, err,
                       "%s; it changes nothing: texts are UTF-8 and numbers have a point",
                       value != NULL ? value : "C");
}
