/* The revocation list; see the header. */
#include "ca/revocation_list.h"

#include <errno.h>
#include <stdlib.h>

struct reading {
    struct revocation_list *list;
    size_t room;
};

static int take(const char *hex, int64_t revoked_s, void *arg)
{
    struct reading *r = arg;
    struct revocation_list *l = r->list;
    struct crl_entry e = {.revoked_s = revoked_s};
    size_t len = strlen(hex);
    if (len == 0 || len % 2 != 0 || len > 2 * sizeof e.serial)
        return 0; /* none of ours: no certificate has it */
    for (size_t i = 0; i < len; i += 2) {
        int high = text_hex_digit(hex[i]), low = text_hex_digit(hex[i + 1]);
        if (high < 0 || low < 0)
            return 0;
        e.serial[e.serial_len++] = (uint8_t)(high << 4 | low);
    }
    if (l->n == r->room) {
        size_t room = r->room ? 2 * r->room : 64;
        struct crl_entry *entries = realloc(l->entries, room * sizeof *entries);
        if (!entries)
            return -ENOMEM;
        l->entries = entries;
        r->room = room;
    }
    l->entries[l->n++] = e;
    return 0;
}

int revocation_list_read(struct store *s, int64_t now_s, struct revocation_list *ret)
{
    struct reading r = {ret, 0};
    *ret = (struct revocation_list){.n = 0};
    int err = store_trust_version(s, &ret->version);
    if (err == 0)
        err = store_revoked_serials(s, now_s - REVOCATION_LIST_S, CRL_ENTRIES_MAX + 1, take, &r);
    if (err == 0 && ret->n > CRL_ENTRIES_MAX)
        err = -E2BIG;
    if (err < 0)
        revocation_list_done(ret);
    return err;
}

static void put_u64(uint8_t out[static 8], uint64_t value)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (56 - 8 * i));
}

int revocation_list_sign(const struct revocation_list *l, const struct root *root, int64_t now_s,
                         uint8_t **ret_der, size_t *ret_len, const char **ret_why)
{
    struct crl_template t = {.entries = l->entries,
                             .n = l->n,
                             .number_len = 16,
                             .this_update_s = now_s,
                             .next_update_s = now_s + REVOCATION_LIST_S};
    put_u64(t.number, l->version);
    put_u64(t.number + 8, (uint64_t)now_s);
    *ret_why = "it can't be signed";
    return crl_make(&t, &root->intermediate, root->intermediate_key, ret_der, ret_len, ret_why);
}

void revocation_list_done(struct revocation_list *l)
{
    free(l->entries);
    *l = (struct revocation_list){.n = 0};
}
