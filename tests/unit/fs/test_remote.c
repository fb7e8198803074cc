/* SPDX-License-Identifier: Apache-2.0
 *
 * What is on no connection: URLs, encodings, header values, checksums of parts, times, names of
 * buckets, the answers of stores, and paths that need what is not built in. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "bt/fs.h"
#include "bt/hub.h"
#include "remote.h"
#include "test_support.h"

static bool can_parse(void) {
    http_url url;
    return http_parse_url("https://host", &url);
}

/* What libcurl makes of each is what it would connect to. */
static void test_urls(void **state) {
    static const struct {
        const char *text;
        const char *host; /* NULL: refused */
        int32_t     port;
        bool        is_loopback;
    } rows[] = {
        {"https://Host/a?b", "host", 443, false},
        {"HTTPS://host", "host", 443, false},
        {"http://127.0.0.1:80", "127.0.0.1", 80, true},
        {"http://127.1:80/", "127.0.0.1", 80, true},
        {"http://0x7f000001/", "127.0.0.1", 80, true},
        {"http://2130706433/", "127.0.0.1", 80, true},
        {"http://127.0.0.1.example.com/", "127.0.0.1.example.com", 80, false},
        {"http://127.0.0.1.5.6/", "127.0.0.1.5.6", 80, false},
        {"http://localhost.example.com/", "localhost.example.com", 80, false},
        {"http://localhost./", "localhost.", 80, false},
        {"http://[::1]:8443/x", "[::1]", 8443, true},
        {"http://[0:0:0:0:0:0:0:1]/", "[::1]", 80, true},
        {"https://[::ffff:1.2.3.4]/", "[::ffff:1.2.3.4]", 443, false},
        {"https://ho%73t/", "host", 443, false},
        {"https://host:/", "host", 443, false},
        {"https://host/a@b:c//d\\e", "host", 443, false},
        {"https://host#@other/", "host", 443, false},
        {"https://host?@other/", "host", 443, false},
        {"https://b\xc3\xbc.example/", NULL, 0, false}, /* names of others: as xn--... */
        {"https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443, false},
        {"https://b%C3%BCcher.example/", NULL, 0, false},
        {"https://host\\@other/", NULL, 0, false},
        {"https://host\\other/", NULL, 0, false},
        {"https://host%00.other/", NULL, 0, false},
        {"https://host%2fother/", NULL, 0, false},
        {"https://host%40other/", NULL, 0, false},
        {"https://user@host/a", NULL, 0, false},
        {"https://user:pass@host/a", NULL, 0, false},
        {"https://@host/a", NULL, 0, false},
        {"https://a@b@host/a", NULL, 0, false},
        {"https://host:0/", NULL, 0, false},
        {"https://host:65536/", NULL, 0, false},
        {"https://host:8o/", NULL, 0, false},
        {"https://host:80:81/", NULL, 0, false},
        {"https://[fe80::1%25eth0]/", NULL, 0, false},
        {"https://[::1/", NULL, 0, false},
        {"https:///host/a", NULL, 0, false},
        {"https:/host/a", NULL, 0, false},
        {"https:host", NULL, 0, false},
        {"https://", NULL, 0, false},
        {"https://ho st/a", NULL, 0, false},
        {"https://ho\tst/a", NULL, 0, false},
        {"https://host\t/a", NULL, 0, false},
        {" https://host/", NULL, 0, false},
        {"https://host/a\r\nX: y", NULL, 0, false},
        {"https://host/\x7f", NULL, 0, false},
        {"ftp://host/", NULL, 0, false},
        {"file:///etc/passwd", NULL, 0, false},
        {"host/a", NULL, 0, false},
        {"//host/a", NULL, 0, false},
        {"", NULL, 0, false},
    };
    (void)state;
    if (!can_parse()) {
        test_skip("built without libcurl");
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        http_url   url;
        const bool ok = http_parse_url(rows[i].text, &url);
        if (ok != (rows[i].host != NULL)) {
            fail_msg("%s: %s", rows[i].text, ok ? url.host : "refused");
        }
        if (ok) {
            assert_string_equal(url.host, rows[i].host);
            assert_int_equal(url.port, rows[i].port);
            assert_int_equal(http_is_loopback(&url), rows[i].is_loopback);
        }
    }
}

static void test_redirects(void **state) {
    static const struct {
        const char *location;
        const char *want; /* NULL: refused */
    } rows[] = {
        {"https://other/x", "https://other/x"},
        {"//other/x", "https://other/x"},
        {"/x?y", "https://host/x?y"},
        {"x", "https://host/a/x"},
        {"../x", "https://host/x"},
        {"?q", "https://host/a/b?q"},
        {"https:/other/x", "https://other/x"},
        {"\\\\other\\x", "https://host/a/\\\\other\\x"},
        {"/\\other/x", "https://host/\\other/x"},
        {"/a b\xc3\xbc", "https://host/a%20b%c3%bc"},
        {"https://user:secret@other/x", NULL},
        {"//user@other/x", NULL},
        {"https://ot\ther/x", NULL},
        {"https://other:99999/", NULL},
        {"https://o%00ther/", NULL},
        {"\x1b[31m", NULL},
    };
    (void)state;
    if (!can_parse()) {
        test_skip("built without libcurl");
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        char           *url = NULL;
        bt_error        problem = BT_ERROR_INIT;
        const bt_status rc =
            http_resolve("https://host/a/b?c=d/e", rows[i].location, &url, &problem);
        if (rows[i].want == NULL) {
            assert_int_equal(rc, BT_E_RESOURCE);
            assert_null(strstr(problem.msg, "secret"));
            assert_null(strchr(problem.msg, '\x1b'));
        } else {
            assert_int_equal(rc, BT_OK);
            assert_string_equal(url, rows[i].want);
        }
        bt_free(url);
    }
}

static void test_what_is_shown(void **state) {
    static const struct {
        const char *url;
        const char *want;
    } rows[] = {
        {"https://host/a?sig=secret", "https://host/a?..."},
        {"https://host/a#secret", "https://host/a?..."},
        {"https://me:secret@host/a", "https://...@host/a"},
        {"https://se@cr@host", "https://...@host"},
        {"https://host/a@b", "https://host/a@b"},
        {"a\x1b\r\n", "a???"},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_str shown = BT_STR_INIT;
        assert_ok(http_append_shown(&shown, rows[i].url, err));
        assert_string_equal(bt_str_text(&shown), rows[i].want);
        bt_str_deinit(&shown);
    }
}

static void test_base64(void **state) {
    static const struct {
        const char *bytes;
        const char *text;
        const char *url_safe;
    } rows[] = {{"", "", ""},
                {"f", "Zg==", "Zg"},
                {"fo", "Zm8=", "Zm8"},
                {"foo", "Zm9v", "Zm9v"},
                {"\xfb\xff", "+/8=", "-_8"}};
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_str       text = BT_STR_INIT;
        uint8_t      bytes[8];
        const size_t n = strlen(rows[i].bytes);
        assert_ok(http_append_base64(&text, rows[i].bytes, n, false, err));
        assert_string_equal(bt_str_text(&text), rows[i].text);
        assert_true(http_decode_base64(bt_str_text(&text), text.len, bytes, n));
        assert_memory_equal(bytes, rows[i].bytes, n);
        assert_false(http_decode_base64(bt_str_text(&text), text.len, bytes, n + 3));
        bt_str_clear(&text);
        assert_ok(http_append_base64(&text, rows[i].bytes, n, true, err));
        assert_string_equal(bt_str_text(&text), rows[i].url_safe);
        bt_str_deinit(&text);
    }
    uint8_t four[4];
    assert_false(http_decode_base64("!!!!!!==", 8, four, 4));
    assert_false(http_decode_base64("4waSgw=", 7, four, 4));
}

