#include "shared/xds/xds.h"

#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/xds/wire_writer.h"

#include <errno.h>

static void refused(const struct wire_writer *w, const char *field)
{
    struct certificate_request request;
    char why[XDS_WHY_MAX] = "";
    uint8_t *copy = exact_copy(w->data, w->len);

    assert_int_equal(certificate_request_decode(copy, w->len, &request, why), -EINVAL);
    if (!strstr(why, field))
        fail_msg("the reason '%s' does not speak of '%s'", why, field);
    free(copy);
}

/* metadata = 4: Struct.fields = 1, an entry of a name and Value.string_value = 3. */
static void put_metadata(struct wire_writer *w, const char *name, const char *value)
{
    struct wire_writer inner = {0}, entry = {0}, fields = {0};

    field_text(&inner, 3, value);
    field_text(&entry, 1, name);
    field_message(&entry, 2, &inner);
    field_message(&fields, 1, &entry);
    field_message(w, 4, &fields);
}

static void reads_what_others_write(void **state)
{
    struct wire_writer w = {0};
    struct certificate_request request;
    char why[XDS_WHY_MAX];

    (void)state;
    field_text(&w, 1, "-----BEGIN CERTIFICATE REQUEST-----\n");
    field_number(&w, 3, 86400);
    put_metadata(&w, "CertSigner", "ignored");
    put_metadata(&w, "ImpersonatedIdentity", "spiffe://td/ns/a/sa/b");
    unknown_fields(&w);
    assert_int_equal(certificate_request_decode(w.data, w.len, &request, why), 0);
    assert_string_equal(request.csr_pem, "-----BEGIN CERTIFICATE REQUEST-----\n");
    assert_int_equal(request.validity_s, 86400);
    assert_string_equal(request.impersonated_identity, "spiffe://td/ns/a/sa/b");
    certificate_request_done(&request);
    assert_null(request.csr_pem);

    assert_int_equal(certificate_request_decode(NULL, 0, &request, why), 0);
    assert_string_equal(request.csr_pem, "");
    assert_string_equal(request.impersonated_identity, "");
    assert_int_equal(request.validity_s, 0);
    certificate_request_done(&request);
}

static void writes_what_others_read(void **state)
{
    static const uint8_t expected[] = {
        0x0a, 0x03, 'c',  's',  'r', /* csr = 1 */
        0x18, 0x3c,                  /* validity_duration = 3 */
        0x22, 0x1f,                  /* metadata = 4 */
        0x0a, 0x1d,                  /* fields = 1 */
        0x0a, 0x14, 'I',  'm',  'p', 'e', 'r', 's', 'o', 'n', 'a',
        't',  'e',  'd',  'I',  'd', 'e', 'n', 't', 'i', 't', 'y', /* the key */
        0x12, 0x05, 0x1a, 0x03, 'a', ':', 'b',                     /* Value.string_value = 3 */
    };
    struct certificate_request request = {(char *)"csr", (char *)"a:b", 60};
    struct xds_bytes bytes;

    (void)state;
    assert_int_equal(certificate_request_encode(&request, &bytes), 0);
    assert_int_equal(bytes.len, sizeof expected);
    assert_memory_equal(bytes.data, expected, sizeof expected);
    xds_bytes_done(&bytes);
    request.impersonated_identity = NULL;
    assert_int_equal(certificate_request_encode(&request, &bytes), 0);
    assert_int_equal(bytes.len, 7);
    xds_bytes_done(&bytes);

    static const uint8_t chain[] = {0x0a, 0x01, 'l', 0x0a, 0x01, 'r'}; /* cert_chain = 1 */
    struct certificate_response response = {(char *[]){(char *)"l", (char *)"r"}, 2};
    assert_int_equal(certificate_response_encode(&response, &bytes), 0);
    assert_int_equal(bytes.len, sizeof chain);
    assert_memory_equal(bytes.data, chain, sizeof chain);
    char why[XDS_WHY_MAX];
    assert_int_equal(certificate_response_decode(bytes.data, bytes.len, &response, why), 0);
    assert_int_equal(response.n, 2);
    assert_string_equal(response.pems[0], "l");
    assert_string_equal(response.pems[1], "r");
    certificate_response_done(&response);
    xds_bytes_done(&bytes);
    assert_int_equal(certificate_response_decode(NULL, 0, &response, why), -EINVAL);
    assert_non_null(strstr(why, "cert_chain"));
}

