/* SPDX-License-Identifier: Apache-2.0
 *
 * Libraries that are refused memory, at each request that they make: what they answer then must
 * never count as another answer ("damaged", "no RSA key"), nor may they go on without something.
 * The heap of the whole program is in this file; each try is a process of its own, because
 * libarchive may end it. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aws.h"
#include "bt/fs.h"
#include "http.h"
#include "secrets.h"
#include "test_support.h"

void *__libc_malloc(size_t n_bytes);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *ptr, size_t n_bytes);
void *__libc_memalign(size_t align, size_t n_bytes);

static long at, n_requests;
static bool onward;

static bool refuses(void) {
    const long k = __atomic_add_fetch(&n_requests, 1, __ATOMIC_RELAXED);
    const bool refused = at > 0 && (k == at || (onward && k > at));
    if (refused) {
        errno = ENOMEM;
    }
    return refused;
}

void *malloc(size_t n_bytes) {
    return refuses() ? NULL : __libc_malloc(n_bytes);
}

void *calloc(size_t n, size_t size) {
    return refuses() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *ptr, size_t n_bytes) {
    return n_bytes > 0 && refuses() ? NULL : __libc_realloc(ptr, n_bytes);
}

void *aligned_alloc(size_t align, size_t n_bytes) {
    return refuses() ? NULL : __libc_memalign(align, n_bytes);
}

enum {
    NO_MEMORY = 4,
    WRONG = 100,
    CRASHED
}; /* exit codes of a try; 0: done as if nothing had happened */

typedef bt_status (*work)(bt_error *err);

static int try_once(work do_it, long k, bool on) {
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bt_error err = BT_ERROR_INIT;
        (void)signal(SIGSEGV, SIG_DFL); /* cmocka's way out would go on with the parent's test */
        n_requests = 0;
        at = k;
        onward = on;
        const bt_status rc = do_it(&err);
        at = 0;
        const bool is_memory = rc == BT_E_NOMEM && strstr(err.msg, "memory") != NULL;
        if (rc != BT_OK && !is_memory) {
            (void)fprintf(stderr, "request %ld%s: %s: %s\n", k, on ? " and later" : "",
                          bt_status_name(rc), err.msg);
        }
        _exit(rc == BT_OK ? 0 : is_memory ? NO_MEMORY : WRONG);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status)) {
        (void)fprintf(stderr, "request %ld%s: signal %d\n", k, on ? " and later" : "",
                      WTERMSIG(status));
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : CRASHED;
}

/* How many requests it makes, in a process of its own: libraries begin once. */
static long count_requests(work do_it) {
    int   ends[2];
    long  n = 0;
    pid_t child = -1;
    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        bt_error err = BT_ERROR_INIT;
        n_requests = 0;
        const bool ok = do_it(&err) == BT_OK;
        n = ok ? n_requests : 0;
        (void)!write(ends[1], &n, sizeof n);
        if (!ok) {
            (void)fprintf(stderr, "%s\n", err.msg);
        }
        _exit(0);
    }
    assert_int_equal(read(ends[0], &n, sizeof n), sizeof n);
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return n;
}

/* max_crashed: times that the library itself may end the process by a signal. */
static void refuse_at_each(const char *what, work do_it, int max_crashed) {
    const long n = count_requests(do_it);
    const long step = getenv("BT_LONG_TESTS") != NULL ? 1 : n / 120 + 1;
    long       n_wrong = 0;
    long       n_crashed = 0;
    long       n_tries = 0;
    long       n_refused = 0;
    assert_true(n > 0);
    for (long k = 1; k <= n; k += step) {
        for (int on = 0; on < 2; on++) {
            const int code = try_once(do_it, k, on != 0);
            n_tries++;
            n_refused += code == NO_MEMORY;
            n_crashed += code == CRASHED;
            n_wrong += code != 0 && code != NO_MEMORY && code != CRASHED;
        }
    }
    printf("%s: %ld requests, %ld refused, %ld times out of memory\n", what, n, n_tries, n_refused);
    assert_int_equal(n_wrong, 0);
    assert_true(n_crashed <= max_crashed);
    assert_true(n_refused > 0);
}

