/* SHA-256 against NIST's vectors (FIPS 180-4 examples, SHA256ShortMsg) and the openssl program. */
#include "shared/tls/digest.h"
#include "tests/unit/shared/tls/tls_fixture.h"

static void check(struct text data, const char *expected)
{
    uint8_t digest[DIGEST_BYTES];
    char hex[2 * DIGEST_BYTES + 1];

    assert_int_equal(digest_sha256(data, digest), 0);
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(hex, expected);
}

static void nist_vectors(void **state)
{
    (void)state;
    check(TEXT(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check((struct text){NULL, 0},
          "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check(TEXT("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check(TEXT("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    /* A NUL is a byte like any other. */
    check(TEXT("\0"), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
}

/* Every length around the blocks of 64 bytes, and some long ones. */
static void same_as_openssl(void **state)
{
    static const size_t lengths[] = {1, 54, 55, 56, 57, 63, 64, 65, 119, 120, 128, 4096, 1000003};
    char folder[64], out[256], *data = malloc(1000003);
    struct rng rng;

    (void)state;
    test_seed(&rng);
    assert_non_null(data);
    folder_make(folder);
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        for (size_t k = 0; k < lengths[i]; k++)
            data[k] = (char)rng_u64(&rng);
        file_write(folder, "data", data, lengths[i]);
        assert_int_equal(OPENSSL(folder, out, "dgst", "-sha256", "-r", "data"), 0);
        out[2 * DIGEST_BYTES] = '\0';
        check((struct text){data, lengths[i]}, out);
    }
    folder_remove(folder);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nist_vectors),
        cmocka_unit_test(same_as_openssl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
