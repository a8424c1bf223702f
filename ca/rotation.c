/* From one root to the next; see the header. */
#include "ca/rotation.h"

#include "ca/signer.h"
#include <errno.h>
#include <stdio.h>

static int say_store(struct store *s, int r, char why[static STORE_WHY_MAX])
{
    if (r < 0)
        snprintf(why, STORE_WHY_MAX, "%s", store_why(s));
    return r;
}

static const struct root_record *in_state(const struct root_list *l, const char *state)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->roots[i].state, state) == 0)
            return &l->roots[i];
    return NULL;
}

/* The roots, and in which step that is. */
static int read_step(struct store *s, struct root_list *ret_list, struct rotation *ret,
                     const struct root_record **ret_moving, char why[static STORE_WHY_MAX])
{
    int64_t last_end_s = 0;
    struct rotation n = {.step = ROTATION_NONE};
    int r = say_store(s, store_list_roots(s, ret_list), why);
    if (r < 0)
        return r;
    const struct root_record *next = in_state(ret_list, ROOT_NEXT), *old = in_state(ret_list, ROOT_OLD);
    *ret_moving = next ? next : old;
    if (*ret_moving) {
        n = (struct rotation){next ? ROTATION_BEGUN : ROTATION_SIGNING, (*ret_moving)->since_s, 0};
        n.due_s = n.since_s + ROTATION_NOTICE_S;
        r = say_store(s, store_last_end(s, n.due_s, &last_end_s), why);
        if (last_end_s > n.due_s)
            n.due_s = last_end_s;
    }
    if (r < 0)
        root_list_done(ret_list);
    else
        *ret = n;
    return r;
}

int rotation_read(struct store *s, struct rotation *ret, char why[static STORE_WHY_MAX])
{
    const struct root_record *moving;
    struct root_list list;
    int r = read_step(s, &list, ret, &moving, why);
    if (r == 0)
        root_list_done(&list);
    return r;
}

static int tell(struct store *s, int64_t now_s, const struct rotation_by *by, const char *what,
                char why[static STORE_WHY_MAX])
{
    const struct audit_record line = {now_s, "rotated", by->asker, by->proof, "", "", what};
    return say_store(s, store_put_audit(s, &line), why);
}

/* The new root signs: it needs an intermediate at once. */
static int sign_by_next(struct store *s, const struct root_list *roots, int64_t now_s,
                        const struct rotation_by *by, char why[static STORE_WHY_MAX])
{
    const struct root_record *next = in_state(roots, ROOT_NEXT), *before = in_state(roots, ROOT_SIGNS);
    struct signer root = {0}, intermediate = {0};
    int r = signer_load(s, AUTHORITY_ROOT, ROOT_NEXT, NULL, &root, why);
    if (r < 0)
        return r;
    r = say_store(s, store_set_root(s, before->id, ROOT_OLD, now_s), why);
    if (r == 0)
        r = say_store(s, store_set_root(s, next->id, ROOT_SIGNS, now_s), why);
    if (r == 0)
        r = signer_new(s, ROOT_SIGNS, &root, now_s, &intermediate, why);
    if (r == 0)
        r = tell(s, now_s, by, "the new root signs", why);
    signer_done(&root);
    signer_done(&intermediate);
    return r;
}

int rotation_go_on(struct store *s, int64_t now_s, bool hurry, const struct rotation_by *by,
                   bool *ret_done, char why[static STORE_WHY_MAX])
{
    const struct root_record *moving;
    struct root_list roots;
    struct rotation n;
    *ret_done = false;
    int r = read_step(s, &roots, &n, &moving, why);
    if (r < 0)
        return r;
    if (n.step == ROTATION_NONE && hurry) {
        snprintf(why, STORE_WHY_MAX, "no root is being rotated");
        r = -ENOENT;
    } else if (n.step == ROTATION_BEGUN && !in_state(&roots, ROOT_SIGNS)) {
        snprintf(why, STORE_WHY_MAX, "the root is damaged: none signs");
        r = -EBADMSG;
    } else if (n.step != ROTATION_NONE && (hurry || now_s > n.due_s)) {
        *ret_done = true;
        if (n.step == ROTATION_BEGUN)
            r = sign_by_next(s, &roots, now_s, by, why);
        else if ((r = say_store(s, store_set_root(s, moving->id, ROOT_GONE, now_s), why)) == 0)
            r = tell(s, now_s, by, "the old root is trusted no more", why);
    }
    root_list_done(&roots);
    return r;
}

int rotation_begin(struct store *s, int64_t now_s, const struct rotation_by *by,
                   char why[static STORE_WHY_MAX])
{
    struct signer root = {0};
    struct rotation n;
    int r = rotation_read(s, &n, why);
    if (r == 0 && n.step != ROTATION_NONE) {
        snprintf(why, STORE_WHY_MAX, "a root is being rotated already: weir-ca check tells how far");
        r = -EALREADY;
    }
    if (r == 0)
        r = signer_new(s, ROOT_NEXT, NULL, now_s, &root, why);
    if (r == 0)
        r = tell(s, now_s, by, "a new root is given to all", why);
    signer_done(&root);
    return r;
}

int rotation_intermediate(struct store *s, int64_t now_s, const struct rotation_by *by,
                          char why[static STORE_WHY_MAX])
{
    struct signer root = {0}, intermediate = {0};
    int r = signer_load(s, AUTHORITY_ROOT, ROOT_SIGNS, NULL, &root, why);
    if (r == 0 && !root.key) {
        snprintf(why, STORE_WHY_MAX,
                 "the root's key is not here: make an intermediate where it is, and give it by "
                 "--intermediate-cert and --intermediate-key");
        r = -ENOKEY;
    }
    if (r == 0)
        r = signer_new(s, ROOT_SIGNS, &root, now_s, &intermediate, why);
    if (r == 0)
        r = tell(s, now_s, by, "a new intermediate signs", why);
    signer_done(&root);
    signer_done(&intermediate);
    return r;
}
