/* SPDX-License-Identifier: Apache-2.0
 *
 * What of s3:// is on no connection: signatures, held against the examples that Amazon's manual
 * publishes, and the XML of answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws.h"
#include "bt/base/alloc.h"
#include "remote.h"
#include "s3_xml.h"
#include "secrets.h"
#include "test_support.h"

#if defined(BT_HAVE_CURL) && defined(BT_HAVE_EXPAT)

static const char id[] = "AKIAIOSFODNN7EXAMPLE";
static const char secret[] = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
enum { MAY_24_2013 = 1369353600 };

/* "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk",
 * its four examples. */
static void test_examples_of_the_manual(void **state) {
    static const struct {
        const char *method;
        const char *url;
        const char *fields[3];
        const char *body;
        const char *names;
        const char *signature;
    } rows[] = {
        {"GET",
         "https://examplebucket.s3.amazonaws.com/test.txt",
         {"Range: bytes=0-9", NULL},
         "",
         "host;range;x-amz-content-sha256;x-amz-date",
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
        {"PUT",
         "https://examplebucket.s3.amazonaws.com/test%24file.text",
         {"Date: Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class: REDUCED_REDUNDANCY", NULL},
         "Welcome to Amazon S3.",
         "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
         "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
        {"GET",
         "https://examplebucket.s3.amazonaws.com/?lifecycle",
         {NULL},
         "",
         "host;x-amz-content-sha256;x-amz-date",
         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
        {"GET",
         "https://examplebucket.s3.amazonaws.com/?prefix=J&max-keys=2",
         {NULL},
         "",
         "host;x-amz-content-sha256;x-amz-date",
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    };
    aws_credentials who = {0};
    (void)state;
    if (secrets_library() == NULL) {
        test_skip("built without OpenSSL");
    }
    assert_ok(aws_credentials_set(&who, id, secret, NULL, "test", err));
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        aws_fields  fields = {0};
        aws_request request = {.method = rows[i].method,
                               .url = rows[i].url,
                               .region = "us-east-1",
                               .service = "s3",
                               .now = MAY_24_2013};
        char        want[512];
        for (size_t k = 0; rows[i].fields[k] != NULL; k++) {
            assert_ok(aws_fields_add(&fields, err, "%s", rows[i].fields[k]));
        }
        assert_ok(aws_hash_body(rows[i].body, strlen(rows[i].body), request.hash, err));
        assert_ok(aws_sign(&request, &who, &fields, err));
        (void)snprintf(want, sizeof want,
                       "Authorization: AWS4-HMAC-SHA256 Credential=%s/20130524/us-east-1/s3/"
                       "aws4_request, SignedHeaders=%s, Signature=%s",
                       id, rows[i].names, rows[i].signature);
        assert_string_equal(fields.lines[fields.n - 1], want);
        aws_fields_clear(&fields);
    }
    aws_credentials_deinit(&who);
}

/* What is signed is what is sent: the token and the hash are among the fields. */
static void test_what_is_sent(void **state) {
    aws_credentials who = {0};
    aws_fields      fields = {0};
    aws_request     request = {.method = "GET",
                               .url = "http://127.0.0.1:9000/b/a%20b",
                               .region = "eu-west-1",
                               .service = "s3",
                               .now = MAY_24_2013};
    (void)state;
    if (secrets_library() == NULL) {
        test_skip("built without OpenSSL");
    }
    assert_ok(aws_credentials_set(&who, id, secret, "TOKEN==", "test", err));
    assert_ok(aws_hash_body(NULL, 0, request.hash, err));
    assert_ok(aws_sign(&request, &who, &fields, err));
    assert_int_equal(fields.n, 5);
    assert_string_equal(fields.lines[0], "Host: 127.0.0.1:9000");
    assert_string_equal(fields.lines[1], "X-Amz-Date: 20130524T000000Z");
    assert_string_equal(fields.lines[2],
                        "X-Amz-Content-Sha256: "
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_string_equal(fields.lines[3], "X-Amz-Security-Token: TOKEN==");
    assert_non_null(strstr(fields.lines[4], "host;x-amz-content-sha256;x-amz-date;"
                                            "x-amz-security-token"));
    assert_null(fields.lines[5]);
    aws_fields_clear(&fields);
    aws_credentials_deinit(&who);
}

/* They go into header fields; and none is ever shown. */
static void test_odd_credentials(void **state) {
    static const char *const rows[][3] = {
        {"", "secret", NULL},    {"id", "", NULL},          {"id", "sec\nret", NULL},
        {"i d", "secret", NULL}, {"id", "sec ret", NULL},   {"id", "secret", "t\r\nX: y"},
        {"i/d", "secret", NULL}, {"id", "s\xc3\xa9", NULL},
    };
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        aws_credentials who = {0};
        bt_error        problem = BT_ERROR_INIT;
        assert_int_equal(
            aws_credentials_set(&who, rows[i][0], rows[i][1], rows[i][2], "FILE", &problem),
            BT_E_CONFIG);
        assert_non_null(strstr(problem.msg, "FILE: "));
        assert_true(rows[i][1][0] == '\0' || strcmp(rows[i][1], "secret") == 0 ||
                    strstr(problem.msg, rows[i][1]) == NULL);
        assert_null(who.id);
    }
}

static void test_expirations(void **state) {
    static const struct {
        const char *text;
        double      want;
    } rows[] = {
        {"2013-05-24T00:00:00Z", MAY_24_2013},
        {"2013-05-24T02:00:00+02:00", MAY_24_2013},
        {"2013-05-23T18:30:00-05:30", MAY_24_2013},
        {"2013-05-24T00:00:00.500Z", (double)MAY_24_2013 + 0.5},
        {"tomorrow", 0},
        {"", 0},
        {NULL, 0},
    };
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        assert_true(aws_parse_expiration(rows[i].text) == rows[i].want);
    }
}

static void test_words_of_commands(void **state) {
    static const struct {
        const char *text;
        const char *words[5];
    } rows[] = {
        {"/bin/a b  c ", {"/bin/a", "b", "c", NULL}},
        {"a 'b  \\c' \"d \\\" e\" f\\ g", {"a", "b  \\c", "d \" e", "f g", NULL}},
        {"a \"\" $X `y`", {"a", "", "$X", "`y`", NULL}},
        {" ", {NULL}},
    };
    char **words = NULL;
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        assert_ok(aws_split_words(rows[i].text, &words, err));
        size_t n = 0;
        for (; rows[i].words[n] != NULL; n++) {
            assert_string_equal(words[n], rows[i].words[n]);
        }
        assert_null(words[n]);
        aws_free_words(words);
    }
    assert_fails(aws_split_words("a \"b", &words, err), BT_E_CONFIG, "open quote");
}

/* Where a container's credentials may come from, as SDKs have it. */
static void test_container_urls(void **state) {
    static const struct {
        const char *relative;
        const char *full;
        const char *want; /* NULL: refused */
    } rows[] = {
        {"/v2/credentials/x", NULL, "http://169.254.170.2/v2/credentials/x"},
        {"/v2/credentials/x", "https://else/", "http://169.254.170.2/v2/credentials/x"},
        {"@evil/x", NULL, "http://169.254.170.2/@evil/x"},
        {NULL, "http://169.254.170.23/v1/credentials", "http://169.254.170.23/v1/credentials"},
        {NULL, "http://[fd00:ec2::23]/v1", "http://[fd00:ec2::23]/v1"},
        {NULL, "http://localhost:8080/x", "http://localhost:8080/x"},
        {NULL, "https://any.host/x", "https://any.host/x"},
        {NULL, "http://169.254.169.254/x", NULL},
        {NULL, "http://any.host/x", NULL},
        {NULL, "http://127.0.0.1.evil.host/x", NULL},
    };
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_str   url = BT_STR_INIT;
        bt_error problem = BT_ERROR_INIT;
        (void)setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                     rows[i].relative != NULL ? rows[i].relative : "", 1);
        (void)setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", rows[i].full != NULL ? rows[i].full : "",
                     1);
        const bt_status rc = aws_container_url(&url, &problem);
        assert_int_equal(rc, rows[i].want != NULL ? BT_OK : BT_E_CONFIG);
        if (rc == BT_OK) {
            assert_string_equal(url.data, rows[i].want);
        }
        bt_str_deinit(&url);
    }
    (void)unsetenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    (void)unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
}