static char archive[TEST_PATH_MAX];

static bt_status list_archive(bt_error *err) {
    bt_fs_names     names = BT_FS_NAMES_INIT;
    const bt_status rc = bt_fs_archive_content(archive, 100, 1 << 20, &names, err);
    if (rc == BT_OK && names.n != 3) {
        return BT_FAIL(err, BT_E_INTERNAL, "%zu names in place of 3", names.n);
    }
    return rc;
}

static void test_archives(void **state) {
    static const struct {
        const char *name;
        const char *how; /* tar's option */
        int         n_crashes;
    } rows[] = {{"a.tar", "", 0},
                {"a.tar.gz", "z", 0},
                {"a.tar.bz2", "j", 0},
                {"a.tar.xz", "J", 3}}; /* libarchive 3.6 closes a filter that it could not begin */
    char     command[4 * TEST_PATH_MAX];
    bt_error err = BT_ERROR_INIT;
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        const char *const folder = test_temp_dir();
        (void)snprintf(archive, sizeof archive, "%s/%s", folder, rows[i].name);
        (void)snprintf(command, sizeof command,
                       "cd '%s' && mkdir -p m/assets && seq 9000 > m/a && seq 300 > "
                       "m/assets/\"$(printf 'n%%.0s' $(seq 150))\" && date > m/\303\251 && "
                       "tar -c%sf '%s' --format=pax m",
                       folder, rows[i].how, archive);
        if (system(command) != 0) { /* NOLINT(cert-env33-c): a test's own words */
            (void)fprintf(stderr, "%s: tar cannot make it: passed over\n", rows[i].name);
            continue;
        }
        if (list_archive(&err) == BT_E_UNSUPPORTED) {
            test_skip("built without libarchive");
        }
        refuse_at_each(rows[i].name, list_archive, rows[i].n_crashes);
    }
}

static char *private_key;

static bt_status sign(bt_error *err) {
    bt_str          out = BT_STR_INIT;
    const bt_status rc = secrets_append_jwt(&out, "", "{}", private_key, err);
    bt_str_deinit(&out);
    return rc;
}

static bt_status digest(bt_error *err) {
    bt_fs_hasher *hasher = NULL;
    char          hex[BT_FS_HEX_MAX];
    uint8_t       mac[32];
    bt_status     rc = BT_OK;
    BT_CHECK(bt_fs_hasher_create(BT_FS_SHA256, &hasher, err));
    BT_CHECK(bt_fs_hasher_add(hasher, "abc", 3, err));
    BT_CHECK(bt_fs_hasher_finish(hasher, hex, err));
    BT_CHECK(secrets_hmac_sha256("k", 1, "abc", 3, mac, err));
    BT_CHECK(secrets_digest(BT_FS_SHA1, "abc", 3, mac, err));
done:
    bt_fs_hasher_free(hasher);
    return rc;
}

static void test_signatures(void **state) {
    char   path[TEST_PATH_MAX];
    char   command[2 * TEST_PATH_MAX];
    size_t n = 0;
    (void)state;
    if (secrets_library() == NULL) {
        test_skip("built without OpenSSL");
    }
    (void)snprintf(path, sizeof path, "%s/key.pem", test_temp_dir());
    (void)snprintf(command, sizeof command, "openssl genrsa -out '%s' 2048 2>/dev/null", path);
    refuse_at_each("digests", digest, 0);
    if (system(command) != 0) { /* NOLINT(cert-env33-c): a test's own words */
        test_skip("no program openssl, which makes a key");
    }
    private_key = test_read_file(path, &n);
    refuse_at_each("a signature", sign, 0);
}

#ifdef BT_HAVE_CURL

static char url[64];

static const char *method; /* of the request that is made */

