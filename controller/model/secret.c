#define _GNU_SOURCE
#include "controller/model/secret.h"
#include "controller/model/object_kinds.h"
#include "shared/tls/web_server.h"
#include "shared/tls/web_text.h"
#include "shared/xds/gateway.h"
#include <errno.h>

static void flaw(struct reader *r, struct tls_secret *s, const char *member, const char *why)
{
    char text[200];
    struct text_out out = TEXT_OUT(text);
    text_printf(&out, "%s%s%s", member, member[0] ? ": " : "", why);
    s->flaw = read_copy(r, (struct text){out.data, out.len});
}

/* As an API server has it, in base 64; in a folder's manifest also as it is (stringData). */
static int take(struct reader *r, const struct json *document, const char *member,
                struct web_text *ret)
{
    const struct json *plain = read_member(read_object(r, document, "stringData"), member);
    struct text coded = json_text(read_member(read_object(r, document, "data"), member));
    if (plain)
        return web_text_set(ret, json_text(plain));
    return coded.len > 0 ? web_text_decode(ret, coded) : -ENOENT;
}

static void lacks(struct reader *r, struct tls_secret *s, const char *member, int err)
{
    if (err == -ENOMEM)
        r->no_memory = true;
    else
        flaw(r, s, member, err == -ENOENT ? "is missing" : err == -E2BIG ? "is too long" : "is not in base 64");
}

/* The chain is as it should be and fits to the key. */
static void judge(struct reader *r, struct tls_secret *s, struct text pem)
{
    struct x509 chain[X509_CHAIN_MAX];
    const char *why = NULL;
    size_t n = 0;
    int err = pem.len > GATEWAY_CHAIN_MAX ? -E2BIG
                                          : x509_from_pem(pem, chain, X509_CHAIN_MAX, &n, &why);
    if (err == -ENOMEM) {
        r->no_memory = true;
        return;
    }
    if (err < 0) {
        flaw(r, s, "tls.crt", why ? why : "has too many certificates");
        return;
    }
    why = web_server_check(chain, n, s->key);
    for (size_t i = 0; i < n; i++)
        x509_done(&chain[i]);
    if (why)
        flaw(r, s, "", why);
    else
        s->chain = read_copy(r, pem);
}

static void read_key(struct reader *r, struct tls_secret *s, struct text pem)
{
    const char *why = NULL;
    int err = web_key_from_pem(pem, &s->key, &why);
    if (err == -ENOMEM)
        r->no_memory = true;
    else if (err < 0)
        flaw(r, s, "tls.key", why);
}

void secret_read(struct reader *r, const struct json *document, struct object *o)
{
    struct tls_secret *s = &o->secret;
    struct web_text chain = {.data = NULL}, key = {.data = NULL};
    s->chain = "";
    if (strcmp(read_string(r, document, "type"), "kubernetes.io/tls") != 0) {
        flaw(r, s, "", "it is not of the type kubernetes.io/tls");
        return;
    }
    int err = take(r, document, "tls.crt", &chain);
    if (err < 0)
        lacks(r, s, "tls.crt", err);
    else if ((err = take(r, document, "tls.key", &key)) < 0)
        lacks(r, s, "tls.key", err);
    else
        read_key(r, s, (struct text){key.data, key.len});
    if (s->key)
        judge(r, s, (struct text){chain.data, chain.len});
    if (s->flaw)
        s->key = web_key_unref(s->key);
    web_text_done(&chain);
    web_text_done(&key);
}