static void test_header_values(void **state) {
    static const char *const lines[][2] = {{"X-Goog-Hash", "crc32c=4waSgw=="},
                                           {"x-goog-hash", "md5=rL0Y20zC+Fzt72VPzMSk2A=="},
                                           {"ETag", "\"x\""}};
    http_headers             headers = {0};
    uint8_t                  digest[16];
    int64_t                  a = 0;
    int64_t                  b = 0;
    int64_t                  c = 0;
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(lines); i++) {
        assert_ok(http_headers_add(&headers, lines[i][0], lines[i][1], err));
    }
    assert_null(http_header(&headers, "old"));
    assert_string_equal(http_header(&headers, "etag"), "\"x\"");
    assert_true(http_parse_goog_hash(&headers, "crc32c", digest, 4));
    assert_int_equal(remote_crc32c_of_digest(digest), 0xe3069283u); /* of "123456789" */
    assert_true(http_parse_goog_hash(&headers, "md5", digest, 16));
    assert_false(http_parse_goog_hash(&headers, "sha1", digest, 16));
    assert_true(http_parse_content_range("bytes 5-9/20", &a, &b, &c));
    assert_true(a == 5 && b == 9 && c == 20);
    assert_true(http_parse_content_range("bytes 0-0/*", &a, &b, &c));
    assert_int_equal(c, -1);
    static const char *const bad[] = {"bytes 9-5/20", "bytes 5-9/9",
                                      "5-9/20",       "bytes -9/20",
                                      "bytes 5-9",    "bytes 5-99999999999999999999/20"};
    for (size_t i = 0; i < BT_ARRAY_LEN(bad); i++) {
        assert_false(http_parse_content_range(bad[i], &a, &b, &c));
    }
    for (int i = 0; i < HTTP_MAX_FIELDS; i++) { /* there are limits */
        if (http_headers_add(&headers, "a", "b", NULL) != BT_OK) {
            break;
        }
        assert_true(i < HTTP_MAX_FIELDS - 3);
    }
    http_headers_deinit(&headers);
}

