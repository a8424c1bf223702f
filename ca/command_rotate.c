/* `weir-ca init` and `weir-ca rotate`: who signs; see command.h. */
#include "ca/command.h"

#include "ca/given.h"
#include "ca/seal.h"
#include "shared/base/args.h"
#include "shared/base/clock.h"
#include "shared/base/list.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static struct rotation_by asker(char text[static 32])
{
    snprintf(text, 32, "uid %u", (unsigned)getuid());
    return (struct rotation_by){text, PROOF_COMMAND_LINE};
}

static int failed(const char *why)
{
    fprintf(stderr, "weir-ca: %s\n", why);
    return 1;
}

/* A certificate and its key come together; whole: what has neither is fine. */
static int given_check(const struct given *g)
{
    if (g->folder && (g->root_cert || g->root_key || g->intermediate_cert || g->intermediate_key))
        return command_usage_error("from", "says where all of it is: no other file beside it");
    if (g->root_key && !g->root_cert)
        return command_usage_error("root-key", "goes with --root-cert");
    if (!g->intermediate_cert != !g->intermediate_key)
        return command_usage_error("intermediate-cert", "goes with --intermediate-key");
    return 0;
}

/* ---- init ---------------------------------------------------------------- */

int command_init(int argc, char **argv)
{
    const char *state = NULL;
    char why[STORE_WHY_MAX], who[32];
    struct given g = {0};
    struct store *store;
    static struct root root;
    const struct arg table[] = {
        {"state", ARG_STRING, &state, "DIR|postgresql:FILE", "keys, tokens and the ledger; its parent must be there",
         0, 0, true},
        SEAL_ARG,
        {"root-cert", ARG_STRING, &g.root_cert, "FILE", "a root that was made elsewhere (PEM)", 0, 0,
         false},
        {"root-key", ARG_STRING, &g.root_key, "FILE",
         "its key; without it, it may stay offline, and an intermediate is given", 0, 0, false},
        {"intermediate-cert", ARG_STRING, &g.intermediate_cert, "FILE",
         "an issuing certificate that the root has signed (PEM)", 0, 0, false},
        {"intermediate-key", ARG_STRING, &g.intermediate_key, "FILE", "its key", 0, 0, false},
        {"from", ARG_STRING, &g.folder, "DIR",
         "tls.crt, tls.key and ca.crt, as a Secret of cert-manager is mounted", 0, 0, false},
    };
    int r = args_parse("weir-ca init",
                       "Makes the state of a new CA; fine if it is there already. `serve` does the "
                       "same at its first start. With a root of yours, the CA signs by that.",
                       table, ARRAY_SIZE(table), argc, argv, NULL);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    if ((r = given_check(&g)) != 0)
        return r;
    if (g.intermediate_cert && !g.root_cert)
        return command_usage_error("intermediate-cert", "goes with --root-cert");
    if (store_open(&store, state, why) < 0) {
        fprintf(stderr, "weir-ca: --state: %s\n", why);
        return 1;
    }
    const struct rotation_by by = asker(who);
    if (g.folder || g.root_cert)
        r = given_init(store, &g, clock_unix_s(), &by, why);
    if (r < 0)
        (void)failed(why);
    else if ((r = command_open_root(store, &root)) == 0)
        root_done(&root);
    store_close(store);
    return r < 0 ? 1 : 0;
}

/* ---- rotate -------------------------------------------------------------- */

struct rotate_ask {
    bool root, go_on;
    struct given given;
    const struct rotation_by *by;
};

static int rotate_in(struct store *s, const struct rotate_ask *q, char why[static STORE_WHY_MAX])
{
    int64_t now_s = clock_unix_s();
    bool done;
    if (q->given.folder || q->given.intermediate_cert)
        return given_intermediate(s, &q->given, now_s, q->by, why);
    int r = store_begin(s);
    if (r < 0) {
        snprintf(why, STORE_WHY_MAX, "%s", store_why(s));
        return r;
    }
    r = !q->root  ? rotation_intermediate(s, now_s, q->by, why)
        : q->go_on ? rotation_go_on(s, now_s, true, q->by, &done, why)
                   : rotation_begin(s, now_s, q->by, why);
    if (r == 0 && (r = store_commit(s)) < 0)
        snprintf(why, STORE_WHY_MAX, "%s", store_why(s));
    if (r < 0)
        store_rollback(s);
    return r;
}

int command_rotate(int argc, char **argv)
{
    const char *state = NULL;
    char why[STORE_WHY_MAX], who[32];
    struct rotate_ask q = {0};
    struct store *store;
    int n = 0;
    const struct arg table[] = {
        {"state", ARG_STRING, &state, "DIR|postgresql:FILE", "the CA's state", 0, 0, true},
        SEAL_ARG,
        {"go-on", ARG_FLAG, &q.go_on, NULL,
         "root: the next step now, though certificates live whose holders may not know the new root "
         "(or, the second time, that the old one has signed)",
         0, 0, false},
        {"intermediate-cert", ARG_STRING, &q.given.intermediate_cert, "FILE",
         "intermediate: one that was made where the root's key is (PEM)", 0, 0, false},
        {"intermediate-key", ARG_STRING, &q.given.intermediate_key, "FILE", "its key", 0, 0, false},
        {"from", ARG_STRING, &q.given.folder, "DIR",
         "intermediate: tls.crt, tls.key and ca.crt, as a Secret of cert-manager is mounted", 0, 0,
         false},
    };
    int r = args_parse("weir-ca rotate root|intermediate",
                       "root: makes another one, which is given to all that trust this CA. When no "
                       "certificate lives any more whose holder was not told, it signs; when none "
                       "lives that the old one has signed, that is trusted no more. The running CA "
                       "does these steps; weir-ca check tells which is next. intermediate: another "
                       "one signs at once.",
                       table, ARRAY_SIZE(table), argc, argv, &n);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    q.root = n == 1 && strcmp(argv[0], "root") == 0;
    if (n != 1 || (!q.root && strcmp(argv[0], "intermediate") != 0)) {
        fprintf(stderr, "weir-ca: rotate: must be one of root, intermediate\n");
        return 2;
    }
    if ((r = given_check(&q.given)) != 0)
        return r;
    if (q.root && (q.given.folder || q.given.intermediate_cert))
        return command_usage_error("intermediate-cert", "goes with rotate intermediate");
    if (!q.root && q.go_on)
        return command_usage_error("go-on", "goes with rotate root");
    if (command_open_state(state, &store) < 0)
        return 1;
    const struct rotation_by by = asker(who);
    q.by = &by;
    r = rotate_in(store, &q, why);
    if (r < 0)
        (void)failed(why);
    store_close(store);
    return r < 0 ? 1 : 0;
}
