/* SPDX-License-Identifier: Apache-2.0
 *
 * base: what every other room stands on. Status and error, checked sizes, the allocator seam,
 * arenas, strings, a string map, a checked byte reader, counter-based random numbers, crc32c,
 * a thread pool and the log. Depends on libc and pthreads only.
 *
 * Promises: no function prints (but the log), none exits; every function that can fail returns
 * bt_status and takes a caller-owned bt_error as its last argument, untouched on success.
 */
#ifndef BT_BASE_H
#define BT_BASE_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BT_MUST_USE __attribute__((warn_unused_result))
#define BT_PRINTF(fmt_index, first_arg) __attribute__((format(printf, fmt_index, first_arg)))
#define BT_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Status and error. */

/* README.md lists the process exit codes that these map to; see bt_status_exit_code. */
typedef enum bt_status {
    BT_OK = 0,
    BT_E_NOMEM,       /* the allocator said no, or a plan is larger than the machine */
    BT_E_IO,          /* a file cannot be opened or read */
    BT_E_FORMAT,      /* a file's bytes are not what they must be */
    BT_E_CONFIG,      /* flags, YAML, overrides: the user's words */
    BT_E_SHAPE,       /* dims that do not fit each other */
    BT_E_UNSUPPORTED, /* understood, and refused on purpose */
    BT_E_RESOURCE,    /* cannot write: disk full, no permission; network */
    BT_E_BACKEND,     /* a device or a back end failed */
    BT_E_INTERRUPTED, /* asked to stop, and stopped in good order */
    BT_E_INTERNAL,    /* a bug of ours */
} bt_status;

enum { BT_ERROR_MSG_MAX = 1024 };

/* Caller-owned, fixed size: never allocates, so it works when memory is gone. */
typedef struct bt_error {
    bt_status   code;
    const char *file; /* static storage: where in our source it was made */
    int         line;
    char        msg[BT_ERROR_MSG_MAX]; /* complete: who, where, expected, got */
} bt_error;

#define BT_ERROR_INIT                                                                              \
    {                                                                                              \
        .code = BT_OK, .file = NULL, .line = 0, .msg = { 0 }                                       \
    }

/* Fills *err (which may be NULL) and returns code. Use through BT_FAIL. */
bt_status bt_error_make(bt_error *err, bt_status code, const char *file, int line, const char *fmt,
                        ...) BT_PRINTF(5, 6);

/* Puts "context: " before the message that is there; returns err->code. A caller adds context once.
 */
bt_status bt_error_prefix(bt_error *err, const char *fmt, ...) BT_PRINTF(2, 3);

/* README.md explains them: 0, 2 config, 3 data, 4 resources, 5 device, 70 bug, 75 interrupted. */
int         bt_status_exit_code(bt_status status);
const char *bt_status_name(bt_status status);
/* The status of a call of libc that failed with errnum: BT_E_NOMEM where memory was missing,
 * BT_E_RESOURCE where descriptors were, else `otherwise`. */
bt_status bt_status_of_errno(int errnum, bt_status otherwise);

/* BT_FAIL makes an error and is the value to return. BT_TRY returns a failure up: for functions
 * that own nothing. BT_CHECK stores it in `rc` and jumps to `done`: for functions that own
 * something. */
#ifdef __clang_analyzer__ /* it sees one file: that the value is the code must stand here */
#define BT_FAIL(err, code, ...)                                                                    \
    ((void)bt_error_make((err), (code), __FILE__, __LINE__, __VA_ARGS__), (code))
#else
#define BT_FAIL(err, code, ...) bt_error_make((err), (code), __FILE__, __LINE__, __VA_ARGS__)
#endif
#define BT_TRY(call)                                                                               \
    do {                                                                                           \
        const bt_status bt_try_status = (call);                                                    \
        if (bt_try_status != BT_OK) {                                                              \
            return bt_try_status;                                                                  \
        }                                                                                          \
    } while (0)