static void test_checksums_of_parts(void **state) {
    uint8_t data[4099];
    (void)state;
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 31 + i / 7);
    }
    const uint32_t whole = bt_crc32c(0, data, sizeof data);
    for (size_t cut = 0; cut <= sizeof data; cut += 41) {
        const uint32_t a = bt_crc32c(0, data, cut);
        const uint32_t b = bt_crc32c(0, data + cut, sizeof data - cut);
        assert_int_equal(remote_crc32c_combine(a, b, sizeof data - cut), whole);
    }
}

static void test_times(void **state) {
    (void)state;
    assert_true(remote_parse_time("1970-01-01T00:00:00Z") == 0);
    assert_true(remote_parse_time("2026-11-25T18:36:28.500Z") == 1795631788.5);
    assert_true(remote_parse_time("2000-02-29T23:59:59Z") == 951868799.0);
    assert_true(remote_parse_time("Wed, 25 Nov 2026 18:36:28 GMT") == 1795631788.0);
    assert_true(remote_parse_time("yesterday") == 0);
    assert_true(remote_parse_time(NULL) == 0);
}

static void test_bucket_names(void **state) {
    remote_name name;
    (void)state;
    assert_ok(remote_name_parse("gs://my-bucket_1.x/a/b", &name, err));
    assert_string_equal(name.bucket, "my-bucket_1.x");
    assert_string_equal(name.name, "a/b");
    assert_ok(remote_name_parse("s3://bucket", &name, err));
    assert_string_equal(name.name, "");
    static const char *const bad[] = {"gs:///a", "gs://", "gs://a b/c", "gs://a@b/c", "gs://ab?/c"};
    assert_fails(remote_name_parse("gs://bucket/..", &name, err), BT_E_CONFIG, "no object");
    assert_ok(remote_name_parse("gs://bucket/../x", &name, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(bad); i++) {
        assert_fails(remote_name_parse(bad[i], &name, err), BT_E_CONFIG, "name of a bucket");
    }
}

static void test_paths_that_are_refused(void **state) {
    bt_fs_info info;
    bt_str     text = BT_STR_INIT;
    (void)state;
    bt_error problem = BT_ERROR_INIT;
    if (can_parse()) {
        assert_int_equal(bt_fs_stat("https://me:secret@host/a", &info, &problem), BT_E_CONFIG);
        assert_non_null(strstr(problem.msg, "user name"));
        assert_null(strstr(problem.msg, "secret"));
    }
    assert_true(bt_fs_is_remote("gs://bucket/a"));
    assert_false(bt_fs_is_remote("/gs://bucket/a"));
    assert_fails(bt_fs_stat("http://host/a", &info, err), BT_E_UNSUPPORTED, "use https://");
    assert_fails(bt_fs_stat("hdfs://host/a", &info, err), BT_E_UNSUPPORTED, "'hdfs://'");
    assert_ok(bt_fs_append_build_info(&text, err));
    const bool has_curl = strstr(text.data, "libcurl/") != NULL;
    if (!has_curl) {
        assert_fails(bt_fs_stat("gs://bucket/a", &info, err), BT_E_UNSUPPORTED, "no libcurl");
    }
    bt_str_deinit(&text);
}

static void test_places_of_handles(void **state) {
    static const char table[] = "# comment\nhttps://old/  https://new/*.tar.gz\n\nhttps://x/ a*b\n"
                                "https://old/ https://more/*\n";
    static const char *const want[] = {"https://new/a/b/4.tar.gz", "https://more/a/b/4", NULL};
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(want); i++) {
        char *url = NULL;
        assert_ok(bt_hub_other_place(table, "https://old/a/b/4?x=y", i, &url, err));
        if (want[i] == NULL) {
            assert_null(url);
        } else {
            assert_string_equal(url, want[i]);
        }
        bt_free(url);
    }
}

static void test_digests(void **state) {
    bt_fs_hasher *hasher = NULL;
    bt_error      problem = BT_ERROR_INIT;
    char          hex[BT_FS_HEX_MAX];
    (void)state;
    if (bt_fs_hasher_create(BT_FS_SHA256, &hasher, &problem) == BT_E_UNSUPPORTED) {
        test_skip("built without OpenSSL");
    }
    assert_ok(bt_fs_hasher_add(hasher, "abc", 3, err));
    assert_ok(bt_fs_hasher_finish(hasher, hex, err));
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    bt_fs_hasher_free(hasher);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_what_is_shown),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_header_values),
        cmocka_unit_test(test_checksums_of_parts),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_bucket_names),
        cmocka_unit_test(test_paths_that_are_refused),
        cmocka_unit_test(test_places_of_handles),
        cmocka_unit_test(test_digests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
