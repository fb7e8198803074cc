/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-tokenize: a line of text in, a line of word pieces (or ids) out, as Model Garden's
 * FullTokenizer makes them. Lines end at LF only; invalid UTF-8 is dropped. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bt/base/stop.h"
#include "bt/base/str.h"
#include "bt/cli.h"
#include "bt/fs.h"
#include "bt/text.h"

static const bt_flag_def flag_defs[] = {
    {.name = "vocab_file",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .is_required = true,
     .help = "Vocabulary, one word piece a line."},
    {.name = "do_lower_case",
     .kind = BT_FLAG_BOOL,
     .default_text = "true",
     .help = "Lower-case the text and strip accents: true for an uncased vocabulary."},
    {.name = "ids", .kind = BT_FLAG_BOOL, .default_text = "false", .help = "Print ids."},
};
static const bt_flag_table flag_table = {
    .program = "bert-tokenize",
    .summary = "bert-tokenize: splits lines of text from standard input, or from the files named\n"
               "after the flags, into word pieces: one line out for each line in.\n"
               "\n"
               "echo 'Hello world' | bert-tokenize --vocab_file=vocab.txt --ids",
    .defs = flag_defs,
    .n_defs = BT_ARRAY_LEN(flag_defs)};

enum { READ_BYTES = 1 << 16, OUTPUT_BYTES = 1 << 16, LINE_MAX_BYTES = 1 << 30 };

typedef struct tokenize_job {
    const bt_text_vocab     *vocab;
    const bt_text_tokenizer *tokenizer;
    bt_text_scratch         *scratch;
    bool                     prints_ids;
    bt_str                   line; /* a line whose end was not read yet */
    bt_str                   out;
} tokenize_job;

static bt_status flush_out(tokenize_job *job, bt_error *err) {
    BT_TRY(bt_cli_print(&job->out, BT_READER_MAY_LEAVE, err));
    bt_str_clear(&job->out);
    return BT_OK;
}

static bt_status print_line(tokenize_job *job, const char *text, size_t n, bt_error *err) {
    const int32_t *ids = NULL;
    size_t         n_ids = 0;
    BT_TRY(bt_text_encode(job->tokenizer, job->scratch, text, n, &ids, &n_ids, err));
    for (size_t i = 0; i < n_ids; i++) {
        if (i > 0) {
            BT_TRY(bt_str_append_char(&job->out, ' ', err));
        }
        if (job->prints_ids) {
            BT_TRY(bt_str_appendf(&job->out, err, "%" PRId32, ids[i]));
        } else {
            size_t            n_piece = 0;
            const char *const piece = bt_text_vocab_piece(job->vocab, ids[i], &n_piece);
            BT_TRY(bt_str_append_n(&job->out, piece, n_piece, err));
        }
    }
    BT_TRY(bt_str_append_char(&job->out, '\n', err));
    return job->out.len >= OUTPUT_BYTES ? flush_out(job, err) : BT_OK;
}

/* All lines that end in these bytes; the rest is kept for the next ones. */
static bt_status take_bytes(tokenize_job *job, const char *bytes, size_t n, bt_error *err) {
    const char *const end = bytes + n;
    while (bytes < end) {
        const char *const lf = memchr(bytes, '\n', (size_t)(end - bytes));
        const size_t      length = (size_t)((lf == NULL ? end : lf) - bytes);
        if (job->line.len + length > LINE_MAX_BYTES) {
            return BT_FAIL(err, BT_E_FORMAT, "a line has more than %d bytes", LINE_MAX_BYTES);
        }
        if (lf == NULL) {
            return bt_str_append_n(&job->line, bytes, length, err);
        }
        if (job->line.len == 0) {
            BT_TRY(print_line(job, bytes, length, err));
        } else {
            BT_TRY(bt_str_append_n(&job->line, bytes, length, err));
            BT_TRY(print_line(job, job->line.data, job->line.len, err));
            bt_str_clear(&job->line);
        }
        bytes = lf + 1;
    }
    return BT_OK;
}