static void what_is_wrong_is_refused(void **state)
{
    struct wire_writer w = {0}, value = {0}, entry = {0}, fields = {0};
    enum { CSR_MAX = 64 * 1024 };
    char *csr = malloc(CSR_MAX + 2);
    char why[XDS_WHY_MAX];
    struct certificate_request request;

    (void)state;
    assert_non_null(csr);
    put_metadata(&w, "ImpersonatedIdentity", "");
    refused(&w, "ImpersonatedIdentity");
    /* A number, where an identity is asked for: the caller's own is not what was meant. */
    w.len = 0;
    put_varint(&value, 2 << 3 | 1);
    for (unsigned i = 0; i < 8; i++)
        put_byte(&value, 0);
    field_text(&entry, 1, "ImpersonatedIdentity");
    field_message(&entry, 2, &value);
    field_message(&fields, 1, &entry);
    field_message(&w, 4, &fields);
    refused(&w, "ImpersonatedIdentity");
    w.len = 0;
    field_number(&w, 3, UINT64_MAX);
    refused(&w, "validity_duration");
    w.len = 0;
    field_bytes(&w, 1, "a\0b", 3);
    refused(&w, "csr");
    /* A request longer than 64 KiB is refused, one of just that is not. */
    struct certificate_request big = {.csr_pem = csr};
    struct xds_bytes bytes;
    memset(csr, 'x', CSR_MAX + 1);
    csr[CSR_MAX + 1] = '\0';
    assert_int_equal(certificate_request_encode(&big, &bytes), 0);
    assert_int_equal(certificate_request_decode(bytes.data, bytes.len, &request, why), -EINVAL);
    assert_non_null(strstr(why, "csr"));
    xds_bytes_done(&bytes);
    csr[CSR_MAX] = '\0';
    assert_int_equal(certificate_request_encode(&big, &bytes), 0);
    assert_int_equal(certificate_request_decode(bytes.data, bytes.len, &request, why), 0);
    assert_string_equal(request.csr_pem, csr);
    certificate_request_done(&request);
    xds_bytes_done(&bytes);
    free(csr);
}

/* Nested 20,000 levels deep: lists and structs of a Struct are skipped, nothing recurses. */
static void depth_costs_nothing(void **state)
{
    enum { SIZE = 1024 * 1024 };
    uint8_t *data = malloc(SIZE);
    size_t len = 0;
    struct certificate_request request;
    char why[XDS_WHY_MAX];

    (void)state;
    assert_non_null(data);
    for (unsigned level = 0; level < 20000; level++) {
        struct wire_writer head = {0}; /* Value.list_value = 6, ListValue.values = 1, by turns */
        put_varint(&head, level % 2 ? 6 << 3 | 2 : 1 << 3 | 2);
        put_varint(&head, len);
        memmove(data + head.len, data, len);
        memcpy(data, head.data, head.len);
        len += head.len;
        assert_true(len < SIZE - 64);
    }
    struct wire_writer outside[3] = {0}; /* metadata = 4, fields = 1, value = 2 */
    static const unsigned numbers[] = {2, 1, 4};
    for (unsigned i = 0; i < 3; i++) {
        put_varint(&outside[i], numbers[i] << 3 | 2);
        put_varint(&outside[i], len);
        memmove(data + outside[i].len, data, len);
        memcpy(data, outside[i].data, outside[i].len);
        len += outside[i].len;
    }
    assert_int_equal(certificate_request_decode(data, len, &request, why), 0);
    assert_string_equal(request.impersonated_identity, "");
    certificate_request_done(&request);
    free(data);
}

static void truncations_and_memory(void **state)
{
    struct certificate_request request = {(char *)"a request", (char *)"spiffe://td/ns/a/sa/b", 60};
    struct certificate_request got;
    struct xds_bytes bytes;
    char why[XDS_WHY_MAX];

    (void)state;
    bool failed = true;
    for (long n = 0; failed; n++) {
        alloc_fail_at(n);
        int r = certificate_request_encode(&request, &bytes);
        failed = alloc_failed();
        assert_int_equal(r, failed ? -ENOMEM : 0);
    }
    for (size_t len = 0; len < bytes.len; len++) {
        uint8_t *copy = exact_copy(bytes.data, len);
        int r = certificate_request_decode(copy, len, &got, why);
        assert_true(r == -EINVAL || (r == 0 && whole_fields(bytes.data, len)));
        if (r == 0)
            certificate_request_done(&got);
        free(copy);
    }
    failed = true;
    for (long n = 0; failed; n++) {
        alloc_fail_at(n);
        int r = certificate_request_decode(bytes.data, bytes.len, &got, why);
        failed = alloc_failed();
        assert_int_equal(r, failed ? -ENOMEM : 0);
    }
    certificate_request_done(&got);
    xds_bytes_done(&bytes);

    static const uint8_t chain[] = {0x0a, 0x01, 'l', 0x0a, 0x01, 'r'};
    struct certificate_response response;
    failed = true;
    for (long n = 0; failed; n++) {
        alloc_fail_at(n);
        int r = certificate_response_decode(chain, sizeof chain, &response, why);
        failed = alloc_failed();
        assert_int_equal(r, failed ? -ENOMEM : 0);
    }
    certificate_response_done(&response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_others_write),  cmocka_unit_test(writes_what_others_read),
        cmocka_unit_test(what_is_wrong_is_refused), cmocka_unit_test(depth_costs_nothing),
        cmocka_unit_test(truncations_and_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