#endif

static const char list[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bucket</Name>"
    "<Prefix>x</Prefix>"
    "<Contents><Key>a &amp; b&#65;&#x4e2d;</Key><Owner><ID>1</ID></Owner></Contents>"
    "<Contents><Key>mark/</Key></Contents><Contents><Key/></Contents>"
    "<Contents><Key><![CDATA[c<d]]></Key></Contents>"
    "<CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes>"
    "<IsTruncated>true</IsTruncated><NextContinuationToken>t&lt;</NextContinuationToken>"
    "</ListBucketResult>";

static bt_status parse(const char *xml, bt_fs_names *names, bt_str *token, bt_error *err) {
    return s3_parse_list("bucket", xml, strlen(xml), names, token, err);
}

/* What a list tells of a file is believed while states are held, in whatever order it tells it, and
 * not of its neighbour. */
static void test_told_by_lists(void **state) {
    static const char told[] =
        "<ListBucketResult>"
        "<Contents><Key>a</Key><Size>11</Size><ETag>&quot;aa&quot;</ETag></Contents>"
        "<Contents><ETag>&quot;bb&quot;</ETag><Size>22</Size><Key>b</Key></Contents>"
        "<CommonPrefixes><Prefix>f/</Prefix></CommonPrefixes>"
        "<Contents><Key>c</Key><ETag>&quot;cc&quot;</ETag></Contents>"
        "<Contents><Key>d</Key><Size>44</Size></Contents>"
        "<Contents><Key>e</Key><Size>-5</Size><ETag>&quot;ee&quot;</ETag></Contents>"
        "<Contents><Size>66</Size><ETag>&quot;gg&quot;</ETag><Key>g</Key></Contents>"
        "</ListBucketResult>";
    static const char *const missing[] = {"c", "d", "e", "f"};
    bt_fs_names              names = BT_FS_NAMES_INIT;
    bt_str                   token = BT_STR_INIT;
    remote_info              info = {0};
    (void)state;
    if (s3_xml_library() == NULL) {
        test_skip("built without expat");
    }
    assert_ok(parse(told, &names, &token, err));
    assert_int_equal(names.n, 7);
    bt_fs_names_deinit(&names);
    assert_false(remote_told_get("s3://bucket/a", false, &info)); /* nobody asked to hold them */
    bt_fs_hold_states();
    bt_fs_hold_states();
    assert_ok(parse(told, &names, &token, err));
    bt_fs_let_states();
    assert_true(remote_told_get("s3://bucket/a", false, &info));
    assert_int_equal(info.n_bytes, 11);
    assert_string_equal(info.etag, "\"aa\"");
    assert_false(remote_told_get("s3://bucket/a", true, &info)); /* its checksum is not known */
    assert_true(remote_told_get("s3://bucket/b", false, &info));
    assert_int_equal(info.n_bytes, 22);
    assert_string_equal(info.etag, "\"bb\"");
    assert_true(remote_told_get("s3://bucket/g", false, &info));
    assert_int_equal(info.n_bytes, 66);
    for (size_t i = 0; i < BT_ARRAY_LEN(missing); i++) {
        char path[32];
        (void)snprintf(path, sizeof path, "s3://bucket/%s", missing[i]);
        assert_false(remote_told_get(path, false, &info));
    }
    remote_told_forget("s3://bucket/b");
    assert_false(remote_told_get("s3://bucket/b", false, &info));
    bt_fs_let_states();
    assert_false(remote_told_get("s3://bucket/a", false, &info));
    bt_fs_names_deinit(&names);
    bt_str_deinit(&token);
}

static void test_lists(void **state) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    bt_str      token = BT_STR_INIT;
    (void)state;
    if (s3_xml_library() == NULL) {
        test_skip("built without expat");
    }
    assert_ok(parse(list, &names, &token, err));
    assert_int_equal(names.n, 3);
    assert_string_equal(names.items[0], "s3://bucket/a & bA\xe4\xb8\xad");
    assert_string_equal(names.items[1], "s3://bucket/c<d");
    assert_string_equal(names.items[2], "s3://bucket/d");
    assert_string_equal(token.data, "t<");
    bt_fs_names_deinit(&names);
    /* names that XML cannot hold come encoded, wherever the answer says so */
    assert_ok(parse("<ListBucketResult><Contents><Key>a%01+b%2B%25</Key></Contents><Contents><Key>"
                    "z%00</Key></Contents><EncodingType>url</EncodingType></ListBucketResult>",
                    &names, &token, err));
    assert_int_equal(names.n, 1);
    assert_string_equal(names.items[0], "s3://bucket/a\x01 b+%");
    assert_int_equal(token.len, 0);
    bt_fs_names_deinit(&names);
    assert_ok(parse("<ListBucketResult><Contents><Key>a%01+b</Key></Contents></ListBucketResult>",
                    &names, &token, err));
    assert_string_equal(names.items[0], "s3://bucket/a%01+b");
    bt_fs_names_deinit(&names);
    bt_str_deinit(&token);
}