#define BT_CHECK(call)                                                                             \
    do {                                                                                           \
        rc = (call);                                                                               \
        if (rc != BT_OK) {                                                                         \
            goto done;                                                                             \
        }                                                                                          \
    } while (0)

/* For our own mistakes only: nothing that a file, a flag or the machine can cause. */
#ifdef NDEBUG
#define BT_ASSERT(x) ((void)sizeof(x))
#else
void bt_assert_failed(const char *what, const char *file, int line) __attribute__((noreturn));
#define BT_ASSERT(x) ((x) ? (void)0 : bt_assert_failed(#x, __FILE__, __LINE__))
#endif

/* Checked sizes: int64_t for dims, size_t for bytes, decided here once. */

/* true on success; *out untouched on overflow */
BT_MUST_USE bool bt_size_mul(size_t a, size_t b, size_t *out);
BT_MUST_USE bool bt_size_add(size_t a, size_t b, size_t *out);
BT_MUST_USE bool bt_i64_mul(int64_t a, int64_t b, int64_t *out); /* both must be >= 0 */

/* The allocator seam.
 * All heap use goes through here. Memory is 64-byte aligned. Sizes of 0 give a unique non-NULL
 * pointer. NULL only when out of memory (or when a test asked for it). */

BT_MUST_USE void *bt_alloc(size_t n_bytes);
BT_MUST_USE void *bt_alloc_array(size_t n, size_t size);  /* n*size checked; uninitialised */
BT_MUST_USE void *bt_calloc_array(size_t n, size_t size); /* zeroed */
/* For libraries that make many small pieces: as malloc aligns. bt_free gives it back. */
BT_MUST_USE void *bt_alloc_small(size_t n_bytes);
BT_MUST_USE void *bt_realloc_small(void *ptr, size_t n_bytes); /* of such a piece, or NULL */
BT_MUST_USE void *bt_realloc(void *ptr, size_t old_bytes, size_t new_bytes);
void              bt_free(void *ptr); /* accepts NULL */
BT_MUST_USE char *bt_strdup(const char *s);
BT_MUST_USE char *bt_strndup(const char *s, size_t n);

/* Room for `need` elements in *ptr (capacity *cap elements), growing by doubling, never beyond
 * max elements: *ptr and *cap stay valid on failure. Error: BT_E_NOMEM. */
BT_MUST_USE bt_status bt_grow(void *ptr_to_array, size_t *cap, size_t need, size_t elem_size,
                              size_t max, bt_error *err);

/* Tests: fail the k-th allocation from now (1 = next), once or from then on; 0 = never. */
void     bt_alloc_fail_at(uint64_t k, bool persistent);
uint64_t bt_alloc_count(void); /* successful and failed calls so far, all threads */

/* Arena: a stack of bytes with marks.
 * Allocations are 64-byte aligned and live until reset, release or deinit. The first reservation
 * should be the planned size; more blocks are added if the plan was too small. After
 * bt_arena_reset the blocks are merged into one, so a repeated pattern stops calling the heap. */

typedef struct bt_arena_block bt_arena_block;
typedef struct bt_arena {
    bt_arena_block *head; /* the block being filled; older ones linked behind it */
    size_t          used_bytes;
    size_t          peak_bytes;
} bt_arena;
typedef struct bt_arena_mark {
    bt_arena_block *block;
    size_t          block_used;
    size_t          used_bytes;
} bt_arena_mark;

BT_MUST_USE bt_status bt_arena_init(bt_arena *arena, size_t first_bytes, bt_error *err);
void                  bt_arena_deinit(bt_arena *arena);
BT_MUST_USE void     *bt_arena_alloc(bt_arena *arena, size_t n_bytes); /* NULL: out of memory */
BT_MUST_USE void     *bt_arena_alloc_array(bt_arena *arena, size_t n, size_t size);
BT_MUST_USE char     *bt_arena_strdup(bt_arena *arena, const char *s);
BT_MUST_USE char     *bt_arena_strndup(bt_arena *arena, const char *s, size_t n);
bt_arena_mark         bt_arena_get_mark(const bt_arena *arena);
void                  bt_arena_release(bt_arena *arena, bt_arena_mark mark);
BT_MUST_USE bt_status bt_arena_reset(bt_arena *arena, bt_error *err);

