/* SPDX-License-Identifier: Apache-2.0
 *
 * TFRecord files, plain and compressed, from front to back and by index: both find the same. The
 * first byte says whether the checksums are mended (bit 0), and how the others are packed then. A
 * gzip file is also unpacked as tables are: what was packed here must come out. */
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "bt/fs.h"
#include "bt/wire/gzip.h"
#include "bt/wire/tfrecord.h"
#include "fuzz_file.h"
#include "fuzz_mend.h"
#include "fuzz_targets.h"

typedef struct found {
    int64_t  n;
    uint32_t crc;
    bool     is_whole; /* to the end without a fault */
} found;

static void add(found *f, const bt_record *record) {
    f->n++;
    f->crc = bt_crc32c(f->crc, record->data.data, record->data.n_bytes);
}

static bool read_stream(const char *path, bt_compression compression, found *f) {
    bt_tfrecord_reader *reader = NULL;
    bt_record           record;
    bool                end = false;
    bt_status           rc = BT_OK;
    *f = (found){0};
    if (bt_tfrecord_open(path, compression, &reader, NULL) != BT_OK) {
        return false;
    }
    while ((rc = bt_tfrecord_next(reader, &record, &end, NULL)) == BT_OK && !end) {
        add(f, &record);
    }
    f->is_whole = rc == BT_OK && bt_tfrecord_check_end(reader, NULL) == BT_OK;
    bt_tfrecord_close(reader);
    return true;
}

static void read_by_index(const char *path, found *f) {
    bt_tfrecord_index index = {0};
    bt_file          *file = NULL;
    bt_str            buffer = BT_STR_INIT;
    *f = (found){0};
    if (bt_tfrecord_index_build(path, &index, NULL) == BT_OK &&
        bt_fs_open(path, &file, NULL) == BT_OK) {
        bt_record record;
        while (f->n < index.n_records &&
               bt_tfrecord_read_frame(file, index.offsets[f->n], index.offsets[f->n + 1], f->n,
                                      &buffer, &record, NULL) == BT_OK) {
            add(f, &record);
        }
        f->is_whole = f->n == index.n_records;
    }
    bt_fs_close(file);
    bt_str_deinit(&buffer);
    bt_tfrecord_index_deinit(&index);
}

/* content NULL: it is not known what comes out, if anything does. */
static void unpack(const char *path, const uint8_t *content, size_t n) {
    bt_fs_scratch *out = NULL;
    uint8_t *const bytes = bt_alloc(n + 1);
    if (bytes == NULL || bt_fs_scratch_create("fuzz", &out, NULL) != BT_OK) {
        abort();
    }
    const bool is_whole = bt_gzip_unpack(path, out, NULL) == BT_OK;
    if (content != NULL &&
        (!is_whole || bt_fs_scratch_size(out) != (int64_t)n ||
         bt_fs_scratch_read(out, 0, bytes, n, NULL) != BT_OK || memcmp(bytes, content, n) != 0)) {
        abort();
    }
    bt_free(bytes);
    bt_fs_scratch_close(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bt_str packed = BT_STR_INIT;
    found         plain = {0};
    found         indexed = {0};
    uint8_t      *copy = NULL;
    if (size == 0 || (copy = bt_alloc(size)) == NULL) {
        return 0;
    }
    memcpy(copy, data + 1, size - 1);
    if ((data[0] & FUZZ_MENDS) != 0) {
        fuzz_mend_records(copy, size - 1);
    }
    const fuzz_packing packing = (fuzz_packing)(data[0] / 2 % 3);
    fuzz_pack(packing, copy, size - 1, &packed);
    const char *const path =
        fuzz_file("r.tfrecord", (const uint8_t *)bt_str_text(&packed), packed.len);
    if (bt_gzip_is_magic(path)) {
        unpack(path, packing == FUZZ_GZIP ? copy : NULL, size - 1);
    }
    bt_free(copy);
    for (int c = 0; c < 3; c++) {
        found f;
        if (read_stream(path, (bt_compression)c, &f) && c == BT_COMPRESSION_NONE) {
            plain = f;
        }
    }
    read_by_index(path, &indexed);
    if (plain.is_whole != indexed.is_whole ||
        (plain.is_whole && (plain.n != indexed.n || plain.crc != indexed.crc))) {
        abort();
    }
    return 0;
}