static void test_what_is_no_list(void **state) {
    static const struct {
        const char *xml;
        const char *why;
    } rows[] = {
        {"<html></html>", "no ListBucketResult"},
        {"", "no XML"},
        {"<ListBucketResult>", "no XML"},
        {"<ListBucketResult><Contents><Key>&bad;</Key></Contents></ListBucketResult>", "no XML"},
        {"<!DOCTYPE a [<!ENTITY x \"y\">]><ListBucketResult>&x;</ListBucketResult>", "a DTD"},
        {"<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><ListBucketResult></ListBucketResult>",
         "a DTD"},
        {"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>", "more follows"},
        {"<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>", "elements in one another"},
        {"<Other><ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult></Other>",
         "no ListBucketResult"},
    };
    (void)state;
    if (s3_xml_library() == NULL) {
        test_skip("built without expat");
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_fs_names names = BT_FS_NAMES_INIT;
        bt_str      token = BT_STR_INIT;
        assert_fails(parse(rows[i].xml, &names, &token, err), BT_E_FORMAT, rows[i].why);
        assert_int_equal(names.n, 0);
        bt_str_deinit(&token);
    }
}

static void test_long_texts(void **state) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    bt_str      token = BT_STR_INIT;
    bt_str      xml = BT_STR_INIT;
    (void)state;
    if (s3_xml_library() == NULL) {
        test_skip("built without expat");
    }
    assert_ok(bt_str_append(&xml, "<ListBucketResult><Contents><Key>", err));
    for (int i = 0; i < 70000; i++) {
        assert_ok(bt_str_append_char(&xml, 'a', err));
    }
    assert_ok(bt_str_append(&xml, "</Key></Contents></ListBucketResult>", err));
    assert_fails(parse(xml.data, &names, &token, err), BT_E_FORMAT, "a text of more than");
    bt_str_deinit(&xml);
}