/* Strings. */

/* A growable byte string, always NUL-terminated once something was appended. Refuses to grow
 * beyond max_bytes. Zero-initialise with BT_STR_INIT, free with bt_str_deinit. */
typedef struct bt_str {
    char  *data; /* owned; NULL while empty: use bt_str_text */
    size_t len;
    size_t cap;
} bt_str;
#define BT_STR_INIT                                                                                \
    { .data = NULL, .len = 0, .cap = 0 }
#define BT_STR_MAX_BYTES ((size_t)1 << 40)

void                  bt_str_deinit(bt_str *s);
void                  bt_str_clear(bt_str *s);      /* keeps the memory */
const char           *bt_str_text(const bt_str *s); /* never NULL; borrowed until the next change */
BT_MUST_USE bt_status bt_str_append(bt_str *s, const char *text, bt_error *err);
BT_MUST_USE bt_status bt_str_append_n(bt_str *s, const void *bytes, size_t n, bt_error *err);
BT_MUST_USE bt_status bt_str_append_char(bt_str *s, char c, bt_error *err);
BT_MUST_USE bt_status bt_str_appendf(bt_str *s, bt_error *err, const char *fmt, ...)
    BT_PRINTF(3, 4);
/* One character of a JSON string, escaped where it must be; returns how many bytes (no NUL). The
 * one place that escapes. BT_JSON_UTF8: c is a byte of UTF-8, which stays it; control characters
 * are \u00XX. BT_JSON_ASCII: c is a code point; what Python's json.dumps writes. */
enum { BT_JSON_CHAR_MAX = 16 };
typedef enum bt_json_form { BT_JSON_UTF8, BT_JSON_ASCII } bt_json_form;
size_t bt_json_char(char out[BT_JSON_CHAR_MAX], uint32_t c, bt_json_form form);
/* A JSON string with its quotes; text is UTF-8 and stays it. (ASCII: bt_text_append_json_ascii.) */
BT_MUST_USE bt_status bt_str_append_json(bt_str *s, const char *text, bt_error *err);
char *bt_str_take(bt_str *s); /* moves the text out (NULL while empty); caller bt_free()s */

bool bt_str_equal(const char *a, const char *b);        /* NULL equals NULL only */
bool bt_str_equal_nocase(const char *a, const char *b); /* ASCII */
bool bt_str_starts_with(const char *s, const char *prefix);
bool bt_str_ends_with(const char *s, const char *suffix);
bool bt_str_ends_with_nocase(const char *s, size_t n, const char *suffix); /* ASCII; s [n] */

/* A list for a message: appends "'word'" to out (cap bytes, "" at first), with a comma before it
 * unless it is the first; false: there was no room, and ", ..." stands there. */
enum { BT_LIST_MAX = 256 };
bool bt_list_add(char *out, size_t cap, const char *word);
void bt_list_all(char *out, size_t cap, const char *const *words, size_t n); /* from the start */

/* The whole text must be a decimal integer / a C-locale float. false: not one, or out of range. */
BT_MUST_USE bool bt_parse_i64(const char *text, int64_t *out);
BT_MUST_USE bool bt_parse_f64(const char *text, double *out);

/* Shortest decimal text that reads back as the same double, as Python's repr: "0.1", "1e-05",
 * "1e+16", "5.0", "inf", "nan". Needs a buffer of BT_F64_TEXT_MAX bytes; returns it. */
enum { BT_F64_TEXT_MAX = 32 };
char *bt_f64_repr(double value, char buffer[BT_F64_TEXT_MAX]);
char *bt_f32_repr(float value, char buffer[BT_F64_TEXT_MAX]); /* shortest for a float */