static bt_status tokenize_stream(tokenize_job *job, int fd, const char *name, bt_error *err) {
    char bytes[READ_BYTES];
    for (;;) {
        BT_TRY(bt_stop_check(err));
        BT_TRY(bt_cli_wait(fd, POLLIN, err));
        const ssize_t n = read(fd, bytes, sizeof bytes);
        if (n == 0) {
            break;
        }
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            return BT_FAIL(err, bt_status_of_errno(errno, BT_E_IO), "%s: cannot read: %s", name,
                           strerror(errno));
        }
        BT_TRY(take_bytes(job, bytes, n > 0 ? (size_t)n : 0, err));
    }
    if (job->line.len > 0) { /* a last line without LF */
        BT_TRY(print_line(job, job->line.data, job->line.len, err));
        bt_str_clear(&job->line);
    }
    return flush_out(job, err);
}

static bt_status tokenize_remote(tokenize_job *job, const char *path, bt_error *err) {
    bt_fs_stream *stream = NULL;
    bt_status     rc = BT_OK;
    BT_TRY(bt_fs_stream_open(path, &stream, err));
    for (bool end = false; !end;) {
        const char *line = NULL;
        size_t      n = 0;
        BT_CHECK(bt_fs_stream_line(stream, SIZE_MAX / 4, &line, &n, &end, err));
        if (!end) {
            BT_CHECK(print_line(job, line, n, err));
        }
    }
    rc = flush_out(job, err);
done:
    bt_fs_stream_close(stream);
    return rc;
}

static bt_status tokenize_file(tokenize_job *job, const char *path, bt_error *err) {
    if (bt_fs_is_remote(path)) {
        return tokenize_remote(job, path, err);
    }
    BT_TRY(bt_fs_refuse_special(path, err));
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe: waits when it reads */
    if (fd < 0) {
        return BT_FAIL(err, bt_status_of_errno(errno, BT_E_IO), "%s: cannot open the file: %s",
                       path, strerror(errno));
    }
    const bt_status rc = tokenize_stream(job, fd, path, err);
    (void)close(fd);
    return rc;
}

static bt_status run(const bt_flags *flags, int *status, bt_error *err) {
    bt_status          rc = BT_OK;
    bt_text_vocab     *vocab = NULL;
    bt_text_tokenizer *tokenizer = NULL;
    const char *const *files = NULL;
    const size_t       n_files = bt_flags_args(flags, &files);
    const char *const  path = bt_flags_string(flags, "vocab_file");
    tokenize_job       job = {.prints_ids = bt_flags_bool(flags, "ids")};
    (void)status;
    BT_CHECK(bt_text_vocab_load(&vocab, path, err));
    rc = bt_text_tokenizer_create(&tokenizer, vocab, bt_flags_bool(flags, "do_lower_case"), err);
    if (rc != BT_OK) {
        rc = bt_error_prefix(err, "%s", path);
        goto done;
    }
    job.vocab = vocab;
    job.tokenizer = tokenizer;
    BT_CHECK(bt_text_scratch_create(&job.scratch, err));
    for (size_t i = 0; i < n_files; i++) {
        BT_CHECK(tokenize_file(&job, files[i], err));
    }
    if (n_files == 0) {
        rc = tokenize_stream(&job, STDIN_FILENO, "standard input", err);
    }
done:
    bt_str_deinit(&job.line);
    bt_str_deinit(&job.out);
    bt_text_scratch_free(job.scratch);
    bt_text_tokenizer_free(tokenizer);
    bt_text_vocab_free(vocab);
    return rc;
}

int main(int argc, char **argv) {
    static const bt_cli_program program = {
        .flags = &flag_table, .append_build_info = bt_fs_append_build_info, .run = run};
    return bt_cli_run(&program, argc, argv);
}
