/*
 * What the tests of shared/tls start from: authorities and leaves made by x509_make(), certificates
 * that x509_make() would never make (`forge`), and the openssl program, which knows nothing of us.
 */
#ifndef TESTS_UNIT_SHARED_TLS_TLS_FIXTURE_H
#define TESTS_UNIT_SHARED_TLS_TLS_FIXTURE_H
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/clock.h"
#include "shared/tls/der.h"
#include "shared/tls/signature.h"
#include "shared/tls/tls_channel.h"
#include "tests/support/tmp.h"
#include "tests/unit/shared/base/test.h"

enum { HOUR_S = 3600, DAY_S = 24 * HOUR_S };
#define ALICE "spiffe://cluster.local/ns/default/sa/alice"
#define BOB "spiffe://cluster.local/ns/default/sa/bob"

/* A key with its certificate. */
struct party {
    struct key *key;
    struct x509 cert;
};

static inline void party_done(struct party *p)
{
    x509_done(&p->cert);
    p->key = key_unref(p->key);
}
/* issuer NULL: self-signed. */
static inline struct party party_make(const struct x509_template *t, const struct party *issuer)
{
    struct party p = {0};
    uint8_t public_key[KEY_PUBLIC_MAX];
    size_t len;

    assert_int_equal(key_generate(&p.key), 0);
    assert_int_equal(key_public_der(p.key, public_key, sizeof public_key, &len), 0);
    assert_int_equal(x509_make(t, public_key, len, issuer ? &issuer->cert : NULL,
                               issuer ? issuer->key : p.key, &p.cert),
                     0);
    return p;
}
static inline struct x509_template ca_template(const char *name)
{
    int64_t now = clock_unix_s();
    return (struct x509_template){.common_name = text_of(name),
                                  .organization = TEXT("Weir"),
                                  .is_ca = true,
                                  .path_len = -1,
                                  .not_before_s = now - HOUR_S,
                                  .not_after_s = now + 10 * DAY_S};
}
static inline struct x509_template leaf_template(const char *uri)
{
    int64_t now = clock_unix_s();
    return (struct x509_template){.uri = text_of(uri),
                                  .path_len = -1,
                                  .not_before_s = now - HOUR_S,
                                  .not_after_s = now + HOUR_S,
                                  .server = true,
                                  .client = true};
}
static inline struct party root_make(const char *name)
{
    struct x509_template t = ca_template(name);
    return party_make(&t, NULL);
}
static inline struct party intermediate_make(const char *name, const struct party *issuer)
{
    struct x509_template t = ca_template(name);
    return party_make(&t, issuer);
}
static inline struct party leaf_make(const char *uri, const struct party *issuer)
{
    struct x509_template t = leaf_template(uri);
    return party_make(&t, issuer);
}

/* What a forged certificate says; what is left out is left out of it, too. */
struct forged {
    struct der issuer_name;  /* whole Name; empty: the signer's subject */
    struct der subject_name; /* likewise; empty: an empty one */
    struct text uris[3];                  /* bytes as they are */
    size_t n_uris;
    bool no_names, is_ca, no_basic_constraints;
    int key_usage; /* first byte of the bits; 0: digitalSignature; -1: no extension */
    bool server, client;
    int64_t not_before_s, not_after_s; /* 0: an hour before and after now */
    struct der more_extensions;        /* whole Extension elements */
    struct der signature;              /* instead of a true one */
};