/* URLs whose query is a key (signed_url.c).
 * "https://host/file?X-Amz-Signature=...": what lets in whoever has it is used, and shown or
 * written nowhere. bt_log hides it by itself. */

/* Puts "..." in place of each such value, in all URLs of the text. */
void bt_hide_signatures(char *text);
/* Has the text one? *is_hidden: one that was hidden, with which nobody is let in. */
bool bt_has_signature(const char *text, bool *is_hidden);
/* Is that all in which they differ? The same file is signed anew each hour. */
bool bt_equal_but_signatures(const char *a, const char *b);

/* A map from strings to int64 (an index into the caller's own array). */

typedef struct bt_map bt_map;
BT_MUST_USE bt_status bt_map_create(bt_map **out, size_t expected, bt_error *err);
void                  bt_map_free(bt_map *map);
/* Copies the key. An existing key gets the new value. */
BT_MUST_USE bt_status bt_map_put(bt_map *map, const char *key, size_t key_len, int64_t value,
                                 bt_error *err);
BT_MUST_USE bool bt_map_get(const bt_map *map, const char *key, size_t key_len, int64_t *value);
size_t           bt_map_size(const bt_map *map);
/* The first word that stood before: *first < *second are its places; *second = n: none did. */
BT_MUST_USE bt_status bt_find_twice(const char *const *words, size_t n, size_t *first,
                                    size_t *second, bt_error *err);

/* Reading bytes that came from outside.
 * Every read checks the bytes left first. false: not enough bytes (or a varint over 10 bytes);
 * the cursor then stays where it was. */

typedef struct bt_reader {
    const uint8_t *pos;
    const uint8_t *end;
} bt_reader;

static inline bt_reader bt_reader_make(const void *data, size_t n) {
    return (bt_reader){(const uint8_t *)data, (const uint8_t *)data + n};
}
static inline size_t bt_reader_left(const bt_reader *r) {
    return (size_t)(r->end - r->pos);
}
BT_MUST_USE bool bt_read_u8(bt_reader *r, uint8_t *out);
BT_MUST_USE bool bt_read_u32le(bt_reader *r, uint32_t *out);
BT_MUST_USE bool bt_read_u64le(bt_reader *r, uint64_t *out);
BT_MUST_USE bool bt_read_varint(bt_reader *r, uint64_t *out); /* protobuf / LevelDB varint64 */
BT_MUST_USE bool bt_read_bytes(bt_reader *r, size_t n, const uint8_t **out); /* borrowed */
void             bt_store_u32le(uint8_t *dst, uint32_t v);
void             bt_store_u64le(uint8_t *dst, uint64_t v);
uint32_t         bt_load_u32le(const uint8_t *src);
uint64_t         bt_load_u64le(const uint8_t *src);
size_t           bt_store_varint(uint8_t dst[10], uint64_t v); /* bytes written */

/* crc32c (Castagnoli), as TFRecord and LevelDB tables use it. */

/* crc of the bytes so far (0 at the start) extended by data. Uses the processor's instruction. */
uint32_t bt_crc32c(uint32_t crc, const void *data, size_t n);
uint32_t bt_crc32c_table(uint32_t crc, const void *data, size_t n); /* the portable twin */
/* rotr(crc,15) + 0xa282ead8: docs/model_garden/data.md section 5 */
uint32_t bt_crc32c_mask(uint32_t crc);

/* Counter-based random numbers.
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11). A key names
 * a stream; the counter names a place in it. Nothing is stored, so resume and any order of
 * evaluation give the same numbers. */

typedef struct bt_rng_key {
    uint32_t key[2];
    uint32_t stream[2];
} bt_rng_key;