/* "Out of memory" is never taken for "not well-formed", and nothing is lost in silence. */
static void test_memory_ends(void **state) {
    bool ended = false;
    (void)state;
    if (s3_xml_library() == NULL) {
        test_skip("built without expat");
    }
    for (uint64_t k = 1; !ended; k++) {
        bt_fs_names names = BT_FS_NAMES_INIT;
        bt_str      token = BT_STR_INIT;
        bt_error    problem = BT_ERROR_INIT;
        bt_alloc_fail_at(k, false);
        const bt_status rc = parse(list, &names, &token, &problem);
        ended = rc == BT_OK;
        bt_alloc_fail_at(0, false);
        if (ended) {
            assert_int_equal(names.n, 3);
            assert_true(k > 8);
        } else {
            assert_int_equal(rc, BT_E_NOMEM);
        }
        bt_fs_names_deinit(&names);
        bt_str_deinit(&token);
    }
}

static void test_single_texts(void **state) {
    bt_str       code = BT_STR_INIT;
    bt_str       message = BT_STR_INIT;
    s3_xml_field fields[] = {{"Error/Code", &code, false}, {"Error/Message", &message, false}};
    const char   xml[] = "<Error><Resource><Code>no</Code></Resource><Code>Yes</Code><Code>Later"
                         "</Code></Error>";
    (void)state;
    if (s3_xml_library() == NULL) {
        test_skip("built without expat");
    }
    assert_ok(s3_xml_read(xml, strlen(xml), fields, 2, err));
    assert_string_equal(bt_str_text(&code), "Yes");
    assert_true(fields[0].found);
    assert_false(fields[1].found);
    bt_str_deinit(&code);
    bt_str_deinit(&message);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#if defined(BT_HAVE_CURL) && defined(BT_HAVE_EXPAT)
        cmocka_unit_test(test_examples_of_the_manual),
        cmocka_unit_test(test_what_is_sent),
        cmocka_unit_test(test_odd_credentials),
        cmocka_unit_test(test_expirations),
        cmocka_unit_test(test_words_of_commands),
        cmocka_unit_test(test_container_urls),
#endif
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_told_by_lists),
        cmocka_unit_test(test_what_is_no_list),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_memory_ends),
        cmocka_unit_test(test_single_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