static inline void forge_extension(struct der_out *o, size_t mark, uint8_t kind, bool critical)
{
    uint8_t oid[] = {0x55, 0x1d, kind};
    der_wrap(o, mark, DER_OCTETS);
    if (critical)
        der_put_element(o, DER_BOOLEAN, &(uint8_t){0xff}, 1);
    der_put_element(o, DER_OID, oid, sizeof oid);
    der_wrap(o, mark, DER_SEQUENCE);
}
static inline void forge_extensions(struct der_out *o, const struct forged *f)
{
    static const uint8_t usage[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
    uint8_t key_usage[] = {0, f->key_usage > 0 ? (uint8_t)f->key_usage : 0x80};
    size_t mark, start = o->len;

    der_put(o, f->more_extensions.data, f->more_extensions.len);
    if (!f->no_names) {
        mark = o->len;
        for (size_t i = f->n_uris; i-- > 0;)
            der_put_element(o, DER_CONTEXT | 6, f->uris[i].data, f->uris[i].len);
        if (f->n_uris == 0)
            der_put_element(o, DER_CONTEXT | 2, "host.example", 12);
        der_wrap(o, mark, DER_SEQUENCE);
        forge_extension(o, mark, 17, true);
    }
    if (f->server || f->client) {
        mark = o->len;
        for (unsigned kind = 1; kind <= 2; kind++)
            if (kind == 1 ? f->server : f->client) {
                uint8_t oid[sizeof usage];
                memcpy(oid, usage, sizeof oid);
                oid[sizeof oid - 1] = (uint8_t)kind;
                der_put_element(o, DER_OID, oid, sizeof oid);
            }
        der_wrap(o, mark, DER_SEQUENCE);
        forge_extension(o, mark, 37, false);
    }
    if (f->key_usage >= 0) {
        mark = o->len;
        /* Unused bits are counted from the last one that is set. */
        key_usage[0] = (uint8_t)__builtin_ctz(key_usage[1]);
        der_put_element(o, DER_BITS, key_usage, sizeof key_usage);
        forge_extension(o, mark, 15, true);
    }
    if (!f->no_basic_constraints) {
        mark = o->len;
        if (f->is_ca)
            der_put_element(o, DER_BOOLEAN, &(uint8_t){0xff}, 1);
        der_wrap(o, mark, DER_SEQUENCE);
        forge_extension(o, mark, 19, true);
    }
    if (o->len > start) {
        der_wrap(o, start, DER_SEQUENCE);
        der_wrap(o, start, DER_CONTEXT_CONSTRUCTED | 3);
    }
}
/* The Name of a certificate's subject (n = 1) or issuer (n = 0): whole element. */
static inline struct der name_of(const struct x509 *c, int n)
{
    struct der in = {c->der, c->der_len}, part, whole, content;
    uint8_t tag;

    assert_true(der_take(&in, DER_SEQUENCE, &in));
    assert_true(der_take(&in, DER_SEQUENCE, &in));
    for (int i = 0; i < 3; i++) /* version, serial, algorithm */
        assert_true(der_take_any(&in, &tag, &content, &whole));
    assert_true(der_take_whole(&in, DER_SEQUENCE, &part));
    if (n == 0)
        return part;
    assert_true(der_take_whole(&in, DER_SEQUENCE, &whole));
    assert_true(der_take_whole(&in, DER_SEQUENCE, &part));
    return part;
}
/* The signature of a certificate: the content of its BIT STRING. */
static inline struct der signature_of(const struct x509 *c)
{
    struct der in = {c->der, c->der_len}, part, bits;
    unsigned unused;

    assert_true(der_take(&in, DER_SEQUENCE, &in));
    assert_true(der_take_whole(&in, DER_SEQUENCE, &part));
    assert_true(der_take_whole(&in, DER_SEQUENCE, &part));
    assert_true(der_take_bits(&in, &bits, &unused));
    return bits;
}
/* Writes the certificate of `key`, signed by signer_key in the name of `signer`; its DER is
 * malloc()ed. */
static inline struct der forge_der(const struct forged *f, const struct key *key,
                                   const struct x509 *signer, const struct key *signer_key)
{
    static uint8_t memory[32768];
    struct der_out o = DER_OUT(memory);
    uint8_t public_key[KEY_PUBLIC_MAX], signature[SIGNATURE_MAX];
    size_t n_public, n_signature, mark;
    int64_t now = clock_unix_s();
    struct der algorithm = signature_algorithm();

    assert_int_equal(key_public_der(key, public_key, sizeof public_key, &n_public), 0);
    forge_extensions(&o, f);
    der_put(&o, public_key, n_public);
    if (f->subject_name.len > 0)
        der_put(&o, f->subject_name.data, f->subject_name.len);
    else
        der_put_element(&o, DER_SEQUENCE, "", 0);
    mark = o.len;
    der_put_time(&o, f->not_after_s ? f->not_after_s : now + HOUR_S);
    der_put_time(&o, f->not_before_s ? f->not_before_s : now - HOUR_S);
    der_wrap(&o, mark, DER_SEQUENCE);
    struct der issuer = f->issuer_name.len > 0 ? f->issuer_name : name_of(signer, 1);
    der_put(&o, issuer.data, issuer.len);
    der_put(&o, algorithm.data, algorithm.len);
    der_put_small(&o, 77);
    mark = o.len;
    der_put_small(&o, 2);
    der_wrap(&o, mark, DER_CONTEXT_CONSTRUCTED | 0);
    der_wrap(&o, 0, DER_SEQUENCE);
    assert_false(o.overflow);

    struct der tbs = der_out_bytes(&o), result;
    struct der_out whole = {.size = tbs.len + 256, .data = malloc(tbs.len + 256)};
    assert_non_null(whole.data);
    assert_int_equal(signature_make(signer_key, tbs, signature, &n_signature), 0);
    struct der s = f->signature.len > 0 ? f->signature : (struct der){signature, n_signature};
    der_put(&whole, s.data, s.len);
    der_put(&whole, &(uint8_t){0}, 1);
    der_wrap(&whole, 0, DER_BITS);
    der_put(&whole, algorithm.data, algorithm.len);
    der_put(&whole, tbs.data, tbs.len);
    der_wrap(&whole, 0, DER_SEQUENCE);
    result = der_out_bytes(&whole);
    memmove(whole.data, result.data, result.len);
    return (struct der){whole.data, result.len};
}
/* The same, as a party; it must be readable. */
static inline struct party forge(const struct forged *f, const struct party *issuer)
{
    struct party p = {0};
    const char *why = NULL;

    assert_int_equal(key_generate(&p.key), 0);
    struct der der = forge_der(f, p.key, &issuer->cert, issuer->key);
    int r = x509_parse(der.data, der.len, &p.cert, &why);
    free((void *)der.data);
    if (r < 0)
        fail_msg("the forged certificate is not readable: %s", why);
    return p;
}

/* ---- The openssl program ---- */

/* A folder for one test's files. */
static inline void folder_make(char path[static 64])
{
    assert_non_null(tmp_folder(path, "tls"));
}
static inline void file_write(const char *folder, const char *name, const char *data, size_t len)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}
static inline void folder_remove(const char *folder)
{
    char *argv[] = {"rm", "-rf", (char *)folder, NULL}, *environment[] = {NULL};
    pid_t pid;
    int status;
    assert_int_equal(posix_spawn(&pid, "/bin/rm", NULL, NULL, argv, environment), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}
static inline void cert_write(const char *folder, const char *name, const struct x509 *c)
{
    static char pem[X509_PEM_MAX];
    size_t len;
    assert_int_equal(x509_to_pem(c, pem, sizeof pem, &len), 0);
    file_write(folder, name, pem, len);
}
static inline void key_write(const char *folder, const char *name, const struct key *key)
{
    char pem[KEY_PEM_MAX];
    size_t len;
    assert_int_equal(key_to_pem(key, pem, sizeof pem, &len), 0);
    file_write(folder, name, pem, len);
}
/* Runs openssl in that folder; its exit status, and what it said in out (NUL-terminated). */
static inline int openssl_run(const char *folder, const char *const *arguments, char *out,
                              size_t size)
{
    char *argv[32] = {"openssl"};
    char *environment[] = {"PATH=/usr/bin:/bin", "TZ=UTC", NULL};
    int fds[2], status;
    pid_t pid;
    size_t len = 0;

    for (size_t i = 0; arguments[i]; i++) {
        assert_true(i + 2 < 32);
        argv[i + 1] = (char *)arguments[i];
    }
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, folder);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 2);
    assert_int_equal(posix_spawnp(&pid, "openssl", &actions, NULL, argv, environment), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    for (ssize_t n; (n = read(fds[0], out + len, size - 1 - len)) > 0;)
        len += (size_t)n;
    out[len] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
#define OPENSSL(folder, out, ...)                                                                  \
    openssl_run((folder), (const char *const[]){__VA_ARGS__, NULL}, (out), sizeof(out))
#endif