/* What a stream is for. Values are part of the reproducibility promise: append, never renumber. */
typedef enum bt_rng_site {
    BT_SITE_INIT = 1,
    BT_SITE_SHUFFLE = 2,
    BT_SITE_EMBEDDING_DROPOUT = 3,
    BT_SITE_ATTENTION_PROBS_DROPOUT = 4,
    BT_SITE_ATTENTION_OUTPUT_DROPOUT = 5,
    BT_SITE_FFN_OUTPUT_DROPOUT = 6,
    BT_SITE_HEAD_DROPOUT = 7,
    BT_SITE_HEAD_INPUT_DROPOUT = 8,
    BT_SITE_FILE_SHUFFLE = 9,
} bt_rng_site;

bt_rng_key bt_rng_key_make(uint64_t seed, uint64_t step, uint32_t layer, bt_rng_site site);
/* Four words for one counter value. */
void   bt_rng_block(bt_rng_key key, uint64_t counter, uint32_t out[4]);
float  bt_rng_uniform(bt_rng_key key, uint64_t index);          /* [0,1), 24 bits */
double bt_rng_normal_truncated(bt_rng_key key, uint64_t index); /* N(0,1) re-drawn outside +-2 */
/* A bijection of [0,n): place i of the epoch named by key -> element. n >= 1, i < n. Feistel
 * network with cycle walking: O(1) memory, so seeking in a shuffle is instant. */
uint64_t bt_rng_permute(bt_rng_key key, uint64_t n, uint64_t i);

/* Floating-point control.
 * A number nearer to 0 than 2^-126 (a float) costs a processor some hundred cycles an operation.
 * While a thread flushes, such numbers count as 0 where they are read and become 0 where they
 * are made. Who sets it puts back what was there: it belongs to the caller's arithmetic too. */

typedef struct bt_fp_state {
    uint64_t word; /* the processor's own: rounding, exceptions, flushing */
} bt_fp_state;

bt_fp_state
     bt_fp_flush(void); /* this thread flushes from now on; returns what was, for bt_fp_set */
void bt_fp_set(bt_fp_state state);
bt_fp_state bt_fp_get(void);
bt_fp_state bt_fp_flushing(bt_fp_state state); /* the same, but flushing */
/* Of a processor whose word is not known: true for every state. */
bool bt_fp_is_flushing(bt_fp_state state);

/* Threads.
 * A pool runs tasks 0..n_tasks-1 of one job on n_threads threads, the caller's included; which
 * thread runs which task is not defined, so results must not depend on it. All of them run under
 * the caller's floating-point control. Not reentrant: one caller at a time, no bt_pool_run from
 * inside a task. */

typedef struct bt_pool bt_pool;
typedef void (*bt_pool_fn)(void *context, int64_t task, int32_t thread);

BT_MUST_USE bt_status bt_pool_create(bt_pool **out, int32_t n_threads, bt_error *err);
void                  bt_pool_free(bt_pool *pool);
int32_t               bt_pool_n_threads(const bt_pool *pool); /* 1 for NULL */
void                  bt_pool_run(bt_pool *pool, int64_t n_tasks, bt_pool_fn fn,
                                  void *context); /* NULL pool: runs here */
int32_t               bt_n_physical_cores(void);  /* >= 1; respects the affinity mask */
int32_t               bt_n_machine_cores(void);   /* >= 1; all there are */

/* Memory of the machine. */

/* Bytes of memory that this process can still take without being killed for it, or waiting for
 * swap, which is not counted: the least of what the system, its control groups and its limits
 * (ulimit -v, -d) leave. UINT64_MAX: nothing is known. root: "" but in tests, the folder that /proc
 * and /sys are read below. */
uint64_t bt_memory_available(const char *root);
/* Only what the limits leave that a shell sets with ulimit -v and -d, in bytes of address space;
 * UINT64_MAX: there are none. */
uint64_t bt_memory_within_limits(const char *root);
/* The largest resident size of this process so far; 0: the system does not say. */
int64_t bt_peak_resident_bytes(void);

/* The descriptors 0 to 2. */

/* Those that were closed when the program started are opened on /dev/null, so that no file gets
 * their numbers. First in main; false: that cannot be done. */
bool bt_hold_standard_files(void);