/* 204 for exactly the requests that are meant, 400 for every other one. */
static void answer(int connection) {
    static const char *const parts[] = {
        "\r\nX-One: first\r\n", "\r\nX-Two: second\r\n", "\r\nAuthorization: Bearer secret\r\n",
        "\r\nRange: bytes=5-9\r\n", "\r\nUser-Agent: bert-train\r\n"};
    static const char yes[] = "HTTP/1.1 204 No Content\r\nX-Kept: yes\r\n\r\n";
    static const char no[] = "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n";
    char              text[4096] = "";
    size_t            n = 0;
    const char       *end = NULL;
    bool              is_put = false;
    while (end == NULL || (is_put && strlen(end) < 9)) {
        const ssize_t got =
            n + 1 < sizeof text ? read(connection, text + n, sizeof text - 1 - n) : 0;
        if (got <= 0) {
            return;
        }
        n += (size_t)got;
        text[n] = '\0';
        end = strstr(text, "\r\n\r\n");
        is_put = strncmp(text, "PUT /x HTTP/1.1\r\n", 17) == 0;
    }
    bool is_meant = is_put ? strcmp(end, "\r\n\r\nhello") == 0
                           : strncmp(text, "DELETE /x HTTP/1.1\r\n", 20) == 0 && end[4] == '\0';
    for (size_t i = 0; i < BT_ARRAY_LEN(parts); i++) {
        is_meant = is_meant && strstr(text, parts[i]) != NULL;
    }
    (void)!write(connection, is_meant ? yes : no, (is_meant ? sizeof yes : sizeof no) - 1);
}

/* A program whose words are lost, or go elsewhere, is not a program that knows no key. */
static bt_status run_program(bt_error *err) {
    static const char words[] =
        "echo '{\"Version\": 1, \"AccessKeyId\": \"A\", \"SecretAccessKey\": \"S\"}'";
    aws_credentials found = {0};
    bt_status       rc = aws_process_credentials(words, "p", &found, err);
    if (rc == BT_OK && !(bt_str_equal(found.id, "A") && bt_str_equal(found.secret, "S"))) {
        rc = BT_FAIL(err, BT_E_INTERNAL, "another key");
    }
    aws_credentials_deinit(&found);
    return rc;
}

static void test_programs(void **state) {
    (void)state;
    refuse_at_each("credential_process", run_program, 0);
}

static pid_t serve(void) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t          n = sizeof here;
    const int          fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&here, sizeof here), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&here, &n), 0);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/x", (int)ntohs(here.sin_port));
    const pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    }
    while (child == 0) {
        const int connection = accept(fd, NULL, NULL);
        answer(connection);
        (void)close(connection);
    }
    (void)close(fd);
    return child;
}

static bt_status ask(bt_error *err) {
    static const char *const fields[] = {"X-One: first", "X-Two: second", NULL};
    const http_request       request = {.what = "x",
                                        .method = method,
                                        .url = url,
                                        .headers = fields,
                                        .body = method[0] == 'P' ? "hello" : NULL,
                                        .n_body = method[0] == 'P' ? 5 : 0,
                                        .range_begin = 5,
                                        .range_last = 9,
                                        .max_body = 100,
                                        .no_proxy = true};
    http_response            response = {0};
    const http_outcome       outcome = http_try(&request, url, "secret", &response, err);
    if (outcome == HTTP_ANSWERED && response.status != 204) {
        return BT_FAIL(err, BT_E_INTERNAL, "another request was sent");
    }
    if (outcome == HTTP_ANSWERED && http_header(&response.headers, "x-kept") == NULL) {
        return BT_FAIL(err, BT_E_INTERNAL, "a field of the answer was lost");
    }
    http_response_deinit(&response);
    return outcome == HTTP_ANSWERED ? BT_OK : err->code;
}

static void test_requests(void **state) {
    (void)state;
    const pid_t server = serve();
    method = "DELETE";
    refuse_at_each("DELETE", ask, 0);
    method = "PUT";
    refuse_at_each("PUT", ask, 0);
    (void)kill(server, SIGKILL);
    (void)waitpid(server, NULL, 0);
}

#else

static void test_requests(void **state) {
    (void)state;
    test_skip("built without libcurl");
}

static void test_programs(void **state) {
    test_requests(state);
}

#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_archives),
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
