/* What is revoked, looked up; see the header. */
#include "shared/mesh/trust.h"

#include "shared/mesh/spiffe_id.h"
#include <errno.h>
#include <stdlib.h>

enum { SPARE = 1 }; /* calloc(0) may be NULL */

struct trust *trust_new(uint64_t version, struct text roots_pem, size_t identities, size_t serials)
{
    if (identities > TRUST_IDENTITIES_MAX || serials > TRUST_SERIALS_MAX ||
        roots_pem.len > TRUST_ROOTS_BYTES_MAX)
        return NULL;
    struct trust *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    atomic_init(&t->refs, 1);
    t->version = version;
    t->roots_pem = text_dup(roots_pem);
    t->identities = calloc(identities + SPARE, sizeof *t->identities);
    t->serials = calloc(serials + SPARE, sizeof *t->serials);
    return t->roots_pem && t->identities && t->serials ? t : trust_unref(t);
}

int trust_add_identity(struct trust *t, struct text id)
{
    struct spiffe_id parsed;
    if (t->n_identities >= TRUST_IDENTITIES_MAX)
        return -ENOSPC;
    if (spiffe_id_parse(id, &parsed) < 0)
        return -EINVAL;
    char *copy = text_dup(id);
    if (!copy)
        return -ENOMEM;
    t->identities[t->n_identities++] = copy;
    return 0;
}

int trust_add_serial(struct trust *t, struct text hex)
{
    if (t->n_serials >= TRUST_SERIALS_MAX)
        return -ENOSPC;
    if (hex.len == 0 || hex.len >= TRUST_SERIAL_BYTES)
        return -EINVAL;
    for (size_t i = 0; i < hex.len; i++)
        if (!memchr("0123456789abcdef", hex.data[i], 16))
            return -EINVAL;
    memcpy(t->serials[t->n_serials++], hex.data, hex.len);
    return 0;
}

static int by_identity(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_serial(const void *a, const void *b)
{
    return strcmp(a, b);
}

void trust_sort(struct trust *t)
{
    qsort(t->identities, t->n_identities, sizeof *t->identities, by_identity);
    qsort(t->serials, t->n_serials, sizeof *t->serials, by_serial);
}

static int add_all(struct trust *t, const struct trust *from, const struct trust *except)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < from->n_identities; i++)
        if (!trust_revokes_identity(except, from->identities[i]))
            r = trust_add_identity(t, text_of(from->identities[i]));
    for (size_t i = 0; r == 0 && i < from->n_serials; i++)
        if (!trust_revokes_serial(except, from->serials[i]))
            r = trust_add_serial(t, text_of(from->serials[i]));
    return r;
}

int trust_with(const struct trust *held, const struct trust *more, struct trust **ret)
{
    size_t identities = held->n_identities, serials = held->n_serials;
    for (size_t i = 0; i < more->n_identities; i++)
        identities += !trust_revokes_identity(held, more->identities[i]);
    for (size_t i = 0; i < more->n_serials; i++)
        serials += !trust_revokes_serial(held, more->serials[i]);
    *ret = NULL;
    if (identities > TRUST_IDENTITIES_MAX || serials > TRUST_SERIALS_MAX)
        return -ENOSPC;
    if (identities == held->n_identities && serials == held->n_serials)
        return 0;
    struct trust *t = trust_new(held->version, text_of(held->roots_pem), identities, serials);
    int r = t ? add_all(t, held, NULL) : -ENOMEM;
    if (r == 0)
        r = add_all(t, more, held);
    if (r < 0) {
        trust_unref(t);
        return r;
    }
    trust_sort(t);
    t->incomplete = held->incomplete || more->incomplete;
    *ret = t;
    return 0;
}

struct trust *trust_ref(struct trust *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

struct trust *trust_unref(struct trust *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
        return NULL;
    for (size_t i = 0; i < t->n_identities; i++)
        free(t->identities[i]);
    free(t->identities);
    free(t->serials);
    free(t->roots_pem);
    free(t);
    return NULL;
}

bool trust_revokes_identity(const struct trust *t, const char *id)
{
    return t && t->n_identities > 0 &&
           bsearch(&id, t->identities, t->n_identities, sizeof *t->identities, by_identity);
}

bool trust_revokes_serial(const struct trust *t, const char *hex)
{
    return t && t->n_serials > 0 &&
           bsearch(hex, t->serials, t->n_serials, sizeof *t->serials, by_serial);
}