/* Being asked to stop.
 * SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 and SIGXCPU ask the process to stop in good order: the
 * handler writes one line at once and sets a flag; what waits or loops over input asks for it. Any
 * second signal has its default effect. Process-wide, as signals are; safe from every thread. */

/* Called once, by main, after bt_log_setup. What was ignored at the start (nohup, a job in the
 * background) stays ignored. SIGPIPE is ignored, and a write beyond a file size limit (SIGXFSZ) is
 * an error of that write: both must not end a run that can still save. */
void bt_stop_install(void);
/* For a filter whose reader went away: ends as it would have without bt_stop_install, in silence.
 * Returns where SIGPIPE was ignored at the start. */
void bt_stop_broken_pipe(void);
bool bt_stop_requested(void); /* since the first signal: true */
int  bt_stop_signal(void);    /* which one; 0: none */
/* "SIGTERM", or "a request" for one without a name here. */
const char *bt_stop_signal_name(void);
/* For the line of the handler: "stopping WORDS; again to stop now". Static storage; NULL: just
 * "stopping". Returns what was there. */
const char *bt_stop_say(const char *words);

/* BT_E_INTERRUPTED "stopped by SIGTERM" once the process was asked. For loops over input and over
 * results, once a record or a line: it costs a load. Never in what saving needs. */
BT_MUST_USE bt_status bt_stop_check(bt_error *err);
/* Of this thread: what waits below it (for a server, for a lock) goes on although the process was
 * asked to stop, because the thread is saving. Nests; each true needs its false. A thread that
 * writes for another one shields itself. */
void bt_stop_shield(bool on);
/* Should a wait end now: was the process asked to stop, and is this thread not shielded? */
bool bt_stop_now(void);
/* As bt_stop_check, but only when bt_stop_now: for what saving may need as well. */
BT_MUST_USE bt_status bt_stop_check_now(bt_error *err);
/* Sleeps, in slices; false: cut short because bt_stop_now. A shielded thread is woken by the
 * request, too, and then sleeps as long as it likes. */
bool bt_stop_sleep(double seconds);
/* Readable once the process was asked to stop, for poll(2) and its kin; -1 before
 * bt_stop_install. Never read from it. */
int bt_stop_fd(void);

/* Another process of the same job got that signal, and this one stops with it. A signal that comes
 * to this one later is its first. */
void bt_stop_tell(int signal_number);

/* The state of the work is on disk: exit status 75 from now on, else 128 + signal. */
void bt_stop_mark_saved(void);
/* Of a run that ended with BT_E_INTERRUPTED. */
int bt_stop_exit_code(void);

/* As if the signal had come; 0 forgets everything. For tests. */
void bt_stop_set(int signal_number);

/* Time and log. */

double bt_time_monotonic(void); /* seconds, arbitrary origin */
double bt_time_unix(void);      /* seconds since 1970 */

typedef enum bt_log_level {
    BT_LOG_ERROR = -2,
    BT_LOG_WARNING = -1,
    BT_LOG_INFO = 0,
    BT_LOG_DEBUG = 1
} bt_log_level;
typedef enum bt_log_format { BT_LOG_TEXT, BT_LOG_JSON } bt_log_format;

/* The one piece of global state. program is borrowed for the life of the process. */
void bt_log_setup(const char *program, bt_log_format format, int verbosity);
/* One line on stderr: "bt-program: text" (INFO and DEBUG), "...: warning: text", "...: error:
 * text"; with BT_LOG_JSON one object {"time","level","message"}. */
void bt_log(bt_log_level level, const char *fmt, ...) BT_PRINTF(2, 3);
bool bt_log_is_on(bt_log_level level);
/* A line that is rewritten in place: drawn only when stderr is a terminal; NULL ends it. */
void bt_log_progress(const char *text);
/* One line of the parts, one after another, with nothing but write(2): for signal handlers. Shown
 * where warnings are, as information: it is asked for. */
void bt_log_from_handler(const char *const *parts, size_t n_parts);

#endif
